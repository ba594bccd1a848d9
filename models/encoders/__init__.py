"""Encoders in torch: loading them, and running them on packed comments, without padding."""
