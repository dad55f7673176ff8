"""What a person runs; the only package that imports the other three."""

PACKAGES = ("empathy_core", "jobs", "reports", "slurm")
"""What the suite consists of."""
