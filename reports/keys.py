"""What a number is called in prose, macros, claims and ``explain``. Pure.

A condition is ``<model>.<prompt>``, e.g. ``llama3_8b.prompt2``; a score ``<condition>.<column>``,
e.g. ``llama3_8b.prompt2.rouge1``; of a subset ``<score>@<subset>``; a difference
``<second>-vs-<first>.<column>``, second less first; a declared contrast
``contrast.<name>.<column>``. Keys are plain ASCII without blanks, so that they can stand in a
LaTeX command and on a command line.

A name has two spellings. In the *plain* one every run of other characters is a hyphen
(``work family`` is ``work-family``), so that two names may have the same. In the *exact* one no
two have: what is no letter, digit or underscore stands as its number between plus signs
(``work+20+family``; a run of them as ``+6291_90c1+``), and it always holds a plus sign, which the
plain one never does. A key is plain where no other of the run is equal to it, else exact.

So a key that was unique stays what it is; and where a later value makes it ambiguous, it ceases to
be a key, which LaTeX and ``explain`` report with the nearest: it never passes to another number.
Which number a key is, stands in ``results.csv``.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations, product
from typing import Protocol, Self, TypeVar

from empathy_core.types import Column, Condition, digest

ALL = "all"
"""The subset of all rows."""
VERSUS = "-vs-"
CONTRAST = "contrast"
MARK = "++"
"""Of an exact spelling in which nothing is spelled by number."""

At = tuple[str, str]
"""Metric key and name of a column."""
Of = TypeVar("Of", bound=Hashable)


class HasColumns(Protocol):
    """A metric, or whatever else has columns."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """The numbers it prints, in order."""
        ...


# ---------------------------------------------------------------------------- spellings


def plain(text: str) -> str:
    """Return *text* with a hyphen for every run of characters that no key can hold."""
    return re.sub(r"[^A-Za-z0-9_.=-]+", "-", text)


def exact(text: str, kept: str = "A-Za-z0-9_") -> str:
    """Return *text* so that no other text is spelled the same; of hyphens and dots, too.

    *kept* are the characters that stand for themselves. Of what follows a split at each plus
    sign, every second part are the numbers of characters in hexadecimal, joined by underscores.
    """
    return re.sub(rf"[^{kept}]+", lambda run: f"+{_numbers(run[0])}+", text)


def _numbers(text: str) -> str:
    return "_".join(f"{ord(char):x}" for char in text)


def _marked(spelled: str) -> str:
    """Return an exact spelling so that it is no plain one."""
    return spelled if "+" in spelled else spelled + MARK


def _unlike(plainly: Mapping[Of, str], exactly: Mapping[Of, str]) -> dict[Of, str]:
    """Return the plain spelling of each, or the exact one where another's is the same."""
    times = Counter(plainly.values())
    return {of: name if times[name] == 1 else _marked(exactly[of]) for of, name in plainly.items()}


def spelled(names: Iterable[str]) -> dict[str, str]:
    """Return each of some names → how keys spell it: plainly, or exactly where two are alike."""
    known = dict.fromkeys(names)
    return _unlike({name: plain(name) for name in known}, {name: exact(name) for name in known})


def head_of(what: str, conditions: Iterable[Condition]) -> str:
    """Return what keys of *what* begin with: exactly spelled where a model is called so."""
    return f"{what}{MARK}" if any(c.model.name == what for c in conditions) else what


# ---------------------------------------------------------------------------- parts of keys


def condition_keys(conditions: Iterable[Condition]) -> dict[str, str]:
    """Return condition id → key; decoding, then the id's digest, only where it must tell apart."""
    parts = _of_conditions(conditions)
    return _unlike(_joined(parts, plain), _joined(parts, exact))


def exact_condition_keys(conditions: Iterable[Condition]) -> dict[str, str]:
    """Return condition id → the key that it has whatever else is called alike."""
    parts = _joined(_of_conditions(conditions), exact)
    return {i: _marked(spelled) for i, spelled in parts.items()}


def column_keys(metrics: Mapping[str, HasColumns]) -> dict[At, str]:
    """Return (metric key, column) → key; the metric's own where two share a column's name."""
    parts = _of_columns(metrics)
    return _unlike(_joined(parts, plain), _joined(parts, exact))


def score_key(condition: str, column: str, subset: str = ALL) -> str:
    """Return the plain key of a score; *condition* and *column* are keys."""
    return f"{condition}.{column}{_at(subset)}"


def difference_key(second: str, first: str, column: str, subset: str = ALL) -> str:
    """Return the plain key of *second* less *first*; all are keys."""
    return f"{second}{VERSUS}{first}.{column}{_at(subset)}"


def _at(subset: str, spell: Callable[[str], str] = plain) -> str:
    """Return what a key of this subset ends in; nothing for all rows."""
    column, equals, value = subset.partition("=")
    return "" if subset == ALL else f"@{spell(column)}{equals}{spell(value)}"


def _of_conditions(conditions: Iterable[Condition]) -> dict[str, tuple[str, ...]]:
    """Return condition id → the names that its key is made of."""
    conditions = tuple(conditions)
    names: dict[str, tuple[str, ...]] = {c.id: (c.model.name, c.prompt.name) for c in conditions}
    parts: tuple[Callable[[Condition], str], ...] = (
        lambda c: c.decoding.name,
        lambda c: c.id.rpartition("-")[2],
    )
    for part in parts:
        times = Counter(map(".".join, names.values()))
        names |= {
            c.id: (*names[c.id], part(c)) for c in conditions if times[".".join(names[c.id])] > 1
        }
    return names


def _of_columns(metrics: Mapping[str, HasColumns]) -> dict[At, tuple[str, ...]]:
    """Return (metric key, column) → the names that its key is made of."""
    columns: list[tuple[str, Column]] = [(k, c) for k, m in metrics.items() for c in m.columns]
    times = Counter(c.name for _, c in columns)
    return {(k, c.name): (c.name,) if times[c.name] == 1 else (k, c.name) for k, c in columns}


def _joined(parts: Mapping[Of, Sequence[str]], spell: Callable[[str], str]) -> dict[Of, str]:
    return {of: ".".join(map(spell, names)) for of, names in parts.items()}


# ---------------------------------------------------------------------------- keys of a run


@dataclass(frozen=True, slots=True)
class _Spelling:
    """How the parts of a run's keys are spelled, be it plainly or exactly.

    Attributes:
        contrasts: Name → what the keys of a contrast begin with.
        subsets: Name → what the keys of a subset end in.
    """

    conditions: Mapping[str, str]
    columns: Mapping[At, str]
    contrasts: Mapping[str, str]
    subsets: Mapping[str, str]

    def score(self, condition: str, at: At, subset: str) -> str:
        return f"{self.conditions[condition]}.{self.columns[at]}{self.subsets[subset]}"

    def difference(self, second: str, first: str, at: At) -> str:
        return f"{self.conditions[second]}{VERSUS}{self.conditions[first]}.{self.columns[at]}"

    def contrast(self, name: str, at: At) -> str:
        return f"{self.contrasts[name]}.{self.columns[at]}"

    def beside(self, exactly: Self) -> "_Spelling":
        """Return this spelling, but that of *exactly* for parts that are otherwise alike."""
        return _Spelling(
            _unlike(self.conditions, exactly.conditions),
            _unlike(self.columns, exactly.columns),
            _unlike(self.contrasts, exactly.contrasts),
            _unlike(self.subsets, exactly.subsets),
        )

    def all(self, main: Collection[At]) -> Iterator[str]:
        """Yield the spelling of every number that a report holds; differences are of *main*."""
        for of_score in product(self.conditions, self.columns, self.subsets):
            yield self.score(*of_score)
        for (second, first), at in product(permutations(self.conditions, 2), main):
            yield self.difference(second, first, at)
        for of_contrast in product(self.contrasts, main):
            yield self.contrast(*of_contrast)


@dataclass(frozen=True, slots=True)
class Keys:
    """What the numbers and conditions of a run are called: no two the same, whatever they are of.

    Conditions are named by id, columns by metric key and name, contrasts and subsets by name.

    Attributes:
        _partly: Exact where a part of the key has the plain spelling of another of its kind.
        _times: Plain spelling → how many numbers have it.
        _times_else: Another spelling → how many have it; empty if all plain ones are unique.
    """

    _plainly: _Spelling
    _partly: _Spelling
    _exactly: _Spelling
    _times: Mapping[str, int] = field(repr=False)
    _times_else: Mapping[str, int] = field(repr=False)

    @classmethod
    def of(
        cls,
        conditions: Iterable[Condition],
        metrics: Mapping[str, HasColumns],
        contrasts: Iterable[str] = (),
        subsets: Iterable[str] = (),
    ) -> Self:
        """Return the keys of a run; ``ALL`` is always among its *subsets*."""
        named = _of_conditions(conditions), _of_columns(metrics)
        declared, rows = tuple(contrasts), (ALL, *subsets)
        plainly, exactly = (
            _Spelling(
                _joined(named[0], spell),
                _joined(named[1], spell),
                {name: f"{head}.{spell(name)}" for name in declared},
                {name: _at(name, spell) for name in rows},
            )
            for spell, head in ((plain, CONTRAST), (exact, CONTRAST + MARK))
        )
        partly = plainly.beside(exactly)
        main = [(k, c.name) for k, m in metrics.items() for c in m.columns if c.main]
        times, otherwise = Counter(plainly.all(main)), Counter[str]()
        if any(n > 1 for n in times.values()):
            both = zip(partly.all(main), map(_marked, exactly.all(main)), strict=True)
            otherwise = Counter(name for spelled in both for name in set(spelled))
        return cls(plainly, partly, exactly, times, otherwise)

    def condition(self, id_: str) -> str:
        """Return the key of a condition by itself."""
        name, names = self._plainly.conditions[id_], self._plainly.conditions.values()
        is_unique = name not in self._times and sum(name == other for other in names) == 1
        return name if is_unique else _marked(self._exactly.conditions[id_])

    def score(self, condition: str, at: At, subset: str = ALL) -> str:
        """Return the key of a score."""
        return self._one(lambda spelling: spelling.score(condition, at, subset))

    def difference(self, second: str, first: str, at: At) -> str:
        """Return the key of *second* less *first*."""
        return self._one(lambda spelling: spelling.difference(second, first, at))

    def contrast(self, name: str, at: At) -> str:
        """Return the key of a declared contrast."""
        return self._one(lambda spelling: spelling.contrast(name, at))

    def _one(self, spelled: Callable[[_Spelling], str]) -> str:
        name, partly = spelled(self._plainly), spelled(self._partly)
        if self._times[name] <= 1:
            return name
        is_told = "+" in partly and self._times_else[partly] == 1
        return partly if is_told else _marked(spelled(self._exactly))


# ---------------------------------------------------------------------------- names of files

MOST_BYTES = 217
"""Of such a name; with what stands before and after it, and of a file that is not yet whole, 255.
"""
STANDALONE = "-standalone"
"""How the name of a section's second file ends."""


def file_names(texts: Iterable[str]) -> dict[str, str]:
    """Return what each of *texts* is called in names of files; *texts* are all that there are.

    A plain text stands as it is. No two share a file, nor one and the other's ``STANDALONE``, on
    file systems, too, that do not tell ``A`` from ``a``.
    """
    files = {text: _files_of(plain(text)) for text in texts}
    times = Counter(file for of in files.values() for file in of)
    return {
        text: _file_name(text, is_shared=any(times[file] > 1 for file in of))
        for text, of in files.items()
    }


def _files_of(name: str) -> tuple[str, str]:
    return name.casefold(), name.casefold() + STANDALONE


def _file_name(text: str, *, is_shared: bool) -> str:
    name = plain(text)
    nothing_left = name != text and not re.search("[A-Za-z0-9]", name)
    if is_shared or nothing_left:
        name = _marked(exact(text, "a-z0-9_"))
    if len(name) > MOST_BYTES:  # within an exact spelling the mark never stands
        name = f"{plain(text)[:40]}{MARK}{digest(exact(text), 16)}"
    return name


def metric_name(key: str) -> str:
    """Return the name in ``<name>-<hash>``."""
    return key.rpartition("-")[0] or key
