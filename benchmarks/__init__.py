"""Measurements on real data and real machines."""
