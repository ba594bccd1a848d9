"""The bundle behind HTTP."""
