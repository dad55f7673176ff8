"""One real cluster for the tests of Slurm."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, missing


@pytest.fixture(scope="session")
def slurm_programs() -> None:
    """Skip where Slurm is not installed; in CI that is a failure."""
    absent = missing()
    if absent and os.environ.get("CI"):
        pytest.fail(f"Slurm is not installed here: no {', '.join(absent)}; see tests/system.sh")
    if absent:
        pytest.skip(f"Slurm is not installed here: no {', '.join(absent)}; see tests/system.sh")


@pytest.fixture(scope="session")
def cluster(slurm_programs: None) -> Iterator[Cluster]:
    """Three nodes without and one with GPUs, and accounting; the same for all tests."""
    with tempfile.TemporaryDirectory(prefix="sim-", dir="/tmp") as folder:
        # a power cut is noticed within half a minute, and a busy machine is not taken for one
        patience = {"slurmdtimeout": 20, "messagetimeout": 10}
        started = Cluster.start(Path(folder), acct=True, **patience)
        try:
            yield started
        finally:
            started.stop()


@pytest.fixture(autouse=True)
def nodes_in_service(request: pytest.FixtureRequest) -> Iterator[None]:
    """Leave all nodes of the shared cluster to the next test."""
    shared = "cluster" in request.fixturenames
    found = request.getfixturevalue("cluster") if shared else None
    yield
    if found is not None:
        found.back_in_service()
