"""Frames to pages: merge, aggregate, tables. No torch, no Slurm."""
