"""Folders that appear whole or not at all, and lines that are added to a file."""

import json
from pathlib import Path

import pytest

from empathy_core.errors import StorageError
from empathy_core.store import append_json_line, replace_folder, whole_folder


def names(folder: Path) -> list[str]:
    """Return what is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_has_its_name_only_when_everything_is_in_it(tmp_path: Path) -> None:
    """While it is filled, nobody finds it; then it is there, readable by its owner only."""
    final = tmp_path / "new" / "final"
    with whole_folder(final) as made:
        (made / "file").write_text("all")
        assert not final.exists()

    assert names(tmp_path / "new") == ["final"]
    assert (final / "file").read_text() == "all"
    assert final.stat().st_mode & 0o077 == 0


def test_a_folder_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """An error in the block is raised as it is, and no part stays."""

    def fail() -> None:
        with whole_folder(tmp_path / "x") as made:
            (made / "half").touch()
            raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        fail()

    assert names(tmp_path) == []


def test_a_whole_folder_of_another_process_stays(tmp_path: Path) -> None:
    """Who comes second drops what it made."""
    final = tmp_path / "final"
    with whole_folder(final) as second:
        (second / "file").write_text("second")
        with whole_folder(final) as first:
            (first / "file").write_text("first")

    assert names(tmp_path) == ["final"]
    assert (final / "file").read_text() == "first"


@pytest.mark.parametrize("torn", ["folder", "file"])
def test_what_is_there_and_not_whole_is_renamed_away(tmp_path: Path, torn: str) -> None:
    """It does not stop the new folder, and it is not lost."""
    final = tmp_path / "final"
    if torn == "folder":
        final.mkdir()
        (final / "half").touch()
    else:
        final.touch()
    with whole_folder(final, is_whole=lambda folder: (folder / "file").exists()) as made:
        (made / "file").touch()

    assert names(final) == ["file"]
    assert [name[: len(".final.torn-")] for name in names(tmp_path)] == [".final.torn-", "final"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A file that stands where a parent must be is said to."""
    (tmp_path / "file").touch()
    with (
        pytest.raises(StorageError, match="file is not a folder"),
        whole_folder(tmp_path / "file" / "final"),
    ):
        pass


def test_a_folder_takes_the_place_of_another(tmp_path: Path) -> None:
    """The old one is gone, or kept where it is asked for, in the place of what was kept before."""
    kept = tmp_path / "kept"
    for text in ("first", "second", "third"):
        made = tmp_path / "made"
        made.mkdir()
        (made / text).touch()
        replace_folder(made, tmp_path / "final", kept if text == "third" else None)

    assert names(tmp_path) == ["final", "kept"]
    assert (names(tmp_path / "final"), names(kept)) == (["third"], ["second"])


def test_a_line_survives_a_torn_line_before_it(tmp_path: Path) -> None:
    """A line that a power cut has torn takes the next one not along."""
    path = tmp_path / "jobs.jsonl"
    append_json_line({"job": 1}, path, flush=True)
    with path.open("a") as file:
        file.write('{"job": 2')
    append_json_line({"job": 3, "why": "ä"}, path, flush=True)
    lines = [line for line in path.read_text().splitlines() if line.endswith("}")]

    assert [json.loads(line) for line in lines] == [{"job": 1}, {"job": 3, "why": "ä"}]
    assert path.stat().st_mode & 0o777 == 0o600
