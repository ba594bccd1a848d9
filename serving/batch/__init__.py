"""Scoring files of comments, on this machine or on a cluster."""
