"""What is said where Slurm would not take a job: its words, what was asked for, what to do."""

from slurm import reasons
from slurm.partitions import unavailable_nodes
from slurm.profile import Resources


def refused(who: str, given: Resources, said: str, table: str = "") -> str:
    """Return the message about jobs that Slurm would not take.

    Args:
        who: The jobs.
        given: What was asked for.
        said: Slurm's words.
        table: Of ``[slurm]``, where these jobs have resources of their own.
    """
    asked = {k: v for k, v in given.model_dump().items() if v not in (None, {})}
    where = f"[slurm] or [slurm.{table}]" if table else "[slurm] or in the profile"
    return (
        f"Slurm would not take {who}: {said}. "
        f"Asked for: {', '.join(f'{k} = {v}' for k, v in asked.items())}. Change them "
        f"under {where}{what_to_do(said)}; nothing was submitted"
    )


def out_of_service(said: str, given: Resources) -> str:
    """Return which nodes may be the reason of a refusal; empty if none can be."""
    if "node configuration is not available" not in said:
        return ""
    nodes = unavailable_nodes(given.partition)
    if not nodes:
        return ""
    more = f" and {len(nodes) - 3} more" if len(nodes) > 3 else ""
    return (
        f"nodes are out of service, and without them none has what is asked for: "
        f"{', '.join(nodes[:3])}{more}; jobs wait until they are back"
    )


def what_to_do(said: str) -> str:
    """Return what to do about a refusal, as the end of a sentence; empty if nobody knows."""
    found = reasons.advice(said)
    return f": {found.text}" if found else ""
