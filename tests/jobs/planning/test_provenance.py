"""What a plan records of the code that made it."""

import subprocess
from pathlib import Path

import pytest

from jobs.planning.provenance import uncommitted


def git(folder: Path, *arguments: str) -> None:
    """Run git as somebody."""
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    subprocess.run(["git", "-C", folder, *who, *arguments], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with the suite's packages, all committed."""
    for name in ("jobs/stages/made.py", "reports/made.py", "notes.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("OLD = 1\n")
    (tmp_path / ".gitignore").write_text("__pycache__/\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "all")
    return tmp_path


def test_a_checkout_as_committed_has_no_changes(checkout: Path):
    """Files beside the packages, and those that git ignores, are none either."""
    (checkout / "scratch.py").write_text("MINE = 1\n")
    (checkout / "jobs/__pycache__").mkdir()
    (checkout / "jobs/__pycache__/made.pyc").write_text("compiled")

    assert uncommitted(checkout) == ""
    assert uncommitted(checkout.parent) == ""


def test_changed_and_new_files_of_the_packages_are_recorded_whole(checkout: Path):
    """A file that git does not track changes what runs as much as a changed one."""
    (checkout / "reports/made.py").write_text("OLD = 2\n")
    (checkout / "jobs/stages/words.py").write_text("NEW = 3\n")
    (checkout / "empathy_core/a folder").mkdir(parents=True)
    (checkout / "empathy_core/a folder/é.toml").write_text("own = 4\n")

    recorded = uncommitted(checkout).splitlines()

    assert {"-OLD = 1", "+OLD = 2", "+NEW = 3", "+own = 4"} <= set(recorded)
    assert "+++ b/jobs/stages/words.py" in recorded
