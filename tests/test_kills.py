"""Killed wherever it changes a file, a sweep goes on, and ends with the same bytes."""

import subprocess
from pathlib import Path

from tests import preloaded
from tests.killed import RECORD, places
from tests.patience import until
from tests.runs.command_line import contents, environment, launch, write_config

MOST = 200


def test_a_kill_at_every_change_of_a_file_leaves_the_same_bytes(tmp_path: Path):
    """Launcher or worker, killed -9 once at each place in the code that changes the run."""
    config = str(write_config(tmp_path))
    calm = launch("sweep", "--config", config, "--name", "calm", cwd=tmp_path)
    assert calm.returncode == 0, calm.stderr
    record = tmp_path / "killed.jsonl"
    command = [preloaded.python(), "-m", "tests.killed", "-m", "jobs.launch", "sweep"]
    command += ["--executor", "local"]
    for _ in range(MOST):
        before = len(places(record))
        done = subprocess.run(
            [*command, "--config", config, "--name", "wild"],
            cwd=tmp_path,
            env=environment({RECORD: str(record)}),
            capture_output=True,
            text=True,
            check=False,
        )
        _all_gone(tmp_path / "pids")
        if len(places(record)) == before:
            break
    assert done.returncode == 0, done.stderr
    (tmp_path / "runs/wild/examples/.examples.parquet.0f0f0f0f.tmp").write_bytes(b"half")

    final = launch("sweep", "--config", config, "--name", "wild", cwd=tmp_path)

    assert final.returncode == 0, final.stderr
    assert contents(tmp_path / "runs" / "wild") == contents(tmp_path / "runs" / "calm")
    _every_kind_was_met(places(record))


def _every_kind_was_met(killed: list[list[str]]) -> None:
    """Rows, plan, journal, pieces of answers and scores, and report; nowhere twice."""
    assert len(killed) >= 50
    story = {" ".join(reversed(place)) for place in killed}
    for words in (
        "plan", "journal", "generate", "score", "report", "os.rename", "os.fsync", "os.write",
    ):  # fmt: skip
        assert any(words in place for place in story), words


def _all_gone(pids: Path) -> None:
    """Workers die with their parent."""
    ended = until(lambda: not any(_alive(int(pid)) for pid in pids.read_text().split()), nap_s=0.02)
    assert ended, "a worker outlived its parent"
    pids.unlink()


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
