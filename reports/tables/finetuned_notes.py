"""The sentences below Table 2: what was compared, how it was tested, and what is wrong. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence

import polars as pl

from empathy_core.stats import LEAST_CLUSTERS, RESAMPLES
from reports.labels import (
    count,
    share,
)
from reports.numbers.adapter_vs_base import Numbers, as_pairs, by_base, labels
from reports.numbers.significance import how_tested, is_significant, p_column
from reports.rows.collect import Collected, Coverage
from reports.spec import Comparison, ReportSpec
from reports.tables.failures import worse
from reports.tables.notes import opposed_notes, partial
from reports.tables.signatures import signatures
from reports.tables.table import DAGGER
from reports.tables.uncounted import uncounted

MORE_EMPTY = 0.05
"""Share by which an adapter's empty answers may exceed its base's before its scores are theirs."""
BROKEN = "\N{DOUBLE DAGGER}"
"""Beside the name of an adapter for which they do."""


def table_warnings(
    numbers: Numbers, shown: Sequence[Comparison], named: Mapping[str, str]
) -> tuple[str, ...]:
    """Return what weakens a table of *shown*; *named*: tuned condition → label."""
    conditions = {i for c in shown for i in (c.base, c.unquantized, c.tuned) if i is not None}
    return (
        *partial(numbers.collected, ", and no difference is marked"),
        *empty_notes(numbers.collected, shown, named),
        *own_notes(shown, named),
        *numbers.spec.older,
        *worse(numbers.summary, numbers.spec, shown, named),
        *uncounted(numbers.collected, numbers.spec, numbers.wanted, conditions=conditions),
        *opposed_notes(
            as_pairs(_of(numbers, shown)), numbers.summary, numbers.spec, numbers.wanted
        ),
    )


def _of(numbers: Numbers, shown: Sequence[Comparison]) -> pl.DataFrame:
    """Return the differences of the adapters *shown*."""
    of_family, tuned = pl.col("family") == shown[0].family, [c.tuned for c in shown]
    return numbers.compared.filter(of_family, pl.col("tuned").is_in(tuned))


def table_notes(
    numbers: Numbers, shown: Sequence[Comparison], named: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the other notes of a table of *shown*; *named*: tuned condition → label."""
    mine = _of(numbers, shown)
    return (
        *_n(mine, numbers, named),
        "Difference: fine-tuned \N{MINUS SIGN} base before rounding, on the examples for which "
        f"both have a score; in brackets its 95% interval, from {count(RESAMPLES)} bootstrap "
        "samples of whole questions (percentiles).",
        *_tests(mine, numbers, shown[0].family),
        *_untested(mine),
        *signatures(numbers.spec, numbers.wanted),
    )


SEEDS = (
    "Mean \N{PLUS-MINUS SIGN} standard deviation over the seeds of one number of training "
    "rows (n); difference: fine-tuned \N{MINUS SIGN} base. The deviation is that of repeated "
    "training, not of the sample of questions."
)
"""Note of a table of means over seeds."""


def seed_warnings(
    numbers: Numbers, sizes: Sequence[Sequence[Comparison]], named: Mapping[str, str]
) -> tuple[str, ...]:
    """Return what weakens a table of means over seeds."""
    shown = [c for seeds in sizes for c in seeds]
    return (
        *partial(numbers.collected, ""),
        *empty_notes(numbers.collected, shown, named),
        *own_notes(shown, named),
        *numbers.spec.older,
    )


def emptied(collected: Collected, comparison: Comparison) -> tuple[str, str] | None:
    """Return the shares of empty answers, tuned and base; null if the adapter adds few."""
    of = {c.condition: c for c in collected.coverage}
    tuned, base = of[comparison.tuned], of[comparison.base]
    if _empty(tuned) - _empty(base) <= MORE_EMPTY:
        return None
    return share(tuned.n_empty, tuned.n_answered), share(base.n_empty, base.n_answered)


def _empty(coverage: Coverage) -> float:
    return coverage.n_empty / coverage.n_answered if coverage.n_answered else 0.0


def empty_notes(
    collected: Collected, shown: Sequence[Comparison], named: Mapping[str, str]
) -> list[str]:
    """Say of each adapter that answers with nothing that its scores are those of nothing."""
    found = [(c, emptied(collected, c)) for c in shown]
    return [
        f"{BROKEN} {shares[0]} of the fine-tuned answers ({named[c.tuned]}) are empty, of the "
        f"base's {shares[1]}: its scores are those of empty texts."
        for c, shares in found
        if shares is not None
    ]


def _n(mine: pl.DataFrame, numbers: Numbers, named: Mapping[str, str]) -> list[str]:
    """Say how many answers the differences are made of, once for all that agree."""
    names = {(key, c.name): c.label for key, c in numbers.wanted}
    counted: dict[str, dict[str, list[str]]] = {}
    fields = mine.select("tuned", "metric", "column", "n", "n_left_out", "n_questions")
    for tuned, metric, column, n, n_left_out, n_questions in fields.iter_rows():
        text = f"n = {count(n)} answers to {count(n_questions)} questions"
        text += f", {count(n_left_out)} more not scored on both sides" if n_left_out else ""
        counted.setdefault(text, {}).setdefault(tuned, []).append(names[metric, column])
    if len(counted) == 1:
        return [f"{next(iter(counted))} in each pair."]
    told = []
    for text, of in counted.items():
        pairs = [
            named[tuned] if len(lines) == len(names) else f"{named[tuned]}: {', '.join(lines)}"
            for tuned, lines in of.items()
        ]
        told.append(f"{text} ({'; '.join(pairs)})")
    return [f"{'; '.join(told)}."] if told else []


def _tests(mine: pl.DataFrame, numbers: Numbers, family: str) -> list[str]:
    of_family, p = numbers.compared.filter(pl.col("family") == family), p_column(numbers.spec)
    k = of_family[p].count()
    if not k or numbers.collected.partial:
        return []
    marked = any(is_significant(row, p) for row in mine.iter_rows(named=True))
    tested = how_tested(numbers.spec, f"the {k} differences of the fine-tunes “{family}”", k)
    return [f"{DAGGER} {tested}." if marked else f"No difference here has {tested}."]


def _untested(mine: pl.DataFrame) -> list[str]:
    few = Counter(mine.filter(pl.col("n_questions") < LEAST_CLUSTERS)["n_questions"].to_list())
    few.pop(0, None)
    if not few:
        return []
    found = ", ".join(f"{count(n)}" for n in sorted(few))
    return [
        f"[n/a]: answers to fewer than {LEAST_CLUSTERS} questions ({found}) have neither an "
        "interval nor a test."
    ]


def all_own_notes(spec: ReportSpec) -> tuple[str, ...]:
    """Return the sentences of all adapters of a report, each once."""
    of_bases = (own_notes(members, labels(members)) for members in by_base(spec.finetunes))
    return tuple(dict.fromkeys(sentence for of_base in of_bases for sentence in of_base))


def own_notes(shown: Sequence[Comparison], named: Mapping[str, str]) -> list[str]:
    """Return the adapters' own sentences, with their names where not all have the sentence."""
    having: dict[str, list[str]] = {}
    for comparison in shown:
        for sentence in comparison.notes:
            having.setdefault(sentence, []).append(named[comparison.tuned])
    return [
        _begun(sentence) if len(names) == len(shown) else f"{'; '.join(names)}: {sentence}"
        for sentence, names in having.items()
    ]


def _begun(sentence: str) -> str:
    """Return *sentence* with a capital; nothing stands before it."""
    return sentence[:1].upper() + sentence[1:]
