"""Preference pairs: where they come from, which are kept and why, and where they are frozen."""
