"""What ``annotate import`` shows: each file, then how far each rater has come, then what to do."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import polars as pl

from empathy_core.annotation.checks import PROBLEMS, CellProblem, counted_kinds
from empathy_core.annotation.exclusions import FAST_S, RaterSigns
from empathy_core.annotation.importing import ImportedFile, ImportRules
from empathy_core.annotation.progress import RaterProgress, rater_progress
from empathy_core.annotation.rounds import read_round_ratings
from empathy_core.annotation.settled import adjudications, disputes
from empathy_core.counted import counted
from empathy_core.store import RunDir
from jobs.commands.console import relative
from jobs.planning.ratings.returned import FileOutcome, OpenRound
from jobs.planning.shown_commands import command

_SHOWN = 3
"""Cases of a problem that are shown; all are in the round's imports.jsonl."""


def exit_code(outcomes: Sequence[FileOutcome]) -> int:
    """Return 0 if every file was imported, 1 if some were not, 2 if none was."""
    failed = [one for one in outcomes if one.error]
    if not failed:
        return 0
    return 1 if len(failed) < len(outcomes) else 2


def import_text(
    run: RunDir,
    outcomes: Sequence[FileOutcome],
    rounds: Mapping[str, OpenRound],
    rules: ImportRules,
) -> str:
    """Return what is printed about an import."""
    lines = [line for one in outcomes if one.done for line in _file(one.done, one.round)]
    for one in rounds.values():
        progress = _progress(one, outcomes, rules)
        if all(rater.signs is None for rater in progress):
            continue
        lines += ["", _table(one.of.name, progress), _declared(rules), *_signs(progress, rules)]
        if not rules.dry_run:
            lines.append(f"every repair and problem: {relative(one.folder.imports)}")
    lines += [] if rules.dry_run else list(_next(run, rounds))
    if rules.dry_run:
        lines.append("nothing was written: --dry-run")
    return "\n".join(lines).lstrip("\n")


def _progress(
    one: OpenRound, outcomes: Sequence[FileOutcome], rules: ImportRules
) -> list[RaterProgress]:
    """Return how far raters are after the last file of a round; of a dry run, as they would be."""
    after = [o.done.ratings for o in outcomes if o.done and o.round is one]
    ratings = after[-1] if after else read_round_ratings(one.folder)
    return rater_progress(ratings, one.asked, rules.exclude)


def _file(done: ImportedFile, of: OpenRound | None) -> Iterator[str]:
    name = of.of.name if of else ""
    if done.read is None or done.checked is None or done.merged is None:
        yield f"{done.name}: imported before; nothing changed"
        return
    whose = ", ".join(done.raters) or "nobody"
    n = counted(len(done.checked.rows), "rating")
    yield f"{done.name}: {done.read.format}, {name}, {whose}: {n}"
    merged = done.merged
    yield f"  {merged.n_new:,} new, {merged.n_same:,} as before, {len(merged.changed):,} changed"
    yield from (f"  {note}" for note in done.read.notes)
    if done.checked.elsewhere:
        n = counted(done.checked.elsewhere, "entry", "entries")
        yield f"  {n} under the same answer's item in another packet"
    if done.checked.repairs:
        kinds = ", ".join(f"{kind} {n}" for kind, n in counted_kinds(done.checked.repairs))
        yield f"  {counted(len(done.checked.repairs), 'repair')}: {kinds}"
    yield from _problems(done.problems)


def _problems(problems: Sequence[CellProblem]) -> Iterator[str]:
    for kind, n in counted_kinds(problems):
        of = [one for one in problems if one.kind == kind]
        yield f"  {kind.replace('_', ' ')} ({PROBLEMS[kind]}): {n}"
        yield from (f"    {_case(one)}" for one in of[:_SHOWN])
        if n > _SHOWN:
            yield f"    and {n - _SHOWN} more"


def _case(one: CellProblem) -> str:
    where = ", ".join(filter(None, (one.place, f"item {one.item}", one.dimension)))
    return f"{where}: {one.text}"


def _table(name: str, progress: Sequence[RaterProgress]) -> str:
    head = (
        f"{name:<12} {'done':>11} {'partly':>7} {'skipped':>8} {'ratings':>8} {'no value':>9} "
        f"{'left out':>9} {'s/reply':>8}"
    )
    return "\n".join([head, *map(_row, progress)])


def _row(one: RaterProgress) -> str:
    seconds = "" if one.seconds is None else f"{one.seconds:.0f}"
    return (
        f"{one.rater:<12} {one.done:>5}/{one.asked:<5} {one.partly:>7} {one.skipped:>8} "
        f"{one.ratings:>8} {one.no_value:>9} {one.excluded:>9} {seconds:>8}"
    )


def _declared(rules: ImportRules) -> str:
    """Return which rules leave ratings out."""
    given = {name: value for name, value in asdict(rules.exclude).items() if value is not None}
    listed = ", ".join(f"{name} = {value:g}" for name, value in given.items())
    return f"[annotate.exclude]: {listed or 'no rule, so that no rating is left out'}"


def _signs(progress: Sequence[RaterProgress], rules: ImportRules) -> Iterator[str]:
    """Yield what should be looked at, with what the declared rules make of it."""
    for one in progress:
        if one.signs is None:
            continue
        for text, declared in _of_rater(one.signs, rules):
            rule = "[annotate.exclude]"
            then = f"left out by {rule}" if declared else f"no rule of {rule} leaves it out"
            yield f"{one.rater}: {text}; {then}"


def _of_rater(of: RaterSigns, rules: ImportRules) -> Iterator[tuple[str, bool]]:
    exclude = rules.exclude
    if of.is_straight and of.same_point is not None:
        declared = exclude.straight_lining is not None and of.same_point >= exclude.straight_lining
        yield f"{of.same_point:.0%} of {of.n_scaled} ratings are one and the same point", declared
    if of.attention_failed:
        declared = exclude.attention is not None and of.attention_failed > exclude.attention
        yield f"{of.attention_failed} of {of.attention} attention items failed", declared
    if of.fast:
        n = counted(of.fast, "reply", "replies")
        yield f"{n} rated in less than {exclude.seconds or FAST_S:g} s", bool(exclude.seconds)


def _next(run: RunDir, rounds: Mapping[str, OpenRound]) -> Iterator[str]:
    """Yield what can be done now."""
    records = {name: one.of for name, one in rounds.items()}
    for name, one in rounds.items():
        if one.of.kind == "adjudication":
            continue
        settling = [n for n in adjudications(records) if records[n].of == name]
        ratings = pl.concat(read_round_ratings(rounds[n].folder) for n in (name, *settling))
        n = disputes(ratings, one.asked.scales, settling).height
        if n:
            flags = counted(n, "flag")
            yield f"raters differ on {flags} of {name}; a third person can settle them:"
            yield f"  {command(run, 'annotate', 'adjudicate', '--round', name)}"
    yield f"next: {command(run, 'report')}"


def import_record(
    outcomes: Sequence[FileOutcome], rounds: Mapping[str, OpenRound], rules: ImportRules
) -> dict[str, Any]:
    """Return the same for other programs."""
    return {
        "dry_run": rules.dry_run,
        "files": [_file_record(one) for one in outcomes],
        "rounds": {
            name: list(map(asdict, _progress(of, outcomes, rules))) for name, of in rounds.items()
        },
    }


def _file_record(one: FileOutcome) -> dict[str, Any]:
    done = one.done
    found: dict[str, Any] = {"file": one.name, "round": one.round.of.name if one.round else None}
    if done is None:
        return found | {"imported": False, "error": str(one.error)}
    if done.read is None or done.checked is None or done.merged is None:
        return found | {"imported": True, "sha256": done.digest, "before": True}
    return found | {
        "imported": True,
        "sha256": done.digest,
        "before": False,
        "format": done.read.format,
        "raters": done.raters,
        "ratings": len(done.checked.rows),
        "new": done.merged.n_new,
        "same": done.merged.n_same,
        "notes": list(done.read.notes),
        "repairs": [asdict(repair) for repair in done.checked.repairs],
        "problems": [asdict(problem) for problem in done.problems],
    }
