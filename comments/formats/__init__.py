"""Formats of files: CSV, JSON, Parquet and saved YouTube comments, with their encodings and compression."""
