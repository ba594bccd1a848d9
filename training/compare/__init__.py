"""The differences between two bundles and their origins: data, parameters, code, environment, scores and answers."""
