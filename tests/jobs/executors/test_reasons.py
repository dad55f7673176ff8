"""Slurm's words for why a job waits or is refused, and what to do about it."""

import pytest

from slurm.reasons import ARRAY_LIMIT, SUBMIT_LIMIT, advice

SAID = (
    ("JobHeldUser", False, "scontrol release 12_3", ()),
    ("launch failed requeued held", False, "scontrol release 12_3", ("cancel", "retry")),
    ("launch_failed_requeued_held", False, "scontrol release 12_3", ("cancel", "retry")),
    ("job requeued in held state", False, "scontrol release 12_3", ("logs",)),
    ("JobHeldAdmin", False, "scontrol show job 12_3", ()),
    ("DependencyNeverSatisfied", False, "", ("cancel", "retry")),
    ("Dependency", True, "", ()),
    ("Priority", True, "", ()),
    ("PartitionDown", False, "", ("cancel",)),
    ("ReqNodeNotAvail, UnavailableNodes:c[1-3]", False, "sinfo -R", ()),
    ("ReqNodeNotAvail, Reserved for maintenance", True, "scontrol show reservation", ()),
    ("ReservationDeleted", False, "scontrol show reservation", ("cancel", "retry")),
    ("Reservation", True, "scontrol show reservation", ()),
    ("QOSMaxJobsPerUserLimit", True, "", ()),
    ("AssocGrpCPUMinutesLimit", False, "", ()),
    ("QOSMaxSubmitJobPerUserLimit", False, "", ("retry",)),
    ("AssocMaxSubmitJobLimit", False, "", ("retry",)),
)


@pytest.mark.parametrize(("words", "waits", "command", "ours"), SAID)
def test_each_reason_has_its_next_step(
    words: str, waits: bool, command: str, ours: tuple[str, ...]
):
    """Whether it goes on by itself, Slurm's command about the job, and ours."""
    found = advice(words)
    assert found is not None

    assert found.waits is waits
    assert found.command_for("12_3") == command
    assert tuple(each[0] for each in found.ours_for("generate-m-0-of-1")) == ours


def test_an_unknown_reason_has_no_advice():
    """Slurm's words are shown as they are."""
    assert advice("SomethingNew") is None


def test_refusals_that_name_a_limit_are_known():
    """Of submit limits and of large arrays; no other refusal is one."""
    assert SUBMIT_LIMIT.search("sbatch: error: QOSMaxSubmitJobPerUserLimit")
    assert SUBMIT_LIMIT.search("AssocMaxSubmitJobLimit; Batch job submission failed")
    assert ARRAY_LIMIT.search("Batch job submission failed: Invalid job array specification")
    assert not SUBMIT_LIMIT.search("Invalid account or account/partition combination specified")
