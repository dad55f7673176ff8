"""The steps of a prompt refinement: answered and scored, here or on Slurm, and what is decided."""
