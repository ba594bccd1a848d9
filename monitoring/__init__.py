"""What happened in production: drift, performance without labels, feedback, alerts, retraining."""
