"""The model families by their part in the benchmarks."""

from commentwise.training.families import catalog

ENCODER = "bert"
"""The family whose candidate the engines and servers run."""
LINEAR = tuple(name for name, family in catalog.families().items() if family.answers_first)
"""Families whose candidate is a single, small graph."""
