"""Comments: their table, file formats, text normalisation, traits and copies."""
