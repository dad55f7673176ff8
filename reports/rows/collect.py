"""Files of a run → proven rows.

Every (condition, example, sample) must be there exactly once, undamaged, with one provenance, and
every score must have been computed from the answers that lie beside it. What does not hold is a
*problem*: a sentence that names the file. Without ``partial`` any problem is an error.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

import polars as pl

from empathy_core import data, metrics
from empathy_core.data.specs import ALL_REFERENCES
from empathy_core.errors import Damaged, Incomplete
from empathy_core.metrics import MetricProtocol
from empathy_core.metrics._people import People
from empathy_core.store import (
    ADDED,
    EVALUATED,
    EXAMPLES,
    GENERATIONS,
    SCORES,
    TURNS,
    UNIT_BLOCKS,
    Piece,
    RunDir,
    corpus_inputs,
    paired_inputs,
    read_json,
    unit_inputs,
)
from empathy_core.types import Condition
from empathy_core.visible import n_words, nothing_visible
from reports.rows.chosen import read_choices
from reports.rows.people import RatedAnswers, drawn_before, read_people
from reports.rows.pieces import (
    KEY,
    ExpectedPiece,
    LoadedFolder,
    Problems,
    missing_rows,
    read_folder,
    report_missing,
    sound_rows,
)
from reports.rows.population import scores_of_people
from reports.rows.ratings import PeoplesRatings, sound_ratings
from reports.spec import ReportSpec

LISTED = 10
"""Problems that an error lists; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of one condition is there.

    Attributes:
        n_expected: Answers that there should be.
        n_answered: Sound answers.
        n_scored: Metric key → sound rows of statistics, rows that it left unscored included.
        n_complete: Sound answers with a sound row of every metric.
        n_empty: Answers of which nothing is visible (``empathy_core.visible``).
        n_cut: Answers that ended at the limit of new tokens.
        n_prompt_cut: Answers to a truncated prompt.
        n_thought: Answers with a thought, which is not scored.
        n_thought_only: Empty answers behind a thought, most of which never left it.
        n_special: Answers in which a special token was generated before the end.
        n_withheld: Answers that a server's content filter ended or refused.
        n_prompt_tokens: Of all sound answers' prompts.
        n_output_tokens: Of all sound answers, thoughts included.
    """

    condition: str
    n_expected: int
    n_answered: int
    n_scored: Mapping[str, int]
    n_complete: int
    n_empty: int
    n_cut: int
    n_prompt_cut: int
    n_thought: int
    n_thought_only: int
    n_special: int
    n_withheld: int
    n_prompt_tokens: int
    n_output_tokens: int


@dataclass(frozen=True, slots=True)
class Collected:
    """The sound rows of a run.

    Attributes:
        examples: The evaluated rows of ``store.EXAMPLES``, in the run's order, all references of
            each where any has several, and ``exposed``: whether the question stands in the
            training split as well.
        expected: Condition id → the rows it should have (``example``, ``sample``, ``unit``).
        answers: Condition id → sound rows (``example``, ``sample``, ``empty``, ``cut``,
            ``prompt_cut``, ``thought``, ``thought_only``, ``special``, ``withheld``,
            ``prompt_tokens``, ``output_tokens``, ``words``, ``text_hash``), in the order of
            *expected*, as are the scores.
        scores: (condition id, metric key) → sound rows (``example``, ``sample``, statistics).
        files: Condition id → the undamaged files of its answers.
        problems: What is wrong, a sentence each; empty means that everything is there.
        ratings: People's, of these answers.
        people: The same made one value an answer, with what was not rated; null without any.
        choices: Condition whose answers were chosen → which samples (``_best_of.CHOICES``).
    """

    examples: pl.DataFrame
    expected: Mapping[str, pl.DataFrame]
    answers: Mapping[str, pl.DataFrame]
    scores: Mapping[tuple[str, str], pl.DataFrame]
    files: Mapping[str, tuple[Path, ...]]
    coverage: tuple[Coverage, ...]
    problems: tuple[str, ...]
    ratings: PeoplesRatings = field(default_factory=PeoplesRatings)
    people: RatedAnswers | None = None
    choices: Mapping[str, pl.DataFrame] = field(default_factory=dict)

    @property
    def partial(self) -> bool:
        """Whether anything is missing, doubled, damaged or foreign."""
        return bool(self.problems)

    def texts(self, condition: str, examples: Sequence[str]) -> pl.DataFrame:
        """Return the sound answers of a condition to some examples (``store.GENERATIONS``)."""
        sound = self.answers[condition].select(KEY)
        if not self.files[condition]:
            return sound.clear().join(pl.DataFrame(schema=GENERATIONS), on=KEY)
        # files of older versions lack columns, and one condition may have both
        files = pl.scan_parquet(
            list(self.files[condition]), schema=GENERATIONS, missing_columns="insert"
        )
        rows = files.filter(pl.col("example").is_in(list(examples)))
        filled = rows.with_columns(pl.col(name).fill_null(v) for name, v in ADDED.items())
        once = filled.collect().unique(KEY, keep="any")
        return sound.join(once, on=KEY, how="inner", maintain_order="left")


def collect(run: RunDir, spec: ReportSpec, *, partial: bool = False) -> Collected:
    """Read the run and prove that it is whole; *partial* returns problems instead of raising them.

    Raises:
        Incomplete: A row is missing, doubled, foreign, damaged or scored from another answer.
        Damaged: ``examples.parquet`` cannot be read; nothing can be proven without it. Or people's
            ratings cannot.
    """
    examples = _evaluated(run)
    problems: Problems = []
    expected, answers, scores, files = {}, {}, {}, {}
    sources: dict[str, _Source] = {}
    for condition in spec.conditions:
        want = _expected(run, condition, examples)
        tags = {"kind": "generations", "condition": condition.id, "data": spec.data_digest}
        if condition.id in spec.adapters:
            tags["adapter"] = spec.adapters[condition.id]
        folder = _read_answers(run, tags, problems)
        sound = sound_rows(folder, want, problems)
        lacking = missing_rows(want, sound)
        report_missing(folder, lacking, want.height, problems)
        expected[condition.id], answers[condition.id] = want, sound
        files[condition.id] = tuple(piece.path for piece in folder.pieces)
        incomplete = frozenset(lacking["unit"])
        sources[condition.id] = _Source(condition.id, folder, want, sound, incomplete)
    computed = {k: m for k, m in spec.metrics.items() if not isinstance(m, People)}
    for (name, source), (key, metric) in product(sources.items(), computed.items()):
        members = getattr(metric, "members", None)
        if members is None:
            scores[name, key] = _read_scores(run, source, sources, key, spec, problems)
        else:  # it stands behind its judges
            scores[name, key] = metric.combined([scores[name, one] for one in members], KEY)  # type: ignore[attr-defined]  # a jury's
    choices = read_choices(run, spec.conditions, spec.metrics, scores, files, problems)
    coverage = tuple(_coverage(c.id, expected, answers, scores) for c in spec.conditions)
    if problems and not partial:
        raise Incomplete(_refusal(run, problems))
    found = Collected(
        examples, expected, answers, scores, files, coverage, tuple(problems), choices=choices
    )
    return _with_people(run, spec, found)


def _with_people(run: RunDir, spec: ReportSpec, found: Collected) -> Collected:
    """Return the rows with what people said of them, which is never expected to be complete."""
    ids = [c.id for c in spec.conditions]
    sound = sound_ratings(run, spec.metrics, found.examples, ids, found.texts)
    said = read_people(run, spec.metrics, ids, found.texts)
    if said is not None:
        steps = data.growing.steps_of(read_json(run.data) if run.data.exists() else {})
        said = replace(said, drawn_of=drawn_before(said.samples, found.examples, steps))
    rated = {
        (condition, key): scores_of_people(said, m.asked, condition, found.expected, m.thresholds)
        for key, m in spec.metrics.items()
        if isinstance(m, People)
        for condition in ids
    }
    return replace(found, ratings=sound, people=said, scores={**found.scores, **rated})


def _evaluated(run: RunDir) -> pl.DataFrame:
    try:
        there = pl.read_parquet_schema(run.examples)
        more = [name for name in (*TURNS, ALL_REFERENCES) if name in there]
        rows = pl.read_parquet(run.examples, columns=[*EXAMPLES, *more])
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0][:120]
        msg = f"{run.examples} cannot be read ({reason}): expected the run's rows; run sweep again"
        raise Damaged(msg) from error
    rows = rows.join(data.columns.load(run).frame, on="id", how="left", maintain_order="left")
    trained = rows.filter(pl.col("split") == "train")["question"].unique()
    return rows.filter(EVALUATED).with_columns(
        exposed=pl.col("question").is_in(trained.to_list()) & (pl.col("split") != "train")
    )


def _expected(run: RunDir, condition: Condition, examples: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that *condition* should have: ``example``, ``sample``, ``unit``."""
    rows = examples.select(example="id", unit=pl.col("block") // UNIT_BLOCKS)
    path = run.expected(condition.id)
    if path.exists():
        rows = rows.join(pl.read_parquet(path, columns=["example"]), on="example", how="semi")
    n_samples = condition.decoding.n_samples
    samples = pl.DataFrame({"sample": range(n_samples)}, schema={"sample": pl.Int32})
    return rows.join(samples, how="cross", maintain_order="left_right")


def _read_answers(run: RunDir, tags: Mapping[str, str], problems: Problems) -> LoadedFolder:
    def reduce(_: Piece, rows: pl.DataFrame) -> pl.DataFrame:
        texts = rows["text"].to_list()
        empty = pl.Series([nothing_visible(text) for text in texts], dtype=pl.Boolean)
        return rows.select(
            *KEY,
            "block",
            empty=empty,
            cut=pl.col("stop") == "length",
            prompt_cut="prompt_truncated",
            thought=rows["n_thought_tokens"] > 0,
            thought_only=empty & (rows["n_thought_tokens"] > 0),
            special=pl.col("n_special_tokens") > 0,
            withheld=pl.col("stop") == "filter",
            prompt_tokens="n_prompt_tokens",
            output_tokens="n_output_tokens",
            words=pl.Series([n_words(text) for text in texts], dtype=pl.UInt32),
            text_hash=pl.col("text").str.strip_chars().hash(),
        )

    expected = ExpectedPiece(tags, tuple(GENERATIONS))
    return read_folder(run.generations(tags["condition"]), expected, reduce, problems)


# ---------------------------------------------------------------------------- scores


_Inputs = Mapping[int, str]
"""Score unit → digest of the answers that its scores are made from."""


@dataclass(frozen=True, slots=True)
class _Source:
    """The answers that a condition's scores must have been computed from."""

    condition: str
    folder: LoadedFolder
    want: pl.DataFrame
    sound: pl.DataFrame
    lacking_units: frozenset[int]


def _inputs(source: _Source, sources: Mapping[str, _Source], metric: MetricProtocol) -> _Inputs:
    """Return score unit → digest of what a condition's scores must have been made from."""
    own = unit_inputs(source.folder.blocks)
    if metrics.is_of_corpus(metric.signature()):
        return corpus_inputs(own)
    opponent = getattr(metric, "opponent", None)
    if not opponent:
        return own
    other = sources[opponent].folder.blocks if opponent in sources else {}
    return paired_inputs(own, unit_inputs(other))


def _read_scores(
    run: RunDir,
    source: _Source,
    sources: Mapping[str, _Source],
    key: str,
    spec: ReportSpec,
    problems: Problems,
) -> pl.DataFrame:
    metric = spec.metrics[key]
    added = metrics.added(metric)
    inputs = _inputs(source, sources, metric)

    def reduce(piece: Piece, rows: pl.DataFrame) -> pl.DataFrame:
        stale = _stale(piece, inputs)
        # A unit that lacks answers differs for that reason, and that was told already.
        if told := sorted(stale - source.lacking_units):
            problems.append(
                f"{piece.path} is stale: unit {', '.join(map(str, told[:5]))} was scored from "
                f"other answers than those in {source.folder.folder}: run sweep again"
            )
        lacking = [
            pl.lit(v, pl.Float64).alias(n) for n, v in added.items() if n not in rows.columns
        ]
        fresh = rows.filter(~pl.col("block").is_in(sorted(stale))) if stale else rows
        whole = fresh.with_columns(lacking) if lacking else fresh
        return whole.select(*KEY, "block", pl.col(metric.statistics).fill_nan(None))

    tags = {
        "kind": "scores",
        "condition": source.condition,
        "data": spec.data_digest,
        "signature": metric.signature(),
    }
    expected = ExpectedPiece(
        tags, (*SCORES, *(name for name in metric.statistics if name not in added))
    )
    folder = read_folder(run.scores(key, source.condition), expected, reduce, problems)
    rows = sound_rows(folder, source.want, problems)
    if rows.height == source.sound.height == source.want.height:
        return rows  # nothing is lacking, here or of the answers
    rows = rows.join(source.sound, on=KEY, how="semi", maintain_order="left")
    # Of units that lack answers the cause was told; that their scores are lacking follows from it.
    whole = source.want.filter(~pl.col("unit").is_in(sorted(source.lacking_units)))
    lacking = missing_rows(whole, rows).join(source.sound, on=KEY, how="semi")
    report_missing(folder, lacking, source.sound.height, problems)
    absent = [name for name in metric.statistics if name not in rows.columns]  # without a piece
    return rows.with_columns(pl.lit(None, pl.Float64).alias(name) for name in absent)


def _stale(piece: Piece, inputs: _Inputs) -> set[int]:
    """Return the units of a piece that were scored from other answers than those of *inputs*."""
    try:
        scored = {int(unit): digest for unit, digest in json.loads(piece.tags["inputs"]).items()}
    except (KeyError, ValueError, AttributeError):
        scored = {}
    return {unit for unit in piece.blocks if scored.get(unit) != inputs.get(unit, "none")}


def _coverage(
    condition: str,
    expected: Mapping[str, pl.DataFrame],
    answers: Mapping[str, pl.DataFrame],
    scores: Mapping[tuple[str, str], pl.DataFrame],
) -> Coverage:
    mine = {key: rows for (owner, key), rows in scores.items() if owner == condition}
    complete = sound = answers[condition]
    for rows in mine.values():
        complete = complete.join(rows.select(KEY), on=KEY, how="semi")
    counts = {
        name: int(sound[name].sum()) if name in sound.columns else 0
        for name in (
            "empty", "cut", "prompt_cut", "thought", "thought_only", "special", "withheld",
            "prompt_tokens", "output_tokens",
        )
    }  # fmt: skip
    return Coverage(
        condition=condition,
        n_expected=expected[condition].height,
        n_answered=sound.height,
        n_scored={key: rows.height for key, rows in mine.items()},
        n_complete=complete.height,
        **{f"n_{name}": count for name, count in counts.items()},
    )


def _refusal(run: RunDir, problems: Sequence[str]) -> str:
    listed = "\n".join(f"  {problem}" for problem in problems[:LISTED])
    more = f"\n  and {len(problems) - LISTED} more" if len(problems) > LISTED else ""
    n = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return (
        f"{run.root} is not complete ({n}):\n{listed}{more}\n"
        "expected every (condition, example, sample) once, with one provenance; run sweep again, "
        "or add --partial for tables that are stamped PARTIAL"
    )
