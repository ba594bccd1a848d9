"""Experiments beside the pipeline: seeds, hyperparameter search, language-model adaptation."""
