"""Cost as work grows, capacity and footprint."""
