"""MLflow: tracking of runs, and the registry of published versions."""
