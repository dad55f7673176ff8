"""Figures: drawn once, set in pages and papers."""
