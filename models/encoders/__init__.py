"""Encoders in torch: loading one, and running it on comments without padding."""
