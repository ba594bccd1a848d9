"""The model families that compete on the same split."""
