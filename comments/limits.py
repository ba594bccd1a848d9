"""What is taken for a comment."""

MAX_CHARACTERS = 20_000
"""Longest text that is classified."""
