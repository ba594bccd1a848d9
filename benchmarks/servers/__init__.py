"""Servers over HTTP: ours and its peers."""
