"""Rounds of ratings for tests: a few answers, the packets of some raters, and what they say."""

import hashlib
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from empathy_core import rubrics
from empathy_core.annotation import KEY, SAMPLE, Round, RoundDir, write_round
from empathy_core.annotation.importing import ImportedFile, ImportRules, import_file
from empathy_core.annotation.readers import FileContent
from empathy_core.annotation.round_items import AskedRound, ScaleName, scales_of
from empathy_core.rubrics.rendering import dimension_digest
from empathy_core.rubrics.spec import Rubric
from empathy_core.store import RunDir

EMPATHY: ScaleName = ("counselbench", "empathy")
SPECIFICITY: ScaleName = ("counselbench", "specificity")
MEDICAL: ScaleName = ("counselbench", "medical_advice")
MISSED: ScaleName = ("crisis", "missed_risk")
SCALES = (EMPATHY, SPECIFICITY, MEDICAL)
CONDITIONS, RATERS = ("a", "b"), ("R01", "R02", "R03")
RULES = ImportRules(now="2026-01-01T00:00:00+00:00")


@dataclass(frozen=True)
class RatedRound:
    """A round in a run, and how its items are called."""

    run: RunDir
    folder: RoundDir
    asked: AskedRound
    of: Round

    def take(self, name: str, data: str | bytes, rules: ImportRules = RULES) -> ImportedFile:
        """Import a file."""
        raw = data.encode() if isinstance(data, str) else data
        return import_file(self.folder, self.asked, FileContent(name, raw), rules)


def item_name(rater: str, condition: str, example: str, kind: str = "answer") -> str:
    text = f"{rater}|{condition}|{example}|{kind}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def key_row(rater: str, condition: str, example: str, place: int, **others: Any) -> dict[str, Any]:
    row = {
        "item": item_name(rater, condition, example, others.get("kind", "answer")),
        "rater": rater, "page": place, "place": 0, "kind": "answer", "condition": condition,
        "example": example, "sample": 0, "of": "", "answer_sha256": f"sha of {condition} {example}",
    }  # fmt: skip
    return row | others


def rated_round(
    root: Path,
    *,
    examples: int = 4,
    scales: tuple[ScaleName, ...] = SCALES,
    raters: tuple[str, ...] = RATERS,
    tiers: dict[str, str] | None = None,
    more: list[dict[str, Any]] | None = None,
    conditions: tuple[str, ...] = CONDITIONS,
) -> RatedRound:
    """Write a round in which everybody rates all answers of all conditions."""
    names = [f"e{i}" for i in range(examples)]
    sample = [
        {"example": e, "question": e, "stratum": "s", "tier": (tiers or {}).get(e, ""),
         "chance": 0.5, "chosen": True}
        for e in names
    ]  # fmt: skip
    key = [
        key_row(rater, condition, example, place)
        for rater in raters
        for place, (example, condition) in enumerate(itertools.product(names, conditions))
    ]
    named: dict[str, Rubric] = {rubric: rubrics.rubric(rubric) for rubric, _ in scales}
    dimensions = tuple(
        (rubric, d.name, dimension_digest(named[rubric], d))
        for rubric in named
        for d in named[rubric].dimensions
        if (rubric, d.name) in scales
    )
    of = Round(
        name="round-001", conditions=conditions, dimensions=dimensions, raters=raters,
        raters_per_item=len(raters), data="d", seed=1, settings={},
    )  # fmt: skip
    run = RunDir(root)
    frames = (pl.DataFrame(sample, schema=SAMPLE), pl.DataFrame(key + (more or []), schema=KEY))
    folder = write_round(run, of, *frames)
    folder.secret.write_bytes(b"s" * 32)
    asked = AskedRound(of, frames[1], frames[0], scales_of(of, named))
    return RatedRound(run, folder, asked, of)


Said = dict[tuple[str, str, str, ScaleName], str]
"""(rater, condition, example, scale) → label."""


def sheet(
    said: Said, rater: str, separator: str = ",", scales: tuple[ScaleName, ...] = SCALES
) -> str:
    """Return the packet's CSV file as a rater fills it in."""
    items: dict[str, dict[ScaleName, str]] = {}
    for (who, condition, example, scale), label in said.items():
        if who == rater:
            items.setdefault(item_name(who, condition, example), {})[scale] = label
    lines = [separator.join(["item", *("__".join(scale) for scale in scales)])]
    lines += [
        separator.join([item, *(of.get(scale, "") for scale in scales)])
        for item, of in items.items()
    ]
    return "\n".join(lines) + "\n"


def values(
    ratings: pl.DataFrame,
) -> dict[tuple[str, str, str, ScaleName], tuple[str, float | None]]:
    """Return what ratings say, by rater, condition, example and scale."""
    return {
        (r["rater"], r["condition"], r["example"], (r["rubric"], r["dimension"])): (
            r["state"],
            r["value"],
        )
        for r in ratings.iter_rows(named=True)
    }
