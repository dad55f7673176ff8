"""The body of each stage, readable top to bottom."""
