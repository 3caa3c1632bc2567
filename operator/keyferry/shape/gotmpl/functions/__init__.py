"""The functions, one topic per file."""
