"""Prompt refinement: which rows it sees, where candidates come from, what becomes of them."""
