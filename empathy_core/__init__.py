"""The subject: data, prompts, models, metrics. Knows nothing of jobs, Slurm or pages."""
