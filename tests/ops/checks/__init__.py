"""The checks; each file one subject."""
