"""Adapters on disk: their record, their card, and merging them into a base."""
