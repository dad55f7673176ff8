"""Every number of a run or of a publication that prose may cite, and what it is of. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from empathy_core.types import Column
from reports.claims.citable_numbers import Citable, Nameable, told_by, words
from reports.claims.evidence import Evidence, Measure, Subject
from reports.keys import difference_key, score_key
from reports.labels import number, p_text
from reports.numbers.results import CitedAs, Result

Contrasts = Mapping[str, tuple[str, tuple[str, ...]]]
"""Name of a declared contrast → its label, and the keys of the conditions that it compares."""


def citables_of_published(evidence: Evidence) -> tuple[Citable, ...]:
    """Return the printed scores of a publication."""
    found = []
    for subject in evidence.subjects:
        for measure in evidence.measures:
            if score := evidence.score(subject, measure):
                key, text = score_key(subject.key, measure.key), number(score.value, measure.column)
                about = _about((subject,), measure)
                found.append(Citable("", key, abs(score.value), measure.column, text, about))
    return tuple(found)


def citables_of_run(
    results: Sequence[Result], evidence: Evidence, contrasts: Contrasts | None = None
) -> tuple[Citable, ...]:
    """Return every number of *results* that a macro prints."""
    known = dict(_known(evidence))
    known |= dict(_declared(evidence, contrasts or {}))
    columns = {m.key: m.column for m in evidence.measures}
    found = []
    for result in results:
        if result.prose is not None:
            found += list(_parts(result, result.prose.column, _spoken(result.prose, evidence)))
            continue
        plain, _, subset = result.key.partition("@")
        about, column = known.get(plain, ((), None))
        column = column or columns.get(_column_of(plain, columns))
        if column is not None:
            divided = (_subset(subset),) if subset else ()
            found += list(_parts(result, column, (*about, *divided)))
    return tuple(found)


def _parts(result: Result, column: Column, about: tuple[Nameable, ...]) -> Iterator[Citable]:
    rank = 2 * (result.kind != "score") + ("@" in result.key)
    p = Column("p", "p", None, 3)
    both = result.interval_text
    parts = (
        ("res", result.value, column, result.text, rank),
        ("resci", result.low, column, both, rank + 4),
        ("resci", result.high, column, both, rank + 4),
        ("resp", result.p, p, p_text(result.p), rank + 8),
    )
    for command, value, of, text, place in parts:
        if value is not None:
            widths = _widths(result) if command == "res" else ()
            yield Citable(command, result.key, abs(value), of, text, about, place, widths)


def _widths(result: Result) -> tuple[float, ...]:
    """Return half the width of an interval, and how far its bounds are from the value."""
    value, low, high = result.value, result.low, result.high
    if value is None or low is None or high is None:
        return ()
    return (high - low) / 2, high - value, value - low


Known = Iterator[tuple[str, tuple[tuple[Nameable, ...], Column]]]


def _known(evidence: Evidence) -> Known:
    for measure in evidence.measures:
        for one in evidence.subjects:
            yield score_key(one.key, measure.key), (_about((one,), measure), measure.column)
            for other in evidence.subjects:
                of_two = _about((one, other), measure), measure.column
                yield difference_key(one.key, other.key, measure.key), of_two


def _declared(evidence: Evidence, contrasts: Contrasts) -> Known:
    by_key = {subject.key: subject for subject in evidence.subjects}
    for name, (label, keys) in contrasts.items():
        sides = tuple(by_key[key] for key in keys if key in by_key)
        own = Nameable("contrast", told_by((name, label)), label)
        for measure in evidence.measures:
            key = score_key(f"contrast.{name}", measure.key)
            yield key, ((*_about(sides, measure), own), measure.column)


def _column_of(key: str, columns: Mapping[str, Column]) -> str:
    """Return the column in which a key of a contrast ends."""
    return max((c for c in columns if key.endswith(f".{c}")), key=len, default="")


_COMMON = ("none", "our", "ours", "the", "my", "a", "an", "base", "model", "human")
"""Words of prose that name nothing by themselves, whatever is called so."""


def _about(subjects: Iterable[Subject], measure: Measure) -> tuple[Nameable, ...]:
    names = (measure.key, measure.column.name, measure.title, measure.column.label)
    found = [Nameable("column", told_by(names), measure.title, _is_distinct(measure.title))]
    for subject in subjects:
        shortened = [re.split(r"[\W_]+", name)[0] for name in subject.model_names]
        short = (s for s in shortened if len(s) > 1 and s.casefold() not in _COMMON)
        label = (subject.model_names or ("",))[-1]
        found.append(Nameable("model", told_by((*subject.model_names, *short)), label))
        prompts = [name for name in subject.prompt_names if name.casefold() not in _COMMON]
        found.append(Nameable("prompt", told_by(prompts), (subject.prompt_names or ("",))[-1]))
    return tuple(dict.fromkeys(thing for thing in found if thing.spellings))


def _is_distinct(title: str) -> bool:
    """Tell whether a column's label is no plain word of prose: ``ROUGE-1``, and not ``Words``."""
    capitals = sum(letter.isupper() for letter in title)
    return capitals > 1 or bool(re.search(r"\d", title)) or " " in title


def _spoken(of: CitedAs, evidence: Evidence) -> tuple[Nameable, ...]:
    """Return what a number is of that is no column's of a condition."""
    measures = {m.key: m for m in evidence.measures}
    subjects = tuple(s for s in evidence.subjects if s.key in of.conditions)
    measure = measures.get(of.measure, Measure(of.column.name, of.column))
    about = list(_about(subjects, measure)) if subjects or of.measure else []
    if of.columns:
        about = [thing for thing in about if thing.kind != "column"]
        title = of.columns[0]
        about.append(Nameable("column", told_by(of.columns), title, _is_distinct(title)))
    about += [Nameable("model", told_by((name,)), name) for name in of.models]
    about += [Nameable("prompt", told_by((name,)), name) for name in of.prompts]
    if of.statistic:
        about.append(Nameable("statistic", told_by(of.statistic), of.statistic[0]))
    return tuple(dict.fromkeys(thing for thing in about if thing.spellings))


def _subset(name: str) -> Nameable:
    parts = [part for part in words(name).split() if len(part) > 2 and not part.isdigit()]
    return Nameable("subset", tuple(dict.fromkeys(parts)), name)
