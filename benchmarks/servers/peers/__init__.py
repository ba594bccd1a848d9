"""Servers that others would write or take, to compare ours with: each is a process of its own."""
