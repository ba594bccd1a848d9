"""Engines: the ways to run the encoder in one process."""
