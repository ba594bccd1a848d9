"""Benchmarks on real data and real machines, and their report."""
