"""A small run that judges and people have rated: quality, severities and noise are planted.

Three conditions of truly different empathy are rated on Empathy and Safety (near its ceiling) by
two judges, one that sees quality and one that always says 5, and by three people in one round.
"""

# ruff: noqa: D102 - the protocol documents the members of a metric

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl

from empathy_core import rubrics, store
from empathy_core.annotation import KEY, RATINGS, SAMPLE, Round, RoundDir, write_ratings
from empathy_core.annotation.rounds import write_round
from empathy_core.metrics import _judge
from empathy_core.metrics._jury import juries
from empathy_core.rubrics.rendering import dimension_digest
from empathy_core.store import EVALUATED, RunDir
from empathy_core.types import ModelSpec
from reports.spec import ReportSpec
from tests.runs import by_hand
from tests.runs.by_hand import FLAN, LLAMA, LLAMA2, Toy, spec

RUBRIC = rubrics.rubric("mentalalign")
DIMENSIONS = tuple(d for d in RUBRIC.dimensions if d.name in ("safety", "empathy"))
RATERS: Mapping[str, float] = {"R01": 0.0, "R02": -0.6, "R03": 0.4}
"""Pseudonym → how much higher than others the person rates."""
IDS = (LLAMA.id, LLAMA2.id, FLAN.id)
OF_CONDITION = {LLAMA.id: 0.0, LLAMA2.id: 0.9, FLAN.id: -0.8}
MIDDLE = {"empathy": 3.2, "safety": 5.3}
N_EXAMPLES = 120
"""Two a question."""
ROUND = "round-001"


# ---------------------------------------------------------------------------- what is planted


def _random(*of: object) -> np.random.Generator:
    digest = hashlib.sha256("|".join(map(str, of)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


def quality(condition: str, example: str, dimension: str) -> float:
    """Return how good an answer is, on the scale of the rubric and beyond its ends."""
    own = _random(condition, example, dimension).normal(scale=0.8)
    return MIDDLE[dimension] + OF_CONDITION.get(condition, 0.0) + own


def on_scale(value: float) -> float:
    """Return the nearest point of the scale."""
    return float(np.clip(np.rint(value), 1, 5))


def person(rater: str, condition: str, example: str, dimension: str, noise: float = 0.5) -> float:
    """Return what a rater says: quality, the rater's severity, and noise."""
    own = _random(rater, condition, example, dimension).normal(scale=noise)
    return on_scale(quality(condition, example, dimension) + RATERS.get(rater, 0.0) + own)


Says = Callable[[str, str, str], float]
"""Condition, example and dimension → a judge's expected value."""


def clean(condition: str, example: str, dimension: str) -> float:
    """Return what a judge says that sees quality, with noise, and is a little lenient."""
    own = _random("judge", condition, example, dimension).normal(scale=0.4)
    return float(np.clip(quality(condition, example, dimension) + 0.15 + own, 1, 5))


def always_five(condition: str, example: str, dimension: str) -> float:
    """Return what a judge says that knows nothing of an answer."""
    return 5.0


@dataclass(frozen=True)
class PlantedJudge(_judge.Metric):
    """Rates as it is told to."""

    says: Any = clean

    def measure(self, rows: pl.DataFrame, state: Any) -> np.ndarray:
        at = {name: i for i, name in enumerate(self.statistics)}
        found = np.zeros((rows.height, len(at)))
        for row, (condition, example) in enumerate(rows.select("condition", "example").iter_rows()):
            value = self.says(condition, example, self.dimension.name)
            low = int(min(np.floor(value), 4))  # the two labels that it lies between
            told = {"score": value, "n": 1, "judged": 1, "mass": 0.9}
            told |= {f"p{low - 1}": low + 1 - value, f"p{low}": value - low}
            for name, of in told.items():
                found[row, at[name]] = of
        return found

    def recheck(self, rows: pl.DataFrame) -> None:
        return None


def judges(
    dimensions: Sequence[str] = ("empathy", "safety"),
    says: Mapping[str, Says] | None = None,
    *,
    jury: bool = False,
) -> dict[str, Any]:
    """Return key → metric of every judge and dimension; *says*: label of a judge → what it says."""
    found: dict[str, Any] = {}
    for label, of in (says or {"Clean": clean, "Fives": always_five}).items():
        name = label.lower().replace(" ", "_")
        model = ModelSpec(name, label, "hf", "decoder", f"./{name}")
        for dimension in DIMENSIONS:
            if dimension.name in dimensions:
                asked = replace(RUBRIC, dimensions=(dimension,))
                metric = PlantedJudge(name, label, model, asked, fingerprint=name, says=of)
                found[f"judge_{name}_{dimension.name}-00000000"] = metric
    return found | (juries(found) if jury else {})


def rated_spec(metrics: Mapping[str, Any] | None = None, **changes: Any) -> ReportSpec:
    """Return a report on the three conditions, under a toy metric and the judges."""
    whole = {"toy-00000000": Toy()} | dict(judges() if metrics is None else metrics)
    return spec(LLAMA, LLAMA2, FLAN, metrics=whole, **changes)


# ---------------------------------------------------------------------------- the run

_TEMPLATES = TemporaryDirectory(prefix="rated-")
_MADE: dict[str, tuple[Path, ReportSpec, object]] = {}
"""What a run is made of → where it lies, to be copied; what its functions are lives as long."""


def rated_run(
    folder: Path,
    about: ReportSpec,
    *,
    n: int = N_EXAMPLES,
    share: float = 0.5,
    says: Callable[[str, str, str, str], float] = person,
) -> RunDir:
    """Write the run and its round: a *share* of the questions is rated.

    Args:
        folder: Where.
        about: What the report is about; the jury's scores are never written.
        n: Examples.
        share: Of the questions, the chance of each to be chosen.
        says: Rater, condition, example and dimension → rating.
    """
    kept = {key: m for key, m in about.metrics.items() if not hasattr(m, "members")}
    asked = replace(about, metrics=kept)
    key = repr((asked, n, share, says))
    if key not in _MADE:
        template = RunDir(Path(_TEMPLATES.name, str(len(_MADE))))
        by_hand.make(template.root, asked, n=n)
        add_round(template, [c.id for c in about.conditions], share=share, says=says)
        _MADE[key] = template.root, asked, says
    shutil.copytree(_MADE[key][0], folder, dirs_exist_ok=True)
    return RunDir(folder)


def add_round(
    run: RunDir,
    conditions: Sequence[str],
    *,
    share: float = 0.5,
    says: Callable[[str, str, str, str], float] = person,
    name: str = ROUND,
    raters: Sequence[str] = tuple(RATERS),
    may_train: str = "yes",
) -> pl.DataFrame:
    """Rate answers of any run that is there, and keep the round; return its ratings.

    Whole questions are chosen, the first ones; every rater rates every answer of these, each
    twelfth again (repeats, of which a third differ by a point), and one attention item.
    """
    sample = _sample(run, share)
    texts = _texts(run, conditions)
    key = pl.DataFrame(
        list(_items(sample.filter("chosen")["example"].to_list(), texts, conditions, raters)),
        schema=KEY,
    )
    asked = tuple((RUBRIC.name, d.name, dimension_digest(RUBRIC, d)) for d in DIMENSIONS)
    made = Round(
        name=name, conditions=tuple(conditions), dimensions=asked, raters=tuple(raters),
        raters_per_item=len(raters), data=by_hand.DATA, seed=0,
        settings={"shared": 30, "may_train": may_train},
    )  # fmt: skip
    folder = write_round(run, made, sample, key)
    ratings = pl.DataFrame(list(_ratings(key, made, says)), schema=RATINGS)
    write_ratings(folder, ratings)
    return ratings


def change_ratings(run: RunDir, name: str = ROUND, **changes: pl.Expr) -> None:
    """Write the ratings of a round again with columns changed."""
    folder = RoundDir.of(run, name)
    write_ratings(folder, pl.read_parquet(folder.ratings).with_columns(**changes))


def _sample(run: RunDir, share: float) -> pl.DataFrame:
    rows = pl.read_parquet(run.examples).filter(EVALUATED)
    questions = rows["question"].unique(maintain_order=True).to_list()
    chosen = questions[: max(1, round(share * len(questions)))]
    return rows.select(
        example="id", question="question", stratum="source", tier=pl.lit(""),
        chance=pl.lit(len(chosen) / len(questions)), chosen=pl.col("question").is_in(chosen),
    ).cast(pl.Schema(SAMPLE))  # fmt: skip


def _texts(run: RunDir, conditions: Sequence[str]) -> dict[tuple[str, str], str]:
    """Return (condition, example) → SHA-256 of the answer's first sample."""
    pieces = (p for c in conditions for p in store.list_pieces(run.generations(c)))
    rows = pl.concat([store.read_piece(p)[1] for p in pieces]).filter(pl.col("sample") == 0)
    return {
        (c, e): hashlib.sha256(text.encode()).hexdigest()
        for c, e, text in rows.select("condition", "example", "text").iter_rows()
    }


def _items(
    examples: Sequence[str],
    texts: Mapping[tuple[str, str], str],
    conditions: Sequence[str],
    raters: Sequence[str],
) -> Iterator[dict[str, object]]:
    for rater in raters:
        answers = [
            (page, place, condition, example)
            for page, example in enumerate(examples)
            for place, condition in enumerate(conditions)
            if (condition, example) in texts
        ]
        names = [f"{rater}-{i:04d}" for i in range(len(answers))]
        kinds = [(name, "answer", "", *of) for name, of in zip(names, answers, strict=True)]
        kinds += [(f"{rater}-again-{i}", "repeat", names[i], *answers[i])
                  for i in range(0, len(answers), 12)]  # fmt: skip
        kinds += [(f"{rater}-attention", "attention", examples[-1], *answers[1])]
        for item, kind, of, page, place, condition, example in kinds:
            shown = (condition, of if kind == "attention" else example)
            yield {
                "item": item, "rater": rater, "page": page, "place": place, "kind": kind,
                "condition": condition, "example": example, "sample": 0, "of": of,
                "answer_sha256": texts[shown],
            }  # fmt: skip


def _said_again(item: str, value: float) -> float:
    differs = _random(item).random() < 1 / 3
    return value if not differs else value - 1 if value > 1 else value + 1


def _ratings(
    key: pl.DataFrame, made: Round, says: Callable[[str, str, str, str], float]
) -> Iterator[dict[str, object]]:
    shared = ("item", "rater", "kind", "condition", "example", "sample", "answer_sha256")
    for row in key.iter_rows(named=True):
        for rubric, dimension, digest in made.dimensions:
            value = says(row["rater"], row["condition"], row["example"], dimension)
            if row["kind"] == "attention":
                value = 1.0
            elif row["kind"] == "repeat":
                value = _said_again(row["item"], value)
            yield {
                "round": made.name, **{name: row[name] for name in shared}, "rubric": rubric,
                "dimension": dimension, "rubric_digest": digest, "value": value,
                "state": "rated", "excluded": "", "seconds": 20.0, "file": "0" * 64,
            }  # fmt: skip
