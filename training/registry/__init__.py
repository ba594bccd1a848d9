"""MLflow: every run, and the versions that were published."""
