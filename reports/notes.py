"""The sentences below the tables and around them: what a reader must know of the numbers. Pure."""

from collections.abc import Callable, Sequence

import polars as pl

from empathy_core.stats import LEAST_CLUSTERS, LEVEL, RESAMPLES
from empathy_core.types import Condition
from reports.aggregate import ALL, THERAPIST, Aggregated, therapist
from reports.collect import Collected, Coverage
from reports.labels import decoding_words, full_name, row_labels, share, short_signature
from reports.spec import ReportSpec
from reports.table import DAGGER, Table, Wanted, how_tested, p_column, ranked_rows
from reports.validity import Doubtful, emptiest


def stamp(collected: Collected) -> str:
    """Return ``PARTIAL n/N``, complete rows of expected ones; empty if the run is whole."""
    if not collected.partial:
        return ""
    complete = sum(c.n_complete for c in collected.coverage)
    return f"PARTIAL {complete:,}/{sum(c.n_expected for c in collected.coverage):,}"


def empties(found: Sequence[Doubtful], spec: ReportSpec) -> str:
    """Return the stamp of a run in which a model answers with nothing too often; else empty."""
    most = emptiest(found)
    return f"{100 * most:.1f}% EMPTY ANSWERS" if most > spec.analysis.most_empty else ""


def main_notes(
    collected: Collected,
    numbers: Aggregated,
    spec: ReportSpec,
    table: Table,
    wanted: Sequence[Wanted],
) -> tuple[str, ...]:
    """Return the notes of the main table."""
    summary = numbers.summary
    return (
        *_partial(collected),
        *_emptied(collected, table, spec),
        _n(collected, spec),
        *_decodings(spec),
        *_intervals(summary, spec),
        *_marks(collected, summary, spec, stamp=table.words.stamp),
        *_tests(numbers, spec, table, wanted),
        *_answers(collected, spec),
        *unscored(summary, spec, wanted),
        *_assumed(spec),
        *spec.notes,
        *spec.older,
        *signatures(spec, wanted),
    )


def therapist_notes(
    collected: Collected, summary: pl.DataFrame, spec: ReportSpec, wanted: Sequence[Wanted]
) -> tuple[str, ...]:
    """Return the notes of the table on the therapist row's questions."""
    human = therapist(spec)
    if human is None:
        return ()
    n = collected.expected[human.id]["example"].n_unique()
    return (
        *_partial(collected),
        f"Every row is scored on exactly the {n:,} examples that the row {human.model.label} "
        "covers, so that people and models can be compared.",
        *_marks(collected, summary, spec, THERAPIST),
        *unscored(summary, spec, wanted, THERAPIST),
    )


def detail_notes(
    collected: Collected, summary: pl.DataFrame, spec: ReportSpec, wanted: Sequence[Wanted]
) -> tuple[str, ...]:
    """Return the notes of a detail table."""
    return (*_partial(collected), *unscored(summary, spec, wanted), *signatures(spec, wanted))


def published_notes(collected: Collected) -> tuple[str, ...]:
    """Return the notes of the comparison with the published values."""
    return (
        *_partial(collected),
        "Difference: this run's printed value less the published one.",
    )


def _partial(collected: Collected) -> list[str]:
    if not collected.partial:
        return []
    lacking = "sound rows only; the numbers will change, and none is marked as best"
    return [f"{stamp(collected)}: {lacking}."]


def _n(collected: Collected, spec: ReportSpec) -> str:
    """Say how many answers a row stands for, once for all rows that agree."""
    labels = row_labels(spec.conditions)
    splits = sorted(collected.examples["split"].unique())
    where = f"{splits[0]} split" if len(splits) == 1 else f"splits {', '.join(splits)}"
    by_n: dict[str, list[str]] = {}
    for condition, coverage in zip(spec.conditions, collected.coverage, strict=True):
        found, n = coverage.n_answered, coverage.n_expected
        count = f"{n:,}" if found == n else f"{found:,} of {n:,}"
        by_n.setdefault(count, []).append(full_name(condition, labels))
    text = f"Data: {collected.examples.height:,} examples of the {where}. "
    if len(by_n) == 1:
        return f"{text}n = {next(iter(by_n))} answers in each row."
    most = max(by_n, key=lambda count: len(by_n[count]))
    others = [f"n = {c} for {_listed(names)}" for c, names in by_n.items() if c != most]
    return f"{text}n = {most} answers a row; {'; '.join(others)}."


def _decodings(spec: ReportSpec) -> list[str]:
    decoded = [c.decoding for c in spec.conditions if c.model.backend == "hf"]
    words = {d.name: decoding_words(d) for d in decoded}
    if not words:
        return []
    if len(words) == 1:
        return [f"Decoding: {next(iter(words.values()))}."]
    return [f"Decoding: {'; '.join(f'{name}: {text}' for name, text in words.items())}."]


def _emptied(collected: Collected, table: Table, spec: ReportSpec) -> list[str]:
    if collected.partial or not table.words.stamp:
        return []
    return [
        f"{table.words.stamp}: a model answers with nothing more often than in "
        f"{100 * spec.analysis.most_empty:g}% of its answers, and its scores are those of empty "
        "texts; nothing is marked as best."
    ]


def _intervals(summary: pl.DataFrame, spec: ReportSpec) -> list[str]:
    """Say what the intervals are, and where there are none for want of questions."""
    of_all = summary.filter(pl.col("subset") == ALL, pl.col("n") > 0)
    if spec.layout.intervals == "none" or of_all.is_empty():
        return []
    told = []
    most = int(str(of_all["n_questions"].max()))
    if of_all["low"].count():
        what = (
            "\N{PLUS-MINUS SIGN}: half the width of"
            if spec.layout.intervals == "plusminus"
            else "In brackets:"
        )
        told.append(
            f"{what} the {100 * LEVEL:g}% percentile bootstrap interval over {most:,} questions "
            f"({RESAMPLES:,} resamples; answers to one question stay together)."
        )
    if of_all.filter(pl.col("n_questions") < LEAST_CLUSTERS).height:
        told.append(f"No interval and no test under {LEAST_CLUSTERS} questions.")
    return told


def _tests(
    numbers: Aggregated, spec: ReportSpec, table: Table, wanted: Sequence[Wanted]
) -> list[str]:
    """Say what the daggers mean, or that there is none."""
    if not wanted or table.words.stamp or not numbers.pairs[p_column(spec)].count():
        return []
    key, column = wanted[0]
    of_column = (pl.col("metric") == key) & (pl.col("column") == column.name)
    k = numbers.pairs.filter(of_column, pl.col("subset") == ALL)[p_column(spec)].count()
    tested = how_tested(spec, f"the {k} pairs of a column")
    if any(c.dagger for g in table.groups for row in g.rows for c in row.cells):
        return [f"{DAGGER} better than every other model row, {tested}."]
    return [f"No best row is better than every other model row with {tested}."]


def _marks(
    collected: Collected,
    summary: pl.DataFrame,
    spec: ReportSpec,
    subset: str = ALL,
    stamp: str = "",
) -> list[str]:
    ranked = [] if collected.partial or stamp else ranked_rows(summary, spec, subset)
    if len(ranked) < 2:
        return []
    human = therapist(spec)
    text = "Best model row in bold, second underlined"
    unranked = [c for c in _models(spec) if c.id not in ranked]
    if unranked:
        names = row_labels(spec.conditions)
        text += f"; not ranked, fewer examples: {_listed([full_name(c, names) for c in unranked])}"
    if human is not None:
        text += f"; {human.model.label} is a reference and is not ranked"
    return [f"{text}."]


def _models(spec: ReportSpec) -> list[Condition]:
    return [c for c in spec.conditions if c.model.backend != "human"]


def _answers(collected: Collected, spec: ReportSpec) -> list[str]:
    """Say how many answers are empty, cut short, or answer a cut question, where any is."""
    labels = row_labels(spec.conditions)
    kinds: tuple[tuple[str, Callable[[Coverage], int]], ...] = (
        ("Empty answers", lambda c: c.n_empty),
        ("Ended by the token limit", lambda c: c.n_cut),
        ("Question truncated to fit the model", lambda c: c.n_prompt_cut),
    )
    found = []
    for what, count in kinds:
        named = [
            f"{full_name(condition, labels)} {share(count(c), c.n_answered)}"
            for condition, c in zip(spec.conditions, collected.coverage, strict=True)
            if count(c)
        ]
        if named:
            found.append(f"{what}: {'; '.join(named)}.")
    return found


def unscored(
    summary: pl.DataFrame, spec: ReportSpec, wanted: Sequence[Wanted], subset: str = ALL
) -> list[str]:
    """Say which rows the metrics of *wanted* left out of their means."""
    keys = {key for key, _ in wanted}
    labels = row_labels(spec.conditions)
    names = {c.id: full_name(c, labels) for c in spec.conditions}
    rows = (
        summary.filter(pl.col("subset") == subset, pl.col("metric").is_in(keys))
        .filter(pl.col("n_unscored") > 0)
        .select("metric", "condition", "n_unscored", "n")
        .unique(maintain_order=True)
    )
    by_metric: dict[str, list[str]] = {}
    for key, condition, n_unscored, n in rows.iter_rows():
        left_out = f"{names[condition]} {n_unscored:,} of {n + n_unscored:,}"
        by_metric.setdefault(metric_name(key), []).append(left_out)
    return [f"Not scored by {name}: {'; '.join(rows)}." for name, rows in by_metric.items()]


def _assumed(spec: ReportSpec) -> list[str]:
    if not spec.assumed:
        return []
    settings = "; ".join(f"{setting} = {value}" for setting, value in spec.assumed)
    return [f"Assumed, since the paper does not say: {settings}."]


def signatures(spec: ReportSpec, wanted: Sequence[Wanted]) -> list[str]:
    """Name the metrics of *wanted* with their settings."""
    keys = dict.fromkeys(key for key, _ in wanted)
    shown = [f"{metric_name(k)} ({short_signature(spec.metrics[k].signature())})" for k in keys]
    return [f"Metrics: {', '.join(shown)}."]


def metric_name(key: str) -> str:
    """Return the name in ``<name>-<hash>``."""
    return key.rpartition("-")[0] or key


def _listed(names: Sequence[str]) -> str:
    return "; ".join(names)
