"""The model families that compete on the same split: one module each, found by its tuple `FAMILIES`."""
