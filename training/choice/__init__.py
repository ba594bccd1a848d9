"""Evaluating the candidates, choosing the winner, and exporting it as a bundle."""
