"""Limits of a comment."""

MAX_CHARACTERS = 20_000
"""Longer texts are rejected."""
