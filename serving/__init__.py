"""Serving a bundle: over HTTP, and over files."""
