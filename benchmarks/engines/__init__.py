"""The ways to run an encoder in one process."""
