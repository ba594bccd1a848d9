"""The page about the pipeline's last run: data, choice, quality, examples of errors, what is served, and where it comes from."""
