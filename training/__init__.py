"""From raw comments to a chosen bundle: one module per pipeline stage."""
