"""The sentences below the tables and around them: what a reader must know of the numbers. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import polars as pl

from empathy_core import data
from empathy_core.metrics import compares_alike
from empathy_core.stats import LEAST_CLUSTERS, LEVEL, RESAMPLES
from empathy_core.types import Condition
from reports.keys import metric_name
from reports.labels import (
    column_title,
    count,
    decoded_words,
    engine_words,
    full_name,
    general,
    n_of,
    number,
    percent,
    reasoning_words,
    row_labels,
    share,
)
from reports.numbers.aggregate import ALL, THERAPIST, Aggregated, therapist
from reports.numbers.flagged import FlaggedAnswers, emptiest
from reports.numbers.significance import (
    ALPHA,
    COMMON,
    LEAST_COVERED,
    Ranking,
    Wanted,
    corrected,
    how_tested,
    p_column,
    ranked,
    ranking,
    subset_of_tests,
)
from reports.numbers.values import values_of
from reports.rows.collect import Collected, Coverage
from reports.spec import ReportSpec
from reports.tables.signatures import signatures
from reports.tables.table import DAGGER, Table, value_text
from reports.tables.uncounted import rated, uncounted


def stamp(collected: Collected) -> str:
    """Return ``PARTIAL n/N``, complete rows of expected ones; empty if the run is whole."""
    if not collected.partial:
        return ""
    complete = sum(c.n_complete for c in collected.coverage)
    return f"PARTIAL {count(complete)}/{count(sum(c.n_expected for c in collected.coverage))}"


def empties(found: Sequence[FlaggedAnswers], spec: ReportSpec) -> str:
    """Return the stamp of a run in which a model answers with nothing too often; else empty."""
    most = emptiest(found)
    return f"{percent(most)} EMPTY ANSWERS" if most > spec.analysis.most_empty else ""


def main_warnings(
    collected: Collected,
    numbers: Aggregated,
    spec: ReportSpec,
    table: Table,
    wanted: Sequence[Wanted],
) -> tuple[str, ...]:
    """Return what weakens the numbers of the main table, the worst first."""
    return (
        *partial(collected),
        *_emptied(collected, table, spec),
        *spec.notes,
        *spec.older,
        *uncounted(collected, spec, wanted),
        *opposed_notes(
            numbers.pairs.filter(pl.col("subset") == ALL), numbers.summary, spec, wanted
        ),
        *(some for some, _ in _faults(collected, spec)),
    )


def main_notes(
    collected: Collected,
    numbers: Aggregated,
    spec: ReportSpec,
    table: Table,
    wanted: Sequence[Wanted],
) -> tuple[str, ...]:
    """Return what else a page says below the main table."""
    summary = numbers.summary
    return (
        answered(collected, spec),
        *_decodings(spec),
        *_engines(spec),
        *_intervals(summary, spec),
        *marks(summary, spec, wanted, stamp=table.words.stamp),
        *tests(numbers, spec, table, wanted),
        *(every for some, every in _faults(collected, spec) if every != some),
        *_thoughts(collected, spec),
        *rated(collected, spec, wanted),
        *_assumed(spec),
        *signatures(spec, wanted),
    )


def main_brief(
    collected: Collected,
    numbers: Aggregated,
    spec: ReportSpec,
    table: Table,
    wanted: Sequence[Wanted],
) -> tuple[str, ...]:
    """Return what else stands below the main table in print, the most important first."""
    return (
        *brief_tests(spec, table),
        *rated(collected, spec, wanted),
        *marks(numbers.summary, spec, wanted, stamp=table.words.stamp),
        answered(collected, spec),
        *_thoughts(collected, spec),
    )


def warnings(
    collected: Collected,
    spec: ReportSpec,
    wanted: Sequence[Wanted] = (),
    *,
    examples: pl.Series | None = None,
) -> tuple[str, ...]:
    """Return what weakens any other table of scores; the arguments are those of ``uncounted``."""
    return (
        *partial(collected),
        *spec.older,
        *uncounted(collected, spec, wanted, examples=examples),
    )


def brief_tests(spec: ReportSpec, table: Table) -> list[str]:
    """Say what the daggers mean in a line; nothing where there is none."""
    if not has_daggers(table):
        return []
    return [f"{DAGGER} better than every other ranked row, p < {ALPHA} ({corrected(spec)})."]


def has_daggers(table: Table) -> bool:
    """Tell whether a cell is marked as significant."""
    return any(c.dagger for g in table.groups for row in g.rows for c in row.cells)


def therapist_notes(
    collected: Collected, summary: pl.DataFrame, spec: ReportSpec, wanted: Sequence[Wanted]
) -> tuple[str, ...]:
    """Return the notes of the table on the therapist row's questions."""
    human = therapist(spec)
    if human is None:
        return ()
    n = len(of_therapist(collected, human))
    alike = any(map(compares_alike, spec.metrics.values()))
    return (
        f"Every row is scored on exactly the {count(n)} examples that the row {human.model.label} "
        "covers, so that people and models can be compared.",
        *data.references.note_on_people(collected.examples, own_left_out=alike),
        *marks(summary, spec, wanted, THERAPIST, stamp(collected)),
    )


def of_therapist(collected: Collected, human: Condition) -> pl.Series:
    """Return the ids of the examples that the therapist row covers."""
    return collected.expected[human.id]["example"].unique()


PUBLISHED = "Difference: this run's printed value \N{MINUS SIGN} the published one."
"""Note of the comparison with the published values."""


def partial(
    collected: Collected, consequence: str = ", and none is marked as best"
) -> tuple[str, ...]:
    """Say that rows are missing, if they are, and what is not done for that reason."""
    if not collected.partial:
        return ()
    return (f"{stamp(collected)}: complete rows only; the numbers will change{consequence}.",)


def answered(collected: Collected, spec: ReportSpec) -> str:
    """Say how many answers a row stands for, once for all rows that agree."""
    labels = row_labels(spec.conditions)
    splits = sorted(collected.examples["split"].unique())
    where = f"{splits[0]} split" if len(splits) == 1 else f"splits {', '.join(splits)}"
    by_n: dict[str, list[str]] = {}
    for condition, coverage in zip(spec.conditions, collected.coverage, strict=True):
        answered, n = coverage.n_answered, coverage.n_expected
        counted = count(n) if answered == n else n_of(answered, n)
        by_n.setdefault(counted, []).append(full_name(condition, labels))
    text = f"Data: {count(collected.examples.height)} examples of the {where}. "
    if len(by_n) == 1:
        return f"{text}n = {next(iter(by_n))} answers in each row."
    most = max(by_n, key=lambda counted: len(by_n[counted]))
    others = [f"n = {c} for {_listed(names)}" for c, names in by_n.items() if c != most]
    return f"{text}n = {most} answers a row; {'; '.join(others)}."


def _decodings(spec: ReportSpec) -> list[str]:
    decoded = [c for c in spec.conditions if c.model.backend in ("hf", "server")]
    words = {c.decoding.name: decoded_words(c) for c in decoded}
    if not words:
        return []
    if len(words) == 1:
        return [f"Decoding: {next(iter(words.values()))}."]
    return [f"Decoding: {'; '.join(f'{name}: {text}' for name, text in words.items())}."]


def _engines(spec: ReportSpec) -> list[str]:
    """Say which rows a server generated, and that its batches are its own."""
    served: dict[str, list[str]] = {}
    for model in dict.fromkeys(c.model for c in spec.conditions if c.model.engine):
        if model.engine:
            served.setdefault(engine_words(model.engine), []).append(model.label)
    return [
        f"Generated by {engine}: {_listed(labels)}; such a server forms its own batches, which "
        "outside float32 may change a text."
        for engine, labels in served.items()
    ]


def _emptied(collected: Collected, table: Table, spec: ReportSpec) -> list[str]:
    if collected.partial or not table.words.stamp:
        return []
    return [
        f"{table.words.stamp}: more than {general(100 * spec.analysis.most_empty)}% of a model's "
        "answers are empty, and its scores are those of empty texts; nothing is marked as best."
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
            f"{what} the {general(100 * LEVEL)}% interval over {count(most)} questions "
            f"(bootstrap-t, {count(RESAMPLES)} resamples; for shares, Korn and Graubard's; "
            "clustered by question)."
        )
    if of_all["one_sided"].any():
        told.append(
            "\N{LESS-THAN OR EQUAL TO} and \N{GREATER-THAN OR EQUAL TO}: the one-sided "
            f"{general(100 * LEVEL)}% bound of a share that is 0% or 100%."
        )
    if of_all.filter(pl.col("n_questions") < LEAST_CLUSTERS).height:
        told.append(f"No interval and no test with fewer than {LEAST_CLUSTERS} questions.")
    return told


def tests(
    numbers: Aggregated,
    spec: ReportSpec,
    table: Table,
    wanted: Sequence[Wanted],
) -> list[str]:
    """Say what the daggers mean, or that there is none."""
    tested = [w for w in wanted if w[1].main]  # the others have no test
    if not tested or table.words.stamp or not numbers.pairs[p_column(spec)].count():
        return []
    key, column = tested[0]
    of_column = (pl.col("metric") == key) & (pl.col("column") == column.name)
    subset = pl.col("subset") == subset_of_tests(numbers.pairs, key)
    k = numbers.pairs.filter(of_column, subset)[p_column(spec)].count()
    how = how_tested(spec, f"the {k} pairs of a column", k)
    if has_daggers(table):
        return [f"{DAGGER} better than every other ranked row, {how}."]
    return [f"No best row is better than every other ranked row with {how}."]


def marks(
    summary: pl.DataFrame,
    spec: ReportSpec,
    wanted: Sequence[Wanted],
    subset: str = ALL,
    stamp: str = "",
) -> list[str]:
    """Say what is marked, which rows are not ranked, and under which columns marks are withheld."""
    of_subset = summary.filter(pl.col("subset") == subset)
    if stamp or max((len(r) for r in ranked(of_subset, _keys(wanted)).values()), default=0) < 2:
        return []
    rankings = {w: ranking(of_subset, *w, spec.barred) for w in wanted}
    human, names = therapist(spec), row_labels(spec.conditions)
    parts = ["Best model row in bold, second underlined"]
    if not any(of.marks for of in rankings.values()):
        parts = ["No row is marked as best"]
    if lacking := _unranked(of_subset, spec, wanted):
        parts.append(
            f"not ranked, with scores for less than {percent(LEAST_COVERED, 0)}: {lacking}"
        )
    if barred := _listed([full_name(c, names) for c in spec.conditions if c.id in spec.barred]):
        parts.append(
            "not marked, since people confirmed a severe fault in a reply to a person at risk: "
            f"{barred}"
        )
    if human is not None and subset != COMMON:
        parts.append(f"{human.model.label} is a reference and is not ranked")
    return [f"{'; '.join(parts)}.", *_withheld(rankings, subset)]


def _keys(wanted: Sequence[Wanted]) -> list[str]:
    return list(dict.fromkeys(key for key, _ in wanted))


def _unranked(of_subset: pl.DataFrame, spec: ReportSpec, wanted: Sequence[Wanted]) -> str:
    """Name the models that lack too many scores, and under which metrics; empty if none does."""
    labels, keys = row_labels(spec.conditions), _keys(wanted)
    names = {c.id: full_name(c, labels) for c in _models(spec) if c.choice is None}
    rows = of_subset.filter(~pl.col("ranked"), pl.col("metric").is_in(keys))
    counts = rows.select("condition", "metric", "n_examples").unique(maintain_order=True)
    most = dict(of_subset.group_by("metric").agg(pl.col("n_examples").max()).iter_rows())
    found = []
    for condition, name in names.items():
        mine = counts.filter(pl.col("condition") == condition)
        told = {
            metric_name(m): f"{count(n)} of {count(most[m])} examples"
            for _, m, n in mine.iter_rows()
        }
        if len(told) == len(keys) and len(set(told.values())) == 1:
            found.append(f"{name} ({next(iter(told.values()))})")
        elif told:
            found.append(f"{name} ({', '.join(f'{m}: {text}' for m, text in told.items())})")
    return _listed(found)


def _withheld(rankings: Mapping[Wanted, Ranking], subset: str) -> Iterator[str]:
    """Say under which columns a best value bears no mark, and why."""
    titles = {
        why: ", ".join(column_title(c) for (_, c), of in rankings.items() if of.withheld == why)
        for why in ("rows", "bounds")
    }
    if titles["rows"]:
        where = "; see the table of common examples" if subset == ALL else ""
        yield (
            f"Nothing is marked under {titles['rows']}: the rows have scores for different "
            f"examples, and on those that all ranked rows share the scores differ{where}."
        )
    if titles["bounds"]:
        yield (
            f"Marks are left out under {titles['bounds']} where the answers that the metric could "
            "not score might change the order."
        )


def common_notes(
    numbers: Aggregated, spec: ReportSpec, table: Table, wanted: Sequence[Wanted]
) -> tuple[str, ...]:
    """Return the notes of the table on the examples that all ranked rows have scores for."""
    of_subset = numbers.summary.filter(pl.col("subset") == COMMON)
    sizes: dict[int, list[str]] = {}
    counts = of_subset.select("metric", "n_examples").unique(maintain_order=True)
    for metric, n in counts.iter_rows():
        if metric in _keys(wanted):
            sizes.setdefault(n, []).append(metric_name(metric))
    told = "; ".join(f"{', '.join(names)}: {count(n)}" for n, names in sizes.items())
    return (
        f"Examples for which every row has a score: {told}. Each example counts once.",
        *marks(numbers.summary, spec, wanted, COMMON, table.words.stamp),
        *tests(numbers, spec, table, wanted),
    )


MOST_OPPOSED = 3
"""Pairs that a note lists."""


def opposed_notes(
    rows: pl.DataFrame, summary: pl.DataFrame, spec: ReportSpec, wanted: Sequence[Wanted]
) -> list[str]:
    """Name differences that go the other way than the two cells, and print both.

    *rows* is ``pairs.PAIRS``, *summary* ``aggregate.SUMMARY``, *wanted* the table's columns.
    """
    columns = {(k, c.name): c for k, c in wanted}
    labels = row_labels(spec.conditions)
    of = {c.id: full_name(c, labels) for c in spec.conditions}
    cells = values_of(summary.filter(pl.col("subset") == ALL))
    told = []
    for row in rows.filter(pl.col("opposed")).iter_rows(named=True):
        at = row["metric"], row["column"]
        if at not in columns:
            continue
        shown = [
            f"{of[row[name]]} {value_text(cells.get((row[name], *at)), columns[at])}"
            f" ({number(row[score], columns[at])})"
            for name, score in (("first", "first_score"), ("second", "second_score"))
        ]
        told.append(f"{column_title(columns[at])}: {' and '.join(shown)}, n = {count(row['n'])}")
    if not told:
        return []
    more = f"; and {count(len(told) - MOST_OPPOSED)} more" if len(told) > MOST_OPPOSED else ""
    return [
        "Ordered the other way round on the examples that both rows have (scores there in "
        "parentheses): "
        f"{'; '.join(told[:MOST_OPPOSED])}{more}. Neither order is significant."
    ]


def _models(spec: ReportSpec) -> list[Condition]:
    return [c for c in spec.conditions if not c.model.is_human]


MOST_NAMED = 2
"""Rows that a warning of faulty answers lists; of more it gives the number, the notes the list."""


def _faults(collected: Collected, spec: ReportSpec) -> list[tuple[str, str]]:
    """Say how many answers have a fault, where any has: empty, cut short, a special token ….

    Returns:
        For each fault, in short where many rows have it, and of every row that has it.
    """
    labels = row_labels(spec.conditions)
    kinds: tuple[tuple[str, Callable[[Coverage], int], Callable[[int, int], str]], ...] = (
        ("Empty answers", lambda c: c.n_empty, share),
        (
            "Reasoning without an answer (counted as empty)",
            lambda c: c.n_thought_only,
            n_of,
        ),
        ("Ended by the token limit", lambda c: c.n_cut, share),
        ("Question truncated to fit the model", lambda c: c.n_prompt_cut, share),
        ("Special tokens in answers (removed)", lambda c: c.n_special, n_of),
        ("Withheld by the server's content filter", lambda c: c.n_withheld, n_of),
    )
    faults = []
    for fault, counted, text in kinds:
        having = [
            (full_name(condition, labels), counted(c), c.n_answered)
            for condition, c in zip(spec.conditions, collected.coverage, strict=True)
            if counted(c)
        ]
        if not having:
            continue
        every = f"{fault}: {_listed([f'{name} {text(n, of)}' for name, n, of in having])}."
        _, n, of = max(having, key=lambda row: row[1] / row[2])
        some = f"{fault}: {count(len(having))} rows, at most {text(n, of)} of a row's answers."
        faults.append((some if len(having) > MOST_NAMED else every, every))
    return faults


def _thoughts(collected: Collected, spec: ReportSpec) -> list[str]:
    """Say what is taken for a thought, and in how many answers there is one, none included."""
    labels, found = row_labels(spec.conditions), dict[str, list[str]]()
    for condition, c in zip(spec.conditions, collected.coverage, strict=True):
        if how := reasoning_words(condition):
            counted = f"{full_name(condition, labels)} {n_of(c.n_thought, c.n_answered)}"
            found.setdefault(how, []).append(counted)
    return [
        f"Reasoning {how} is not scored; answers with it: {'; '.join(named)}."
        for how, named in found.items()
    ]


def _assumed(spec: ReportSpec) -> list[str]:
    if not spec.assumed:
        return []
    settings = "; ".join(f"{setting} = {value}" for setting, value in spec.assumed)
    return [f"Assumed, since the paper does not say: {settings}."]


def _listed(names: Sequence[str]) -> str:
    return "; ".join(names)
