"""Cost as the work grows, capacity, and footprint."""
