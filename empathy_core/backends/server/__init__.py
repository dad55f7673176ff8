"""Answers from a server: one that an array task starts itself, or one elsewhere."""
