"""Which submit limits hold for an array task, in Slurm's own order of precedence, and what fits."""

import getpass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.executors.slurm.room import Room, closed_partitions, fitted
from jobs.planning.plan import Task
from slurm import limits
from slurm.limits import Accounting, Association, Limit, Placement, Quality, UsedSlot
from slurm.partitions import Partition, parse_partitions
from slurm.profile import Resources

PARTITIONS = {
    "cpu": Partition("cpu", default=True),
    "gpu": Partition("gpu", qos="gpu"),
}
ME = Accounting(
    own=(Association("lab", most=40, parent="", default_qos=""),),
    above={"lab": Association("lab", group=60, parent="root"), "root": Association("root")},
    qualities={
        "normal": Quality("normal"),
        "short": Quality("short", per_user=7),
        "gpu": Quality("gpu", per_user=10, group=90),
        "boss": Quality("boss", per_user=500, over_partition=True),
    },
)


def bounds(account: str | None, qos: str | None, partition: str | None) -> dict[str, int]:
    found = limits.submit_limits([Placement(account, qos, partition)], PARTITIONS, ME)
    return {limit.name: limit.most for limit in found}


USER = "MaxSubmitJobs of your association with account lab"
LAB = "GrpSubmitJobs of account lab"


@pytest.mark.parametrize(
    ("qos", "partition", "found"),
    [
        (None, None, {USER: 40, LAB: 60}),
        ("short", "cpu", {"MaxSubmitJobsPerUser of QOS short": 7, LAB: 60}),
        ("short", "gpu", {"MaxSubmitJobsPerUser of QOS gpu": 10, "GrpSubmitJobs of QOS gpu": 90}),
        ("boss", "gpu", {"MaxSubmitJobsPerUser of QOS boss": 500, "GrpSubmitJobs of QOS gpu": 90}),
        (None, "cpu,gpu", {USER: 40, LAB: 60, "MaxSubmitJobsPerUser of QOS gpu": 10,
                           "GrpSubmitJobs of QOS gpu": 90}),
    ],
)  # fmt: skip
def test_the_first_limit_of_a_kind_holds(
    qos: str | None, partition: str | None, found: dict[str, int]
):
    """The partition's QOS goes before the job's, unless that one is above; then the accounts."""
    assert bounds("lab", qos, partition) == found


def test_an_account_that_is_not_the_users_has_no_limits_of_theirs():
    """Only the association that is asked for counts."""
    assert bounds("other", None, "cpu") == {}


def test_only_what_counts_against_a_limit_takes_its_room():
    """Jobs of the partition count for its QOS; other accounts do not count for an association."""
    used = [
        UsedSlot("lab", "normal", "gpu"),
        UsedSlot("lab", "gpu", "cpu"),
        UsedSlot("lab", "normal", "cpu"),
    ]
    used += [UsedSlot("other", "normal", "cpu")]

    assert Limit("", 10, qos="gpu").room(used, PARTITIONS) == 8
    assert Limit("", 10, accounts=frozenset({"lab"})).room(used, PARTITIONS) == 7
    assert Limit("", 10, accounts=frozenset({"lab"}), partition="gpu").room(used, PARTITIONS) == 9
    assert Limit("", 10).room(used, PARTITIONS) == 6
    assert Limit("", 3).room(used, PARTITIONS) == 0


SACCTMGR = """#!/bin/bash
echo "$*" >> "$0.asked"
case "$*" in
*"where user=$(id -un)"*) echo "lab||40|||";;
*account=lab*) echo "lab|||60||root";;
*account=root*) echo "root|||||";;
*qos*) echo "normal||||"; echo "gpu|10||90|DenyOnLimit,OverPartQOS";;
esac
"""


def test_only_this_user_is_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """One query for the own association, one for each level of accounts, one for the QOS."""
    (tmp_path / "sacctmgr").write_text(SACCTMGR)
    (tmp_path / "sacctmgr").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = limits.read_accounting("sim")
    asked = (tmp_path / "sacctmgr.asked").read_text().splitlines()

    assert found.own == (Association("lab", most=40),)
    assert found.above == {
        "lab": Association("lab", group=60, parent="root"), "root": Association("root"),
    }  # fmt: skip
    assert found.qualities == {
        "normal": Quality("normal"),
        "gpu": Quality("gpu", per_user=10, group=90, over_partition=True),
    }
    assert len(asked) == 4
    assert f"user={getpass.getuser()}" in asked[0]
    assert all("user= " in line for line in asked[1:3])
    assert all("cluster=sim" in line for line in asked[:3])


@pytest.mark.parametrize("script", ["", "echo 'not a supported plugin' >&2; exit 1"])
def test_a_site_without_accounting_has_no_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
):
    """Where sacctmgr is absent or refuses, nothing is known, and nothing is held back."""
    if script:
        (tmp_path / "sacctmgr").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "sacctmgr").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert limits.read_accounting() == Accounting()


def test_partitions_are_read():
    """With their state, QOS, and which one is the default."""
    text = (
        "PartitionName=cpu Default=YES QoS=N/A PriorityTier=10 State=DRAIN TRES=cpu=24\n"
        "PartitionName=gpu AllowQos=ALL Default=NO QoS=gpu State=UP\n"
    )

    assert parse_partitions(text) == {
        "cpu": Partition("cpu", "DRAIN", default=True), "gpu": Partition("gpu", qos="gpu"),
    }  # fmt: skip


def test_a_closed_partition_is_told_of():
    """Of those that are asked for, the default included."""
    known = {"cpu": Partition("cpu", "DOWN", default=True), "gpu": Partition("gpu", "DRAIN")}

    assert closed_partitions([Resources(), Resources()], known) == [
        "partition 'cpu' is DOWN: it takes jobs, and starts none until an administrator opens it"
    ]
    assert closed_partitions([Resources(partition="gone")], known) == []


def group(stage: str, key: str, n: int) -> list[Task]:
    return [Task(stage, key, i, n) for i in range(n)]


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    rooms=st.lists(
        st.tuples(st.sets(st.integers(0, 4), min_size=1), st.integers(1, 60)), max_size=4
    ),
)
def test_what_is_packed_fits_under_every_limit(sizes: list[int], rooms: list[tuple[set[int], int]]):
    """No limit is passed, no task is done twice, and without limits each is an array task."""
    grouped = [group("generate", f"m{i}", n) for i, n in enumerate(sizes)]
    given_rooms = [
        Room({i for i in groups if i < len(sizes)}, n, Limit("", n)) for groups, n in rooms
    ]
    dealt = fitted(grouped, sorted(given_rooms, key=lambda room: -len(room.groups)))
    done = [task for bundles in dealt for bundle in bundles for task in bundle]

    assert all(sum(len(dealt[i]) for i in room.groups) <= room.n for room in given_rooms)
    assert len(done) == len(set(done))
    assert set(done) <= {task for tasks in grouped for task in tasks}
    if not rooms:
        assert [len(bundles) for bundles in dealt] == sizes


def test_a_limit_of_one_partition_packs_only_what_goes_there():
    """Other groups keep an array task for each of their tasks."""
    grouped = [group("generate", "large", 40), group("generate", "small", 40)]
    dealt = fitted(grouped, [Room([0], 10, Limit("", 10))])

    assert [len(bundles) for bundles in dealt] == [10, 40]
    assert sum(map(len, dealt[0])) == 40
