"""Slurm and submitit; imports nothing of the other packages."""
