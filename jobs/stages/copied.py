"""Answers of another run that hold for a plan, proven row by row; that run is only read.

An answer is taken where the model, the prompt and the decoding are the same, the question is the
same text, and the prompt that the model was given is the same to the token. Of a decoding that
draws, the example must bear the same name too, since the draw depends on it. Scores of it are taken
where the metric's signature is the same and everything that the metric is shown.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from empathy_core import data, metrics, store
from empathy_core.counted import counted
from empathy_core.data.contexts import contexts_of, has_turns
from empathy_core.errors import ConfigError
from empathy_core.prompts.rendering import prompt_digests
from empathy_core.store import (
    EVALUATED,
    CheckedFolder,
    Journal,
    LoadedPiece,
    Piece,
    RunDir,
    check_folder,
)
from empathy_core.types import Condition, digest
from jobs.planning.plan import Plan
from jobs.planning.plan_file import read_plan
from jobs.planning.progress import answer_tags, read_answers, score_tags
from jobs.planning.resolving.resolve import Resolved
from jobs.planning.sweep import Planned
from jobs.stages import known_scores
from jobs.stages.score import load, metric_rows

_ROW = ("example", "sample")
RECORD = "copied.json"


@dataclass(frozen=True)
class CopiedAnswers:
    """What of another run holds for a plan.

    Attributes:
        origin: That run.
        answers: Condition id → answers (``store.GENERATIONS``), under the examples of the plan.
        scores: (metric key, condition id) → statistics, as ``known_scores.write`` takes them.
        n_wanted: Answers that the conditions of the plan are to have, imported ones aside.
        taken_from: Condition id → the conditions of the other run.
        unusable: Files of it that could not be used, with the reason.
    """

    origin: RunDir
    answers: Mapping[str, pl.DataFrame]
    scores: Mapping[tuple[str, str], pl.DataFrame]
    n_wanted: int
    n_conditions: int
    taken_from: Mapping[str, Sequence[str]]
    unusable: tuple[str, ...] = ()

    @property
    def n_kept(self) -> int:
        """How many answers are taken."""
        return sum(rows.height for rows in self.answers.values())

    def text(self) -> str:
        """Return what a person should know of it."""
        lines = [
            f"kept {self.n_kept:,} of {counted(self.n_wanted, 'answer')} of "
            f"{counted(self.n_conditions, 'condition')} from {self.origin.root}; "
            f"{self.n_wanted - self.n_kept:,} to generate"
        ]
        if n_scores := sum(rows.height for rows in self.scores.values()):
            lines.append(f"kept {counted(n_scores, 'score')} of single answers with them")
        lines += [f"not used: {reason}" for reason in self.unusable]
        return "\n".join(lines)

    def write(self, plan: Plan, run: RunDir) -> None:
        """Write what holds into the run of the plan, under its lock; a second time changes nothing.

        Whole blocks become result files, of others the answers wait beside for the rest.
        """
        blocks = data.load(run).filter(EVALUATED)
        sizes = dict(blocks.group_by("block").len().iter_rows())
        for condition in plan.conditions:
            rows = self.answers.get(condition.id)
            if rows is None:
                continue
            there = [*read_answers(run, condition.id, plan.data_digest).blocks]
            rows = rows.filter(~pl.col("block").is_in(there))
            n = {block: size * condition.decoding.n_samples for block, size in sizes.items()}
            whole = [b for (b,), of in rows.group_by("block") if of.height == n[b]]
            written = _write_pieces(rows.filter(pl.col("block").is_in(whole)), condition, plan, run)
            _write_rows(rows.filter(~pl.col("block").is_in(written)), condition, run)
        for (key, condition_id), scores in self.scores.items():
            known_scores.write(scores, run, key, condition_id)
        store.write_json(self._record(), run.root / RECORD)

    def _record(self) -> dict[str, Any]:
        return {
            "from": self.origin.root.name,
            "conditions": {
                condition: {
                    "from": list(self.taken_from[condition]),
                    "answers": rows.height,
                    "digest": digest(sorted(rows.select(*_ROW, "text", "output_ids").rows())),
                }
                for condition, rows in self.answers.items()
            },
        }


def _write_pieces(rows: pl.DataFrame, condition: Condition, plan: Plan, run: RunDir) -> list[int]:
    """Write whole blocks where nothing of their shard is there yet; return which."""
    written: list[int] = []
    n_shards = min(plan.shards[condition.model.name], plan.n_blocks)
    tags = answer_tags(condition.id, plan.data_digest)
    for shard in range(n_shards):
        mine = rows.filter(pl.col("block") % n_shards == shard)
        path = run.generation(condition.id, shard, n_shards)
        if mine.height and not path.exists():
            store.write_piece(mine, path, tags)
            written += mine["block"].unique().to_list()
    return written


def _write_rows(rows: pl.DataFrame, condition: Condition, run: RunDir) -> None:
    path = run.kept_journal(condition.id)
    path.unlink(missing_ok=True)  # of a sweep that was killed here
    if rows.is_empty():
        return
    journal = Journal(path)
    for row in rows.drop("condition").iter_rows(named=True):
        journal.append_row(row)
    journal.close()


# ---------------------------------------------------------------------------- what holds


def find(old: RunDir, resolved: Resolved) -> CopiedAnswers:
    """Return what of another run holds for a plan.

    Args:
        old: Whole or not.
        resolved: The plan, whose rows may not be frozen yet.

    Raises:
        ConfigError: The other run was never planned.
        Damaged: Its rows cannot be proven, and so none of its answers.
    """
    there = _OtherRun(old)
    plan, imported = resolved.plan, set(resolved.plan.imported)
    evaluated = resolved.rows.evaluated.join(
        resolved.rows.carried, on="id", how="left", maintain_order="left"
    )
    own = [c for c in plan.conditions if c.id not in imported]
    answers: dict[str, pl.DataFrame] = {}
    scores: dict[tuple[str, str], pl.DataFrame] = {}
    taken_from: dict[str, list[str]] = {}
    for condition in own:
        if plan.finetune_of(condition.model.name) is not None:
            continue  # an adapter of another run is another adapter
        twins = there.twins(condition)
        rows = _kept(there, twins, condition, evaluated, plan)
        if rows.height:
            answers[condition.id] = rows.select(list(store.GENERATIONS))
            taken_from[condition.id] = sorted(set(rows["origin"]))
            scores.update(_scores(there, condition, rows, evaluated, plan))
    n = evaluated.height * sum(c.decoding.n_samples for c in own)
    return CopiedAnswers(
        old, answers, scores, n, len(own), taken_from, tuple(dict.fromkeys(there.unusable))
    )


def _setting(condition: Condition) -> str:
    """Return what two conditions have in common whose answers to one question are the same."""
    return digest({key: v for key, v in condition.identity.items() if key != "rendered"})


def _text_keys(rows: pl.DataFrame) -> pl.Series:
    """Return for each row what a model was told: its text, or its turns."""
    keys = rows["context"].to_list()
    if has_turns(rows):
        keys = [f"{text} {json.dumps(of)}" for text, of in zip(keys, rows["turns"], strict=True)]
    return pl.Series("asked", [digest(key) for key in keys], dtype=pl.String)


def _kept(
    there: "_OtherRun",
    twins: Sequence[tuple[Condition, Plan]],
    condition: Condition,
    evaluated: pl.DataFrame,
    plan: Plan,
) -> pl.DataFrame:
    """Return the answers that hold for a condition, with their ``origin`` and ``theirs``.

    These are the condition and the example of the other run.
    """
    found = [there.answers(twin, of, condition.generation_version) for twin, of in twins]
    old = pl.concat([there.empty, *found])
    if old.is_empty():
        return old.with_columns(theirs="example")
    new = evaluated.select("id", "block").with_columns(
        _text_keys(evaluated),
        prompt_sha256=pl.Series(
            prompt_digests(condition, contexts_of(evaluated), plan.overlong), dtype=pl.String
        ),
    )
    keys = ["asked", "prompt_sha256"]
    old = old.drop("block").rename({"example": "theirs"})
    rows = new.join(old, on=keys, how="inner", maintain_order="left_right")
    if condition.decoding.sample:
        rows = rows.filter(pl.col("id") == pl.col("theirs"))
    # of several, the one to the example of that name
    rows = rows.with_columns(other=pl.col("id") != pl.col("theirs")).sort(
        "block", "other", maintain_order=True
    )
    once = rows.unique(["id", "sample"], keep="first", maintain_order=True)
    order = evaluated.select("id").with_row_index("place")
    return (
        once.join(order, on="id")
        .sort("block", "place", "sample")
        .with_columns(condition=pl.lit(condition.id))
        .rename({"id": "example"})
    )


def _scores(
    there: "_OtherRun",
    condition: Condition,
    rows: pl.DataFrame,
    evaluated: pl.DataFrame,
    plan: Plan,
) -> Iterator[tuple[tuple[str, str], pl.DataFrame]]:
    """Yield the statistics that hold of the answers that are taken, a metric each."""
    for planned in plan.metrics:
        metric = metrics.load(planned.name, planned.options)
        if not known_scores.can_be_known(metric, planned.options):
            continue
        parts = []
        for origin, mine in rows.group_by("origin"):
            twin, of = there.planned[str(origin[0])]
            if all(m.key != planned.key for m in of.metrics):
                continue
            of_metric = load(planned, evaluated)
            theirs = there.scores(planned.key, planned.signature, twin, of, of_metric)
            pairs = mine.select("example", "sample", "theirs")
            parts.append(pairs.join(theirs, on=["theirs", "sample"]).drop("theirs"))
        if not parts:
            continue
        own = metric_rows(rows.select(list(store.GENERATIONS)), condition, evaluated)
        keys = own.select(*_ROW).with_columns(known_scores.made_from(own, metric))
        found = pl.concat(parts).join(keys, on=list(known_scores.KEY), how="semi")
        if found.height:
            yield (planned.key, condition.id), found.sort(*_ROW)


@dataclass
class _OtherRun:
    """A run that is only read.

    Attributes:
        unusable: What of it could not be used, with the reason.
    """

    run: RunDir
    unusable: list[str] = field(default_factory=list)
    _checked: dict[str, CheckedFolder[pl.DataFrame]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read its rows and plans."""
        if not self.run.plans():
            msg = (
                f"--from {self.run.root}: it holds no plan; expected the folder or the name of a "
                "run; see which there are with: ls runs"
            )
            raise ConfigError(msg)
        self.examples = data.load(self.run)
        self.planned: dict[str, tuple[Condition, Plan]] = {}
        for path in self.run.plans():
            plan = read_plan(path)
            self.planned |= {c.id: (c, plan) for c in plan.conditions}

    @cached_property
    def empty(self) -> pl.DataFrame:
        """No answer."""
        schema = {**store.GENERATIONS, "origin": pl.String, "asked": pl.String}
        return pl.DataFrame(schema=schema)

    @cached_property
    def _asked(self) -> pl.DataFrame:
        rows = self.examples.filter(EVALUATED)
        return rows.select(example="id").with_columns(_text_keys(rows))

    def twins(self, condition: Condition) -> list[tuple[Condition, Plan]]:
        """Return the conditions whose answers to one question are those of *condition*."""
        setting = _setting(condition)
        return [pair for pair in self.planned.values() if _setting(pair[0]) == setting]

    def _pieces(self, twin: Condition, plan: Plan) -> CheckedFolder[pl.DataFrame]:
        if twin.id not in self._checked:
            tags = answer_tags(twin.id, plan.data_digest)
            self._checked[twin.id] = check_folder(self.run.generations(twin.id), tags, _read)
        return self._checked[twin.id]

    def answers(self, twin: Condition, plan: Plan, version: int) -> pl.DataFrame:
        """Return the proven answers of a condition by one version of the generation code."""
        checked = self._pieces(twin, plan)
        self.unusable += [one.reason for one in checked.unusable]
        frames = []
        for one in checked.loaded:
            others = store.versions(one.piece.path)
            left_out = {b for b, v in others.items() if v != version} | set(one.excluded)
            frames.append(one.content.filter(~pl.col("block").is_in(list(left_out))))
        known = {block for one in checked.loaded for block in one.piece.blocks}
        frames += [self._journalled(path, twin, version, known) for path in self._journals(twin)]
        whole = pl.concat([pl.DataFrame(schema=store.GENERATIONS), *frames])
        whole = whole.unique(_ROW, keep="first", maintain_order=True)
        rows = whole.with_columns(origin=pl.lit(twin.id))
        asked = rows.join(self._asked, on="example", maintain_order="left")
        return asked.select(self.empty.columns)

    def _journals(self, twin: Condition) -> list[Path]:
        return sorted(self.run.journals(twin.id).glob("*.jsonl"))

    def _journalled(
        self, path: Path, twin: Condition, version: int, known: set[int]
    ) -> pl.DataFrame:
        """Return what a killed attempt had finished; each line proves itself."""
        blocks = store.read_journal(path).items()
        rows = [
            {"block": block, **store.ADDED, **row}
            for block, done in blocks
            if block not in known and done.version in (None, version)
            for row in done.rows
        ]
        rows += [
            {**store.ADDED, **row}
            for row, by in store.read_journal_rows(path).values()
            if row["block"] not in known and by in (None, version)
        ]
        whole = [{"condition": twin.id, **row} for row in rows]
        columns = {name: [row[name] for row in whole] for name in store.GENERATIONS}
        return pl.DataFrame(columns, schema=store.GENERATIONS)

    def scores(
        self, key: str, signature: str, twin: Condition, plan: Plan, metric: Any
    ) -> pl.DataFrame:
        """Return the proven statistics of a condition: ``theirs``, ``sample``, ``made_from`` ….

        They count where they were computed from the answers that lie there.
        """
        tags = score_tags(twin.id, plan.data_digest, signature)
        checked = check_folder(self.run.scores(key, twin.id), tags, _read)
        self.unusable += [one.reason for one in checked.unusable]
        names = list(metric.statistics)
        frames = [
            one.content.filter(pl.col("block").is_in(self._current(one, twin, plan)))
            for one in checked.loaded
            if set(names) <= set(one.content.columns)
        ]
        if not frames:
            schema = {"theirs": pl.String, "sample": pl.Int32, "made_from": pl.String}
            return pl.DataFrame(schema=schema | dict.fromkeys(names, pl.Float64))
        statistics = pl.concat(f.select(*_ROW, *names) for f in frames).unique(_ROW, keep="none")
        answers = self.answers(twin, plan, twin.generation_version).select(list(store.GENERATIONS))
        carried = data.columns.load(self.run).frame
        examples = self.examples.join(carried, on="id", how="left", maintain_order="left")
        rows = metric_rows(answers, twin, examples.filter(EVALUATED))
        rows = rows.with_columns(known_scores.made_from(rows, metric))
        found = rows.select(*_ROW, "made_from").join(statistics, on=list(_ROW))
        return found.rename({"example": "theirs"})

    def _current(self, one: LoadedPiece[pl.DataFrame], twin: Condition, plan: Plan) -> list[int]:
        """Return the units of a piece of scores that were made from the answers that are there."""
        loaded = self._pieces(twin, plan).loaded
        blocks = {
            block: digest
            for of in loaded
            for block, digest in of.piece.blocks.items()
            if block not in of.excluded
        }
        inputs, scored = store.unit_inputs(blocks), store.inputs_of(one.piece)
        units = [u for u in one.piece.blocks if scored.get(u) == inputs.get(u, "none")]
        return [unit for unit in units if unit not in one.excluded]


def _read(path: Path) -> tuple[Piece, Callable[[], pl.DataFrame]]:
    piece, rows = store.read_piece(path)
    return piece, lambda: rows


# ---------------------------------------------------------------------------- for a command


def add(old: RunDir, drafted: Planned, run: RunDir) -> CopiedAnswers:
    """Find what holds for a plan that is not recorded yet, and write it when it is.

    Raises:
        ConfigError: The other run is this one.
        EmpathyError: See ``find``.
    """
    if old.root.resolve() == run.root.resolve():
        msg = (
            f"--from {old.root} is the run itself; expected another one: choose another --name for "
            "the new run, or leave --from out to continue this one"
        )
        raise ConfigError(msg)
    found = find(old, drafted.resolved)
    drafted.resolved.withheld.later(lambda: found.write(drafted.plan, run))
    return found
