"""PURE: why a job waits or was refused, in Slurm's own words, and what to do about it.

Sources: "Job reason codes" of Slurm's documentation, and ``slurm_strerror``.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do about a reason.

    Attributes:
        text: One sentence.
        waits: Whether the job goes on by itself, without anybody.
        command: A command of Slurm's; ``{job}`` stands for the job's id.
        ours: Words of the commands of this suite to call; ``{task}`` stands for the task's id.
    """

    text: str
    waits: bool = False
    command: str = ""
    ours: tuple[tuple[str, ...], ...] = ()

    def command_for(self, job: str) -> str:
        """Return the command of Slurm's about a job; empty if there is none."""
        return self.command.replace("{job}", job)

    def ours_for(self, task: str) -> list[tuple[str, ...]]:
        """Return the words of our commands about a task."""
        return [tuple(word.replace("{task}", task) for word in words) for words in self.ours]


_RELEASE = "scontrol release {job}"
_SUPPORT = "ask your site's support"
_AGAIN = (("cancel", "{task}"), ("retry",))

_REASONS: tuple[tuple[str, Advice], ...] = (
    (r"JobHeldUser", Advice("it is held by its user: release it", command=_RELEASE)),
    (r"JobHeldAdmin", Advice(
        "an administrator holds it, and only they can release it: see what is said of it, and "
        f"{_SUPPORT}", command="scontrol show job {job}")),
    (r"launch failed requeued held", Advice(
        "a node could not start it, and Slurm holds it: release it; if it happens again, cancel "
        "it and avoid that node", command=_RELEASE,
        ours=_AGAIN)),
    (r"requeued in held state|JobHoldMaxRequeue|job requeue limit", Advice(
        "it was run again, and is held: see what its attempts wrote, then release it",
        command=_RELEASE, ours=(("logs", "{task}"),))),
    (r"DependencyNeverSatisfied", Advice(
        "what it waits for has not ended well, so it never starts: cancel it and submit again what "
        "failed", ours=_AGAIN)),
    (r"Dependency|DependencyNotSatisfied", Advice("it waits for other jobs", waits=True)),
    (r"JobArrayTaskLimit", Advice(
        "so many of its array run already (slurm.parallel)", waits=True)),
    (r"PartitionDown|PartitionInactive", Advice(
        "the partition is closed by an administrator: it starts when it is opened; or choose "
        "another partition under [slurm], cancel, and sweep again", ours=(("cancel",),))),
    (r"PartitionNodeLimit|PartitionTimeLimit", Advice(
        "the partition's limit of nodes or time is below what is asked for: ask for less, cancel "
        "it and submit it again", ours=_AGAIN)),
    (r"Reserved for maintenance|ReqNodeNotAvail.*[Mm]aint", Advice(
        "a maintenance begins before it could end: it starts afterwards; a shorter time limit may "
        "start it now", waits=True, command="scontrol show reservation")),
    (r"Nodes required for job are DOWN, DRAINED|ReqNodeNotAvail|NodeDown|Required node", Advice(
        "no node that it may use is in service: see why; it starts when one is back, or choose "
        "another partition or constraint under [slurm]", command="sinfo -R")),
    (r"ReservationDeleted|InvalidReservation|Requested reservation is invalid", Advice(
        "its reservation is gone: take 'reservation' out of [slurm], or name one that is there, "
        "and submit it again", command="scontrol show reservation", ours=_AGAIN)),
    (r"Access denied to requested reservation", Advice(
        "that reservation is not for you: take 'reservation' out of [slurm]",
        command="scontrol show reservation")),
    (r"Reservation", Advice(
        "its reservation has not begun", waits=True, command="scontrol show reservation")),
    (r"BadConstraints|Requested node configuration is not available", Advice(
        "no node has what is asked for: change gpus, gres, mem_gb, cpus, constraint or partition")),
    (r"(QOS|Assoc).*SubmitJob.*Limit|job submit limit|SubmitJobs", Advice(
        "so many of your jobs are in the queue that no more are taken: submit the rest when some "
        "have ended, choose another qos, account or partition, or pack more into each array task "
        "(slurm.max_elements)", ours=(("retry", "--all"),))),
    (r"(QOS|Assoc)\w*(Minutes|Mins|Billing)\w*|AssocGrp\w*Minutes", Advice(
        "the computing time of the account or QOS is used up: choose another account or qos under "
        "[slurm], or ask for more")),
    (r"(QOS|Assoc)Max\w*(PerJob|PerNode|Wall)\w*", Advice(
        "one job asks for more than the QOS or account allows: ask for less time, GPUs, cores or "
        "memory, cancel it and submit it again", ours=_AGAIN)),
    (r"(QOS|Assoc)\w*Limit|QOSGrp\w*|AssocGrp\w*|MaxJobsPer\w*", Advice(
        "a limit of the QOS or account on what runs at once: it starts when others have ended",
        waits=True)),
    (r"QOSNotAllowed|InvalidQOS|AssocNotAllowed|AccountNotAllowed|InvalidAccount", Advice(
        "account and QOS may not use this partition, or are gone: correct them under [slurm]",
        command="sacctmgr show assoc where user=$USER format=Account,Partition,QOS")),
    (r"MaxArraySize|Invalid job array specification", Advice(
        "the array is larger than the cluster takes: more, smaller arrays are submitted")),
    (r"inactive or drain", Advice(
        "the partition takes no new jobs: wait until it is open, or choose another under [slurm]",
        command="sinfo")),
    (r"Licenses", Advice("it waits for licences that others use", waits=True)),
    (r"BeginTime|RaisedSignal|Cleaning|Prolog|NodeBoot\w*|JobLaunch\w*", Advice(
        "Slurm is about to run it (again)", waits=True)),
    (r"Resources|Priority|None", Advice("it waits for its turn", waits=True)),
)  # fmt: skip


def advice(words: str) -> Advice | None:
    """Return what to do about a reason of squeue's, or sbatch's words; null if it is not known."""
    plain = words.replace("_", " ").strip(" ()")
    for expression, found in _REASONS:
        if re.search(expression, words) or re.search(expression, plain):
            return found
    return None


SUBMIT_LIMIT = re.compile(r"SubmitJob\w*Limit|job submit limit", re.IGNORECASE)
ARRAY_LIMIT = re.compile(r"Invalid job array specification|MaxArraySize", re.IGNORECASE)
"""What sbatch says where fewer array tasks, or a smaller array, would be taken."""
