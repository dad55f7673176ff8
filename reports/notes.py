"""The sentences below the tables and around them: what a reader must know of the numbers. Pure."""

from collections.abc import Callable, Sequence

import polars as pl

from empathy_core.types import Condition
from reports.aggregate import ALL, THERAPIST, therapist
from reports.collect import Collected, Coverage
from reports.labels import decoding_words, full_name, row_labels, share, short_signature
from reports.spec import ReportSpec
from reports.table import Wanted, ranked_rows


def stamp(collected: Collected) -> str:
    """Return ``PARTIAL n/N``, complete rows of expected ones; empty if the run is whole."""
    if not collected.partial:
        return ""
    complete = sum(c.n_complete for c in collected.coverage)
    return f"PARTIAL {complete:,}/{sum(c.n_expected for c in collected.coverage):,}"


def main_notes(
    collected: Collected, summary: pl.DataFrame, spec: ReportSpec, wanted: Sequence[Wanted]
) -> tuple[str, ...]:
    """Return the notes of the main table."""
    return (
        *_partial(collected),
        _n(collected, spec),
        *_decodings(spec),
        *_marks(collected, summary, spec),
        *_answers(collected, spec),
        *unscored(summary, spec, wanted),
        *_assumed(spec),
        *spec.notes,
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


def _marks(
    collected: Collected, summary: pl.DataFrame, spec: ReportSpec, subset: str = ALL
) -> list[str]:
    ranked = [] if collected.partial else ranked_rows(summary, spec, subset)
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
