"""Frames → numbers: scores, intervals, tests, ranks. No strings."""
