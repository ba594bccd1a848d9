"""The report on production: the page, its plots, and its record in MLflow."""
