"""The rounds: candidates beside their parent on growing subsets of validation, and who goes on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from empathy_core.errors import Incomplete
from empathy_core.store import write_bytes
from jobs.commands.refining.steps import StepRunner, rated, read_rows
from jobs.config.refinements import target_of
from jobs.config.schema import Config
from jobs.planning.refining.configs import round_config, round_name
from jobs.planning.refining.settings import BegunRefinement
from reports.numbers.refined import RANKINGS, PromptRows, RoundResult, RowsOfRun, round_result


@dataclass(frozen=True)
class Ranked:
    """What the rounds left.

    Attributes:
        best: Candidates after the last round, the best first.
        rows: Of these and the parent, on all validation rows of the rounds.
    """

    best: tuple[str, ...]
    rows: PromptRows


def rank(
    config: Config, begun: BegunRefinement, names: Sequence[str], runner: StepRunner
) -> Ranked:
    """Do the rounds, as far as they are not done, and return the candidates in order.

    Raises:
        StepPending: A round failed, or is on Slurm.
    """
    known, parts = _known(begun), []
    alive, lines = tuple(names), list[dict[str, Any]]()
    for number in range(1, len(begun.rows.rounds) + 1):
        parts.append(_rows_of(config, begun, number, alive, None if number in known else runner))
        result = _result(config, begun, number, alive, parts)
        lines += result.lines(begun.parent.name)
        _write(begun, lines)
        alive = tuple(name for i, name in enumerate(alive) if i in result.kept)
    return Ranked(tuple(result.names[i] for i in result.order), result.rows)


def _rows_of(
    config: Config,
    begun: BegunRefinement,
    number: int,
    alive: Sequence[str],
    runner: StepRunner | None,
) -> RowsOfRun:
    """Return the rows of one round; without a *runner* it is done already."""
    step = round_name(number)
    run = begun.folder.step(step)
    if runner is None:
        return read_rows(run)
    paths = [begun.folder.prompt(name) for name in (begun.parent.name, *alive)]
    target = target_of(config, begun.table)
    ids = begun.folder.ids(step)
    return runner.rows(round_config(config, begun.table, step, paths, ids, target), run)


def _result(
    config: Config,
    begun: BegunRefinement,
    number: int,
    alive: tuple[str, ...],
    parts: Sequence[RowsOfRun],
) -> RoundResult:
    """Return where candidates stand on the rows of all rounds so far.

    Raises:
        Incomplete: The target is people's ratings, and there are none of a round.
    """
    target, parent = target_of(config, begun.table), begun.parent.name
    try:
        rows = PromptRows.of(parts, [parent, *alive], target.name)
    except Incomplete as error:
        told = rated(begun.folder.step(round_name(number)))
        raise Incomplete(f"{error}; {told}") from error
    last = number == len(begun.rows.rounds)
    share = 0.0 if last else begun.table.keep
    return round_result(number, rows, parent, alive, target.better, (share, begun.table.tested))


def _write(begun: BegunRefinement, lines: Sequence[dict[str, Any]]) -> None:
    frame = pl.DataFrame(lines, schema=RANKINGS)
    write_bytes(frame.write_csv().encode(), begun.folder.rankings)


def _known(begun: BegunRefinement) -> set[int]:
    """Return the rounds whose rankings are written: their rows are there."""
    if not begun.folder.rankings.exists():
        return set()
    return set(pl.read_csv(begun.folder.rankings, schema=RANKINGS)["round"].to_list())
