"""One real cluster for the tests of Slurm."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, missing

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let a test wait once more where its patience ended, since a machine may be too busy.

    Its name stands in the summary then, and what went wrong where it fails again; what is not as
    expected fails at once.
    """
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.flaky(reruns=1, only_rerun="TimeoutError"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Show what the failed array tasks of a failed test said, and the controller."""
    report = yield
    if call.excinfo is not None and "cluster" in getattr(item, "funcargs", {}):
        folder, cluster = item.funcargs.get("tmp_path"), item.funcargs["cluster"]
        logs = sorted(folder.glob("runs/*/slurm/*/logs/*.log")) if folder else []
        for log in [*logs[-4:], cluster.folder / "log" / "slurmctld.log"]:
            lines = log.read_text(errors="replace").splitlines()[-12:]
            report.sections.append((str(log), "\n".join(lines)))
    return report


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
    """Leave all nodes of the shared cluster, and an empty queue, to the next test."""
    shared = "cluster" in request.fixturenames
    found = request.getfixturevalue("cluster") if shared else None
    yield
    if found is not None:
        found.clear()
        found.back_in_service()
