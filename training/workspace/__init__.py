"""A project of one's own: its files, its stages as commands, and its migration to another version of Commentwise."""
