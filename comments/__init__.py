"""What a comment is: its table, the files it comes in, its normalised text, its copies."""
