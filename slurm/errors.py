"""What can go wrong with Slurm itself."""


class SlurmError(Exception):
    """A command of Slurm's failed; the message holds its words."""


class SubmitError(SlurmError):
    """sbatch refused a job."""


class Unreachable(SlurmError):
    """No controller answers."""
