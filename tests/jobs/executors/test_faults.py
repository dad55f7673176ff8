"""Failures with one cause are one entry; nodes that fail most of what they take are named."""

from pathlib import Path

import pytest
from scipy.stats import fisher_exact

from jobs.executors.faults import Failure, cause, faults
from jobs.executors.slurm.failing_nodes import ALPHA, NodeAttempt, failing_nodes


def failure(message: str, node: str = "c1", kind: str = "exception", n: int = 0) -> Failure:
    return Failure(f"generate-m-{n:05d}-of-01000", "generate m", kind, message, node, Path("0.log"))


ALIKE = (
    ("echo failed on made-00010, as asked", "echo failed on made-00999, as asked"),
    ("no file '/scratch/user7/a b'", "no file '/tmp/job_12.x/a b'"),
    ("GPU-8f3a12cd-aaaa-bbbb-cccc-0123456789ab is lost", "GPU-0011aabb-cdef-0000-ffff-1 is lost"),
    ("lacks 18 of 24 rows (examples a-1, a-2, a-3)", "lacks 1 of 24 rows (examples a-7)"),
    ("slurmstepd: error: *** JOB 12 ON c1 CANCELLED AT 2026-11-25T10:00:00 ***",
     "slurmstepd: error: *** JOB 13 ON c2 CANCELLED AT 2026-11-26T11:30:05 ***"),
    ("division by zero\nin line 7", "division by zero\nin a later one"),
)  # fmt: skip


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_numbers_ids_and_paths_do_not_make_another_cause(one: str, other: str):
    """What varies from task to task is left out; so are further lines."""
    assert cause("exception", one) == cause("exception", other)


def test_other_words_or_another_class_are_another_cause():
    """Messages that say different things stay apart, and so do classes."""
    causes = {
        cause("exception", "CUDA error"), cause("bad node", "CUDA error"),
        cause("exception", "division by zero"), cause("exception", ""),
    }  # fmt: skip

    assert len(causes) == 4


def test_a_thousand_tasks_with_one_error_are_one_fault():
    """It has the count, the counts of the nodes, and the first task as its example."""
    many = [failure(f"failed on row {n}", f"c{n % 3}", n=n) for n in range(1000)]
    [fault, other] = faults([failure("another thing"), *many])

    assert (fault.n, other.n) == (1000, 1)
    assert fault.nodes == {"c0": 334, "c1": 333, "c2": 333}
    assert fault.example.task == "generate-m-00000-of-01000"
    assert not fault.alike


def attempts(node: str, n_failed: int, n_well: int, work: str = "generate") -> list[NodeAttempt]:
    flags = [True] * n_failed + [False] * n_well
    return [NodeAttempt((work, "cpu"), node, failed) for failed in flags]


def named(*groups: list[NodeAttempt], least: int = 3) -> list[str]:
    return [node.node for node in failing_nodes([t for group in groups for t in group], least)]


def test_a_broken_node_among_others_is_named():
    """Even where rows of the data fail everywhere as well."""
    assert named(attempts("c1", 0, 6), attempts("c2", 13, 0), attempts("c3", 0, 5)) == ["c2"]
    assert named(attempts("c1", 2, 3), attempts("c2", 13, 0), attempts("c3", 3, 3)) == ["c2"]


@pytest.mark.parametrize(
    "groups",
    [
        (attempts("c1", 50, 0),),  # nobody to compare with
        (attempts("c1", 50, 0), attempts("c2", 40, 0)),  # everything fails
        (attempts("c1", 3, 3), attempts("c2", 3, 3)),  # half of everything
        (attempts("c1", 2, 0), attempts("c2", 0, 90)),  # too few
        (attempts("c1", 3, 2), attempts("c2", 2, 3)),  # by chance
        (attempts("c1", 9, 0, "generate"), attempts("c2", 0, 9, "score")),  # other work
    ],
)
def test_no_node_is_named_without_evidence(groups: tuple[list[NodeAttempt], ...]):
    """One that is alone, what fails everywhere, chance, and other work are no evidence."""
    assert named(*groups) == []


def test_zero_means_that_no_node_is_ever_named():
    """The setting switches it off."""
    assert named(attempts("c1", 30, 0), attempts("c2", 0, 30), least=0) == []


@pytest.mark.parametrize("others_failed", range(12))
def test_the_threshold_is_fishers_exact_test(others_failed: int):
    """As SciPy's own test decides, times the two nodes."""
    groups = (attempts("c1", 8, 1), attempts("c2", others_failed, 24 - others_failed))
    table = [[8, 1], [others_failed, 24 - others_failed]]
    p = float(fisher_exact(table, alternative="greater").pvalue)

    assert (named(*groups) == ["c1"]) == (2 * p <= ALPHA)
