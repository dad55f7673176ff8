"""Over random incomplete designs: cells, differences, ranks, daggers, macros and claims agree.

Every value is recomputed here from the rows that were made, by code that shares nothing with the
reports but the file formats.
"""

# ruff: noqa: D102 - the protocol documents the members of a metric

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import permutations
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from empathy_core import store
from empathy_core.store import RunDir
from empathy_core.types import Column, Condition, Decoding
from reports.build import Report, build
from reports.claims.evidence_of_run import evidence_of_run
from reports.claims.judge import judge
from reports.claims.names import Names
from reports.latex.macros import macros
from reports.numbers.significance import COMMON, LEAST_COVERED
from reports.rows.collect import collect
from reports.spec import ReportSpec
from tests.runs.by_hand import HUMAN, condition, examples, spec, write_answers, write_scores

KEY = "said-00000000"
N = 50  # two to a question: 25 questions, enough for tests


@dataclass(frozen=True)
class Said:
    """The number that an answer says; ``x`` has no score. Between 0 and 1, and higher is better."""

    @property
    def columns(self) -> tuple[Column, ...]:
        return (Column("said", "Said", main=True, least=0.0, most=1.0),)

    @property
    def statistics(self) -> tuple[str, ...]:
        return ("said", "n")

    def signature(self) -> str:
        return "metric:said"

    def prepare(self, references: Any) -> "Said":
        return self

    def reference_state(self, references: Any) -> None:
        return None

    def measure(self, rows: pl.DataFrame, state: Any) -> np.ndarray:
        found = [np.nan if text == "x" else float(text) for text in rows["text"]]
        return np.array([[value, np.nan if np.isnan(value) else 1.0] for value in found])

    def recheck(self, rows: pl.DataFrame) -> None:
        return None

    def score(self, sums: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return sums[..., :1] / sums[..., 1:]


@dataclass(frozen=True)
class Design:
    """(condition, example, sample) → text; what a condition does not answer is absent."""

    conditions: tuple[Condition, ...]
    texts: Mapping[tuple[str, int, int], str] = field(repr=False)

    def values(self, of: Condition) -> dict[int, float]:
        """Return example → mean of the samples that have a score."""
        found: dict[int, list[float]] = {}
        for (name, example, _), text in self.texts.items():
            if name == of.id and text != "x":
                found.setdefault(example, []).append(float(text))
        return {example: float(np.mean(values)) for example, values in found.items()}


@st.composite
def designs(draw: Any) -> Design:
    """Draw two to four models and perhaps people; some lack rows, some have several samples."""
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    samples = draw(st.lists(st.sampled_from([1, 1, 2, 3]), min_size=2, max_size=4))
    kinds = [draw(st.sampled_from(["whole", "few lacking", "many lacking", "few unscored",
                                   "many unscored"])) for _ in samples]  # fmt: skip
    people = draw(st.booleans())
    level = random.choice([0.3, 0.5, 0.5, 0.7], size=len(samples))
    models = [
        condition(f"m{i}", f"M{i}", decoding=Decoding(
            name="d", sample=k > 1, samples=k, max_new_tokens=9))
        for i, k in enumerate(samples)
    ]  # fmt: skip
    texts: dict[tuple[str, int, int], str] = {}
    easy = np.arange(N) % 3 == 0
    for place, (of, kind) in enumerate(zip(models, kinds, strict=True)):
        lost = random.random(N) < {"few": 0.03, "many": 0.4}.get(kind.split()[0], 0.0)
        lost |= easy & (kind == "many unscored")
        lost[0] = False
        for example in range(N):
            for sample in range(of.decoding.samples):
                value = np.clip(random.normal(level[place] + 0.3 * easy[example], 0.1), 0, 1)
                text = f"{value:.9f}"  # no mean of these lies between two roundings
                if lost[example] and kind.endswith("unscored"):
                    text = "x"
                if not (lost[example] and kind.endswith("lacking")):
                    texts[of.id, example, sample] = text
    if people:
        texts |= {(HUMAN.id, example, 0): f"{random.random():.9f}" for example in range(0, N, 2)}
    return Design((*models, *[HUMAN] * people), texts)


def made(root: Path, design: Design) -> tuple[ReportSpec, Report]:
    """Write the run of a design and build its report."""
    about = spec(*design.conditions, metrics={KEY: Said()})
    run, rows = RunDir(root), examples(N)
    store.write_bytes(store.frame_bytes(rows), run.examples)
    for of in design.conditions:
        answered = sorted({e for name, e, _ in design.texts if name == of.id})
        covered = pl.DataFrame({"example": [f"sample-{e}" for e in answered]})
        store.write_bytes(store.frame_bytes(covered), run.expected(of.id))
        write_answers(run, of, rows, lambda c, i, s: design.texts[c.id, i, s], 2)
        write_scores(run, of, KEY, about.metrics[KEY], 2)
    return about, build(collect(run, about), about)


def cells(report: Report, file: str) -> dict[str, Any]:
    """Return key → cell of a section's tables."""
    found = [s for s in report.sections if s.file == file]
    return {c.key: c for s in found for t in s.tables for g in t.groups for r in g.rows
            for c in r.cells}  # fmt: skip


def models_of(table: dict[str, Any], mark: str = "best") -> set[str]:
    """Return the models whose cell bears *mark*."""
    return {key.partition(".")[0] for key, cell in table.items() if cell.mark == mark}


Values = Mapping[str, Mapping[int, float]]
"""Model → example → score, computed here."""


def pairs_of(values: Values) -> Iterator[tuple[str, str, float, int, float]]:
    """Yield two models, first less second on the examples of both, these, and that of the cells."""
    for (one, ours), (other, theirs) in permutations(values.items(), 2):
        both = sorted(ours.keys() & theirs.keys())
        if both:
            gap = float(np.mean([ours[e] - theirs[e] for e in both]))
            cells = float(np.mean([*ours.values()]) - np.mean([*theirs.values()]))
            yield one, other, gap, len(both), cells


def check_numbers(report: Report, values: Values) -> None:
    """See that cells count each example once, and differences are of the examples of both."""
    main = cells(report, "table1")
    for name, found in values.items():
        mean = np.mean([*found.values()]) if found else None
        assert main[f"{name}.none.said"].value == (mean if mean is None else pytest.approx(mean))
    results, printed = {r.key: r for r in report.results}, macros(report.results, "")
    for one, other, gap, n, _ in pairs_of(values):
        result = results[f"{one}.none-vs-{other}.none.said"]
        assert result.value == pytest.approx(gap, abs=1e-9)
        assert result.n == n
        assert f"{{{result.key}}}" in printed


def check_marks(design: Design, report: Report, values: Values, ranked: list[str]) -> None:
    """See that what is bold is best on the examples that all ranked rows have."""
    main, common = cells(report, "table1"), cells(report, "table-common")
    rows = report.summary.filter(pl.col("subset") == "all", pl.col("ranked"))
    assert {c.partition(".")[0] for c in rows["condition"]} == set(ranked)
    if not ranked:
        assert not models_of(main)
        return
    shared = sorted(set.intersection(*(set(values[m]) for m in ranked)))
    means = {m: float(np.mean([values[m][e] for e in shared])) for m in ranked}
    whole = all(len(values[m]) == len(shared) for m in ranked)
    assert set(common) == (set() if whole else {f"{m}.none.said@{COMMON}" for m in ranked})
    for key, cell in common.items():
        assert cell.value == pytest.approx(means[key.partition(".")[0]])
    top = max(f"{mean:.4f}" for mean in means.values())
    best = {m for m, mean in means.items() if f"{mean:.4f}" == top}
    assert models_of(main) <= best
    assert models_of(common) <= best
    if any(main[f"{m}.none.said"].text != f"{means[m]:.4f}" for m in ranked):
        assert not models_of(main), "cells of unlike rows bear no mark"
    elif "x" not in design.texts.values() and len(best) < len(ranked):
        assert models_of(main) == best


def check_claims(design: Design, about: ReportSpec, report: Report, values: Values) -> None:
    """See that verdicts contradict neither cells nor differences."""
    names = names_of(about, report)
    for one, other, gap, _, cells in pairs_of(values):
        verdict = judge(f"{one}.none > {other}.none on said", names).verdict
        if gap * cells < 0 and min(abs(gap), abs(cells)) > 1e-9:
            assert verdict == "cannot be told"
        elif gap < -1e-9:
            assert verdict == "false"
        else:
            assert verdict in ("true", "not significant", "not testable")
        sure = judge(f"{one}.none significantly > {other}.none on said", names).verdict
        if sure == "true":
            assert min(gap, cells, worst(design, one, other)) > 0


def names_of(about: ReportSpec, report: Report) -> Names:
    """Return what claims are checked against."""
    compared = report.compared
    return Names(evidence_of_run(about, report.summary, report.pairs, compared=compared))


def check_daggers(about: ReportSpec, report: Report, ranked: list[str]) -> None:
    """See that a claim of being significantly best is true of the row with the dagger alone."""
    names = names_of(about, report)
    tables = [cells(report, file) for file in ("table1", "table-common")]
    daggers = {k.partition(".")[0] for table in tables for k, c in table.items() if c.dagger}
    for model in ranked:
        verdict = judge(f"{model}.none is significantly best on said", names).verdict
        assert (verdict == "true") == (model in daggers)


def worst(design: Design, one: str, other: str) -> float:
    """Return the least that *one* less *other* can be: each ``x`` as bad as it can be."""
    texts: dict[str, dict[int, list[str]]] = {one: {}, other: {}}
    for (name, example, _), text in design.texts.items():
        if (model := name.partition(".")[0]) in texts:
            texts[model].setdefault(example, []).append(text)
    both = sorted(texts[one].keys() & texts[other].keys())

    def mean(model: str, fill: float) -> float:
        rows = [[fill if t == "x" else float(t) for t in texts[model][e]] for e in both]
        return float(np.mean([np.mean(row) for row in rows]))

    return mean(one, 0.0) - mean(other, 1.0)


@pytest.mark.slow
@settings(
    max_examples=15, deadline=None, suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a seed gives nothing to shrink
)  # fmt: skip
@given(designs())
def test_everything_that_is_said_of_a_design_agrees(design: Design):
    """Missing rows, unscored answers and unequal samples contradict nothing and nobody."""
    values = {of.model.name: design.values(of) for of in design.conditions}
    models = [name for name in values if name != HUMAN.model.name]
    wanted = set().union(*(values[m].keys() for m in models))
    ranked = [m for m in models if len(values[m]) >= LEAST_COVERED * len(wanted)]

    with tempfile.TemporaryDirectory() as root:
        about, report = made(Path(root) / "run", design)
    check_numbers(report, values)
    check_marks(design, report, values, ranked)
    check_claims(design, about, report, values)
    if ranked == models:
        check_daggers(about, report, ranked)


# ---------------------------------------------------------------------------- known cases


def designed(root: Path, **texts: Callable[[int, int], str | None]) -> tuple[Report, Names]:
    """Return the report of conditions by name: a text for each example and sample, or none."""
    several = {name: sum(of(0, k) is not None for k in range(9)) for name, of in texts.items()}
    conditions = {
        name: condition(
            name, name, decoding=Decoding("d", max_new_tokens=9, sample=k > 1, samples=k)
        )
        for name, k in several.items()
    }
    rows = {
        (conditions[name].id, e, k): text
        for name, of in texts.items()
        for e in range(N)
        for k in range(several[name])
        if (text := of(e, k)) is not None
    }
    about, report = made(root / "run", Design(tuple(conditions.values()), rows))
    return report, names_of(about, report)


def noise(name: str, example: int) -> float:
    """Return a number below 0.05, the same whenever it is asked for."""
    return crc32(f"{name} {example}".encode()) % 1000 / 20_000


def once(name: str, level: float) -> Callable[[int, int], str | None]:
    """Return one answer an example, around *level*."""
    return lambda e, k: None if k else f"{level + noise(name, e):.6f}"


def test_samples_are_averaged_and_not_the_first_compared(tmp_path: Path):
    """Of three samples the first is bad and the others are good; one greedy answer lies between."""
    report, names = designed(
        tmp_path,
        s=lambda e, k: None if k > 2 else f"{(0.2, 1.0, 1.0)[k] - noise('s', e):.6f}",
        g=once("g", 0.5),
    )

    main = cells(report, "table1")

    assert (main["s.none.said"].mark, main["s.none.said"].dagger) == ("best", True)
    shown = {r.key: r for r in report.results}["s.none-vs-g.none.said"]
    assert shown.value == pytest.approx(
        main["s.none.said"].value - main["g.none.said"].value, abs=1e-9
    )
    assert judge("s > g on said", names).verdict == "true"
    assert judge("g significantly > s on said", names).verdict == "false"


def test_scores_that_are_missing_where_it_is_hard_win_nothing(tmp_path: Path):
    """B has no score on the hard half: its mean is higher than A's, and A is better on both's."""
    hard = range(1, N, 2)
    report, names = designed(
        tmp_path,
        a=lambda e, k: None if k else f"{(0.2 if e in hard else 0.8) + noise('a', e):.6f}",
        b=lambda e, k: None if k else "x" if e in hard else f"{0.7 + noise('b', e):.6f}",
        c=lambda e, k: None if k else "x",
        d=once("d", 0.1),
    )

    main = cells(report, "table1")
    notes = " ".join(report.sections[0].tables[0].words.sentences)

    assert main["b.none.said"].value > main["a.none.said"].value
    assert models_of(main) == {"a"}
    assert "not ranked, with scores for less than 95%: b, No Prompt (25 of 50 examples)" in notes
    assert "Ordered the other way round on the examples that both rows have" in notes
    shorter = replace(report.spec, columns=("n",))  # a table is silent on what it does not show
    other = build(collect(RunDir(tmp_path / "run"), shorter), shorter)
    assert "other way round" not in " ".join(other.sections[0].tables[0].words.sentences)
    assert judge("a significantly > b on said", names).verdict == "cannot be told"
    assert judge("b > a on said", names).verdict == "cannot be told"
    assert judge("b is best among a, b on said", names).verdict != "true"


def test_one_of_33_conditions_that_is_far_better_is_significantly_so(tmp_path: Path):
    """528 pairs: the shuffles are as many as the correction needs, and no lack is proven."""
    levels = {f"m{i}": 0.1 if i else 0.9 for i in range(33)}
    report, names = designed(tmp_path, **{n: once(n, level) for n, level in levels.items()})

    assert cells(report, "table1")["m0.none.said"].dagger
    assert judge("m0 significantly > m1 on said", names).verdict == "true"
    assert judge("m0 is significantly best on said", names).verdict == "true"
    assert judge("m0 is not significantly different from m1 on said", names).verdict == "false"
    told = judge("m1 is not significantly different from m2 on said", names)
    assert (told.verdict, "no margin is declared" in told.reason) == ("cannot be told", True)


def test_no_difference_is_shown_by_equivalence_alone(tmp_path: Path):
    """Within a declared margin it is true; within a narrower one it cannot be told."""
    texts = {"m1": once("m1", 0.4), "m2": once("m2", 0.4)}
    _, names = designed(tmp_path, **texts)

    says = "m1 is not significantly different from m2 on said"
    verdicts = [
        judge(says, Names(replace(names.evidence, margins={"said": margin}))).verdict
        for margin in (0.05, 0.0001)
    ]

    assert verdicts == ["true", "cannot be told"]
