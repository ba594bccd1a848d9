"""Measurements on the prediction log: drift signals, accuracy estimates, labels from feedback, and the reference."""
