"""Experiments outside of the pipeline: several seeds, hyperparameter search, language-model adaptation."""
