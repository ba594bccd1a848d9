"""Monitoring in production: drift, accuracy without labels, feedback, reports, alerts and retraining."""
