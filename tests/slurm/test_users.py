"""Plain users: two who share a run, and what a site hides from them."""

import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.slurm.cluster import Cluster
from tests.slurm.runs import drained, held, instead_of, job_ids
from tests.slurm.test_identity import LOST
from tests.slurm.users import (
    FIRST,
    GROUP,
    SECOND,
    User,
    configure,
    lacking,
    open_cluster,
    shared_folder,
)


@pytest.fixture(scope="module")
def plain_users(slurm_programs: None) -> None:
    """Skip where there are none; in CI that is a failure."""
    why = lacking()
    if why and os.environ.get("CI"):
        pytest.fail(why)
    if why:
        pytest.skip(why)


@pytest.fixture(scope="module")
def site(plain_users: None) -> Iterator[Cluster]:
    """A cluster for everybody."""
    with open_cluster() as cluster:
        yield cluster


@pytest.fixture
def shared(plain_users: None) -> Iterator[Path]:
    """A folder of the group's, with a configuration."""
    with shared_folder() as folder:
        configure(folder)
        yield folder


def stages(user: User) -> list[dict[str, Any]]:
    """Return what ``status`` shows a user of the stages on Slurm."""
    done = user.launch("status", "--json")
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout)["stages"])


def total(user: User, what: str) -> int:
    return sum(stage[what] for stage in stages(user))


def test_two_users_share_a_run(site: Cluster, shared: Path):
    """The second sees the first one's jobs, submits none again, cancels none, and goes on."""
    first, second = User(FIRST, site, shared), User(SECOND, site, shared)
    few = ("--set", "models.echo.prompts=['none','prompt1']")
    with held(site):
        submitted = first.launch("sweep", *few)
        seen = total(second, "queued")
        again = second.launch("sweep", *few)
        refused = second.launch("cancel")
        n_left = len(site.queue()) - 1
        cancelled = first.launch("cancel", "generate-echo-00001-of-00003")
        more = second.launch("sweep")
        n_more = len(site.queue()) - 1
    drained(site)
    retried = second.launch("retry")
    drained(site)
    reports = [user.launch("report") for user in (second, first, second)]

    assert submitted.returncode == 0, submitted.stderr
    assert len(job_ids(submitted.stdout)) == 3
    assert (seen, n_left) == (6, 6)
    assert (again.returncode, job_ids(again.stdout)) == (0, []), again.stderr
    assert refused.returncode == 2
    assert f"they are jobs of the user '{FIRST}'" in refused.stderr
    assert more.returncode == 0, more.stderr
    assert n_more > n_left
    assert cancelled.returncode == 0, cancelled.stderr
    assert retried.returncode == 0, retried.stderr
    assert [done.returncode for done in reports] == [0, 0, 0], reports[0].stderr
    assert total(first, "done") == sum(s["done"] for s in stages(second)) == 6
    assert_the_groups(shared / "runs")


def assert_the_groups(root: Path) -> None:
    """Assert that both users may read and write all below *root*, and nobody else any of it."""
    paths = [root, *root.rglob("*")]
    folders = {oct(stat.S_IMODE(p.stat().st_mode)) for p in paths if p.is_dir()}
    files = {oct(stat.S_IMODE(p.stat().st_mode)) for p in paths if p.is_file()}

    assert {p.group() for p in paths} == {GROUP}
    assert {p.owner() for p in paths} == {FIRST, SECOND}
    assert folders == {"0o2770"}
    assert files == {"0o660"}


def test_what_a_site_hides_is_unknown_and_not_gone(plain_users: None, shared: Path):
    """Under PrivateData the second user neither submits again nor calls anything failed."""
    with open_cluster(private="jobs") as site:
        first, second = User(FIRST, site, shared), User(SECOND, site, shared)
        with held(site):
            first.launch("sweep")
            own, theirs = total(first, "queued"), stages(second)
            again, retried = second.launch("sweep"), second.launch("retry")
            refused = second.launch("cancel")
            explained = second.launch("explain", "--failed")
            n_queued = len(site.queue()) - 1
        drained(site)
        after = stages(second)
        done = second.launch("sweep")

    assert own == 6
    assert sum(stage["unknown"] for stage in theirs) == 6
    assert all(stage["failed"] == {} for stage in theirs)
    assert [again.returncode, retried.returncode] == [2, 2]
    assert "jobs are hidden here" in again.stderr
    assert "nobody knows whether Slurm has it" in refused.stderr
    assert explained.returncode == 0, explained.stderr
    assert n_queued == 6
    assert [stage["unknown"] for stage in after] == [0, 0, 0]
    assert (done.returncode, job_ids(done.stdout)) == (0, []), done.stderr


@pytest.fixture
def hidden_partition(site: Cluster) -> Iterator[None]:
    """The default partition, as ``squeue`` without ``-a`` does not show it."""
    site.run("scontrol", "update", "partitionname=cpu", "hidden=yes")
    yield
    site.run("scontrol", "update", "partitionname=cpu", "hidden=no")


@pytest.mark.usefixtures("hidden_partition")
def test_a_hidden_partition_hides_no_job_of_ours(site: Cluster, shared: Path):
    """Neither from who submitted, though sbatch's answers were lost, nor from the other one."""
    first, second = User(FIRST, site, shared), User(SECOND, site, shared)
    env = instead_of(site, shared, "sbatch", LOST)
    with held(site):
        submitted = first.launch("sweep", env=env)
        again = first.launch("sweep")
        seen = total(first, "queued"), total(second, "queued")
        cancelled = first.launch("cancel")
        n_left = len(site.queue()) - 1

    assert submitted.returncode == 0, submitted.stderr
    assert len(job_ids(submitted.stdout)) == 3
    assert job_ids(again.stdout) == []
    assert seen == (6, 6)
    assert cancelled.returncode == 0, cancelled.stderr
    assert n_left == 0


def test_a_run_that_is_not_shared_stays_its_owners(site: Cluster, shared: Path):
    """In a folder that is setgid but that the group cannot write to, nobody else reads anything."""
    own = shared / "own"
    own.mkdir()
    shutil.chown(own, FIRST)
    own.chmod(0o2750)
    configure(own)
    done = User(FIRST, site, own).launch("sweep")
    drained(site)
    paths = list((own / "runs").rglob("*"))

    assert done.returncode == 0, done.stderr
    assert any(path.suffix == ".log" for path in paths)
    assert any(path.name == "index.html" for path in paths)
    assert [p for p in paths if p.stat().st_mode & 0o077] == []
