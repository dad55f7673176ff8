"""Runs of echoes whose rows become more, done in this process: what it takes is the work itself."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from empathy_core.store import RunDir
from jobs.config import read as configuration
from jobs.planning import stages, sweep
from jobs.planning.progress import read_progress
from jobs.planning.sweep import Planned
from jobs.stages.report import report_spec
from reports.write import write_report

ECHO = """
name = "grown"
[data]
duplicates = "keep"
[data.sources.made]
path = "made.csv"
context = "question"
response = "answer"
author = "who"
[evaluate]
split = "all"
block_size = 2
[generation]
shards = 2
[models.therapist]
[models.echo]
prompts = ["none", "prompt1"]
[answers.mine]
path = "mine.csv"
question = "question"
text = "text"
[metrics.bleu]
[metrics.rouge]
[metrics.length]
[metrics.diversity]
[metrics.crisis]
[scoring]
shards = 2
"""

WORDS = ("sleep", "work", "mother", "alone", "anger", "school", "money", "doctor", "night", "son")


def write_rows(folder: Path, n: int = 60) -> None:
    """Write *n* rows, two therapists a question, some texts twice, and answers to import."""
    rows, mine = ["question,answer,who"], ["question,text"]
    for i in range(n):
        asked = f"My {WORDS[i // 2 % 10]} {'troubles me ' * (i // 2 % 7)}since day {i // 2}"
        said = f"Tell me of {WORDS[i % 10]} and {WORDS[(i * 7) % 10]}; breathe {i % 5} times"
        rows.append(f"{asked},{said},t{i % 2}")
        if i % 2 == 0:
            mine.append(f"{asked},You told me of {WORDS[i % 10]}: {said}")
    (folder / "made.csv").write_text("\n".join(rows) + "\n")
    (folder / "mine.csv").write_text("\n".join(mine) + "\n")


def planned(folder: Path, *changes: str, name: str = "grown", text: str = ECHO) -> Planned:
    """Plan the configuration with changes in the run *name* of a folder."""
    (folder / "grown.toml").write_text(text)
    config = configuration.read(str(folder / "grown.toml"), changes)
    return sweep.plan(config, RunDir(folder / "runs" / name), "a test")


def work(run: RunDir, of: Planned, only: Sequence[str] = ()) -> dict[str, int]:
    """Do what a plan lacks, of the stages *only* if some are named; return how much each was."""
    done = {}
    for stage in stages.TABLE:
        if stage.renewed or (only and stage.name not in only):
            continue
        progress = read_progress(run, of.plan)
        if stage.make_room:
            progress = stage.make_room(run, of.plan, progress, stage.lacking(of.plan, progress))
        tasks = stage.lacking(of.plan, progress)
        done[stage.name] = stage.size(of.plan, progress, tasks) if stage.size else len(tasks)
        for task in tasks:
            stage.body()(run, of.plan, task, lambda _: None)
    return done


def swept(folder: Path, *changes: str, name: str = "grown", text: str = ECHO) -> RunDir:
    """Plan, do and report."""
    of, run = planned(folder, *changes, name=name, text=text), RunDir(folder / "runs" / name)
    work(run, of)
    reported(run, of)
    return run


def reported(run: RunDir, of: Planned) -> None:
    """Write the report, which must be whole."""
    assert write_report(run, report_spec(run, of.plan)).problems == ()


def tables(run: RunDir) -> dict[str, bytes]:
    """Return name → content of the files of a report that are made of its numbers alone.

    The page tells how the run was made, and ``summary.json`` the identity of its rows.
    """
    told = ("index.html", "summary.json")
    return {p.name: p.read_bytes() for p in run.report.iterdir() if p.name not in told}


class Killed(BaseException):
    """Stands for the end of the process."""


@contextmanager
def killed_after(n: int) -> Iterator[list[str]]:
    """End what is done by ``Killed`` before the file after *n* others appears; tell their names."""
    real, names = Path.replace, list[str]()

    def replace(path: Path, target: Path) -> Path:
        if len(names) == n:
            raise Killed
        names.append(str(target))
        return real(path, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        yield names


def files(run: RunDir) -> dict[str, bytes]:
    """Return path → content of all files of a run but plans and what only this machine knows."""
    found = {str(p.relative_to(run.root)): p for p in run.root.rglob("*") if p.is_file()}
    told = ("plans/", "report/", ".lock", "copied.json")
    return {name: p.read_bytes() for name, p in found.items() if not name.startswith(told)}
