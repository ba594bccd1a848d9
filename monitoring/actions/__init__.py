"""Reactions to the measurements: alerts, watching, retraining, exports, and deletion from the log."""
