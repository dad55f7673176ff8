"""Candidates that were frozen, read again: whatever they hold, and whatever became of the files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from empathy_core import prompts
from empathy_core.errors import Damaged, RunMismatch
from empathy_core.refining.candidates import from_instructions, told_apart
from empathy_core.refining.rows import RefinementRows
from empathy_core.store import RefinementDir, RunDir
from jobs.commands.refining.exported import CANDIDATES, export
from jobs.commands.refining.found import found
from jobs.config import read as configuration
from jobs.config.refine import RefineTable
from jobs.planning.refining import looks
from jobs.planning.refining.settings import BegunRefinement, begin

PARENT = prompts.prompt("prompt2")
ODD = "Listen.\u2028Ask one question.\u0085Then wait.\x1c Ünïcode 🙂"
"""All of these characters may stand in a line of JSON; some of them end a line of a text."""


def _begun(folder: Path, instructions: tuple[tuple[str, str], ...]) -> BegunRefinement:
    """Return a refinement whose candidates, all of a file, are about to be frozen."""
    lines = [json.dumps({"instructions": of, "name": name}, ensure_ascii=False)
             for name, of in instructions]  # fmt: skip
    (folder / "c.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    table = RefineTable(
        model="echo", parent="prompt2", target="rougeL", candidates_file=str(folder / "c.jsonl")
    )
    directory = RefinementDir.of(RunDir(folder / "run"), "r")
    return BegunRefinement("r", table, directory, PARENT, RefinementRows((), ((),)), "test", 3)


def _found(begun: BegunRefinement) -> list[Any]:
    unused: Any = None  # neither a configuration nor a step is needed for candidates of a file
    return found(unused, begun, unused)


def test_candidates_with_any_character_are_read_as_they_were_written(tmp_path: Path) -> None:
    """A line ends in a line feed alone; DSPy and models write U+2028 as well."""
    begun = _begun(tmp_path, (("odd", ODD), ("plain", "Be kind.")))
    first, again = _found(begun), _found(begun)

    assert [one.said for one in first] == [ODD, "Be kind."]
    assert again == told_apart(from_instructions([("odd", ODD), ("plain", "Be kind.")], PARENT,
                                                 "c.jsonl"), PARENT)  # fmt: skip
    assert again[0].prompt is not None
    assert ODD in again[0].prompt.plain("Q?")


def test_they_are_exported_likewise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes out goes in again."""
    begun = _begun(tmp_path, (("odd", ODD),))
    _found(begun)
    monkeypatch.setattr("jobs.commands.refining.exported._examples", lambda *_: iter(()))
    unused: Any = None
    export(begun, unused, unused, tmp_path / "out")
    lines = (tmp_path / "out" / CANDIDATES).read_text(encoding="utf-8").split("\n")

    assert [json.loads(line)["instructions"] for line in lines if line][1:] == [ODD]


@pytest.mark.parametrize(
    "instructions",
    [
        (("one", "Listen first."), ("two", "Be brief.")),
        (("one", "LISTEN."),),
        (("another", "Listen."),),
    ],
)
def test_other_words_in_the_file_are_refused(
    tmp_path: Path, instructions: tuple[tuple[str, str], ...]
) -> None:
    """The same file with other words would be passed over: what it says now takes no part."""
    _found(_begun(tmp_path, (("one", "Listen."),)))
    with pytest.raises(RunMismatch, match=r"candidates_file\): expected .* another name"):
        _found(_begun(tmp_path, instructions))


@pytest.mark.parametrize(
    "broken",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"digest"', '"digits"'),
        lambda text: text.replace('"said"', '"sad"'),
        lambda text: "[]\n" + text,
    ],
)
def test_a_file_of_candidates_that_was_damaged_is_named(
    tmp_path: Path, broken: Callable[[str], str]
) -> None:
    """With what to do, in the place of a traceback."""
    begun = _begun(tmp_path, (("one", "Listen."),))
    _found(begun)
    begun.folder.candidates.write_text(broken(begun.folder.candidates.read_text()))
    with pytest.raises(Damaged, match=r"candidates\.jsonl cannot be read .*expected .*restore it"):
        _found(begun)


@pytest.mark.parametrize("line", ['{"refin', '{"refinement": "r"}', "[1]", "7"])
def test_a_damaged_count_of_looks_is_named(tmp_path: Path, line: str) -> None:
    """A look must not be forgotten without a word."""
    run = RunDir(tmp_path)
    run.test_looks.parent.mkdir(parents=True)
    run.test_looks.write_text(f"{line}\n")
    with pytest.raises(Damaged, match=r"test-looks\.jsonl cannot be read .*expected .*restore"):
        looks.looks(run)


ROUNDS = tuple(range(1, 12))  # more than nine: as text, round-10 comes before round-2
CONFIG = f"""
name = "echo"
[data.sources.sample]
[data]
fractions = [0.05, 0.55, 0.4]
[models.echo]
prompts = []
[metrics.rouge]
[refine.r]
model = "echo"
parent = "prompt2"
candidates = ["prompt1"]
target = "rougeL"
rounds = {list(ROUNDS)}
worst_of = 4
"""


def _begin(folder: Path) -> BegunRefinement:
    (folder / "echo.toml").write_text(CONFIG)
    return begin(configuration.read(str(folder / "echo.toml"), ()), "r", RunDir(folder / "run"))


def test_rounds_keep_their_order_and_share_no_question(tmp_path: Path) -> None:
    """Begun, and begun again from what was frozen."""
    first, again = _begin(tmp_path), _begin(tmp_path)
    drawn = [*first.rows.proposing, *(i for ids in first.rows.rounds for i in ids)]

    assert again.rows == first.rows
    assert [len(ids) for ids in first.rows.rounds] == [1] * len(ROUNDS)
    assert len(drawn) == len(set(drawn)) == 4 + ROUNDS[-1]
    files = [first.folder.ids(f"round-{i}").read_text().split() for i in ROUNDS]
    assert files == [list(ids) for ids in first.rows.rounds]


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("rows/round-2.txt", "sample-00001\n", "the ids that were drawn"),
        ("rows/round-1.txt", "", "the ids that were drawn"),
        ("prompts/prompt2.toml", None, "the words of the parent prompt"),
        ("settings.json", "{", "the settings of a refinement"),
        ("settings.json", '{"settings": {}}', "the settings of a refinement"),
        ("settings.json", "[]", "the settings of a refinement"),
    ],
)
def test_a_frozen_file_that_was_changed_is_named(
    tmp_path: Path, file: str, text: str | None, said: str
) -> None:
    """Rows to propose from could else be scored on, and the parent be another prompt."""
    path = _begin(tmp_path).folder.root / file
    path.write_text(path.read_text().replace("licensed", "famous") if text is None else text)
    with pytest.raises(Damaged) as told:
        _begin(tmp_path)

    assert path.name in str(told.value)
    assert f"expected {said}" in str(told.value)
    assert "restore it from a copy" in str(told.value)


@pytest.mark.parametrize("file", ["rows/round-1.txt", "prompts/prompt2.toml"])
def test_a_frozen_file_that_is_gone_is_named(tmp_path: Path, file: str) -> None:
    """Likewise."""
    path = _begin(tmp_path).folder.root / file
    path.unlink()
    with pytest.raises(Damaged, match="is not what was frozen: expected"):
        _begin(tmp_path)
