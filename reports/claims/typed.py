r"""Numbers typed by hand beside the results of a run: which they are, or which is nearest. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from empathy_core.types import Column
from reports.claims.digits import DUST
from reports.claims.evidence import Evidence, Measure, Subject
from reports.claims.manuscript import Manuscript, Place
from reports.claims.prose import Number, numbers
from reports.keys import difference_key, score_key
from reports.labels import number, p_text, printed
from reports.results import Result


@dataclass(frozen=True, slots=True)
class Citable:
    """A number that a macro prints.

    Attributes:
        command: ``res``, ``resci`` or ``resp``; empty where a publication's numbers have no macro.
        value: Without its sign: prose says which way by a word.
        text: As printed.
        about: What prose may call each thing that it is of: model, prompt, column.
        rank: Scores before differences, values before bounds.
    """

    command: str
    key: str
    value: float
    column: Column
    text: str
    about: tuple[tuple[str, ...], ...] = ()
    rank: int = 0

    @property
    def macro(self) -> str:
        """Return what to write instead of the digits."""
        return f"\\{self.command}{{{self.key}}}" if self.command else self.key


@dataclass(frozen=True, slots=True)
class Typed:
    """A number that was typed by hand.

    Attributes:
        same: The result that it is a rounding of, by its digits and by the words around it; null:
            none is.
        n_same: How many results have these digits.
        named: Whether the words around it name anything of *same*; else its digits may be chance.
        nearest: Of the results that the words around it may mean, the nearest; null: there is none.
    """

    place: Place
    text: str
    same: Citable | None
    n_same: int
    nearest: Citable | None
    named: bool = False


# ---------------------------------------------------------------------------- what can be cited


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


def citables_of_run(results: Sequence[Result], evidence: Evidence) -> tuple[Citable, ...]:
    """Return every number of *results* that a macro prints."""
    known = dict(_known(evidence))
    columns = {m.key: m.column for m in evidence.measures}
    found = []
    for result in results:
        about, column = known.get(result.key.partition("@")[0], ((), None))
        column = column or columns.get(_column_of(result.key, columns))
        if column is not None:
            found += list(_parts(result, column, about))
    return tuple(found)


def _parts(result: Result, column: Column, about: tuple[tuple[str, ...], ...]) -> Iterator[Citable]:
    rank = 2 * (result.kind != "score") + ("@" in result.key)
    p = Column("p", "p", None, 3)
    parts = (
        ("res", result.value, column, result.text, rank),
        ("resci", result.low, column, f"[{result.low_text}, {result.high_text}]", rank + 4),
        ("resci", result.high, column, f"[{result.low_text}, {result.high_text}]", rank + 4),
        ("resp", result.p, p, p_text(result.p), rank + 8),
    )
    for command, value, of, text, place in parts:
        if value is not None:
            yield Citable(command, result.key, abs(value), of, text, about, place)


def _known(evidence: Evidence) -> Iterator[tuple[str, tuple[tuple[tuple[str, ...], ...], Column]]]:
    for measure in evidence.measures:
        for one in evidence.subjects:
            of_one = _about((one,), measure), measure.column
            yield score_key(one.key, measure.key), of_one
            for other in evidence.subjects:
                of_two = _about((one, other), measure), measure.column
                yield difference_key(one.key, other.key, measure.key), of_two


def _column_of(key: str, columns: Mapping[str, Column]) -> str:
    """Return the column in which a key of a subset or contrast ends."""
    plain = key.partition("@")[0]
    return max((c for c in columns if plain.endswith(f".{c}")), key=len, default="")


def _about(subjects: Iterable[Subject], measure: Measure) -> tuple[tuple[str, ...], ...]:
    found = [_spelled((measure.key, measure.column.name, measure.title, measure.column.label))]
    for subject in subjects:
        shortened = [re.split(r"[\W_]+", name)[0] for name in subject.model_names]
        found += [_spelled((*subject.model_names, *shortened)), _spelled(subject.prompt_names)]
    return tuple(filter(None, found))


def _spelled(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f" {spelling} " for n in names if (spelling := _words(n))))


def _words(text: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", text.casefold()))


# ---------------------------------------------------------------------------- beside the prose


@dataclass(frozen=True, slots=True)
class _Shelf:
    """All that can be cited, a number of each in arrays of shape (citables,).

    Attributes:
        things: Spellings of everything that a citable is of, each once, and nothing at the end.
        about: Places in *things*: shape (citables, most), filled up with the last.
    """

    citables: tuple[Citable, ...]
    values: np.ndarray
    printed: np.ndarray
    percent: np.ndarray
    rank: np.ndarray
    things: tuple[tuple[str, ...], ...]
    about: np.ndarray

    @classmethod
    def of(cls, citables: Sequence[Citable]) -> "_Shelf":
        things = tuple(dict.fromkeys(thing for c in citables for thing in c.about))
        places = {thing: i for i, thing in enumerate(things)}
        most = max((len(c.about) for c in citables), default=0)
        padded = [[*map(places.get, c.about), *[len(things)] * (most - len(c.about))]
                  for c in citables]  # fmt: skip
        return cls(
            tuple(citables),
            np.array([c.value for c in citables]),
            np.array([printed(c.value, c.column) for c in citables]),
            np.array([c.column.percent for c in citables], bool),
            np.array([c.rank for c in citables]),
            (*things, ()),
            np.array(padded, int).reshape(len(citables), most),
        )

    def best(self, among: np.ndarray, of: Number) -> Citable | None:
        """Return that of *among* (citables,) of which the text around *of* says most.

        Of those of which it says as much: what is named nearest, then the nearest value.
        """
        at = np.flatnonzero(among)
        if not len(at):
            return None
        before, after = f" {_words(of.before)} ", f" {_words(of.after)} "
        named = np.array([_named(thing, before, after) for thing in self.things])
        about = self.about[at]
        n_words, away = named[about, 0], named[about, 1]
        share = (n_words > 0).sum(1) / np.maximum(1, (about < len(self.things) - 1).sum(1))
        off = np.abs(self.values[at] - of.digits.value)
        keys = (off, -n_words.sum(1), away.sum(1), self.rank[at], -share)  # the last counts most
        return self.citables[int(at[np.lexsort(keys)[0]])]


def _named(thing: tuple[str, ...], before: str, after: str) -> tuple[int, int]:
    """Return of how many words the name of *thing* is that stands nearest, and how far away.

    What follows a number is less likely to be what it is of: it counts as twice as far.
    """
    found = []
    for spelling in thing:
        n_words = len(spelling.split())
        if (at := before.rfind(spelling)) >= 0:
            found.append((len(before) - at - len(spelling), -n_words))
        if (at := after.find(spelling)) >= 0:
            found.append((2 * at, -n_words))
    away, n_words = min(found, default=(0, 0))
    return -n_words, away


def find(manuscript: Manuscript, citables: Sequence[Citable]) -> tuple[Typed, ...]:
    """Return every number of *manuscript* that looks like a result."""
    shelf = _Shelf.of(citables)
    return tuple(_typed(of, shelf) for file in manuscript.files for of in numbers(file))


def _typed(of: Number, shelf: _Shelf) -> Typed:
    digits = of.digits
    most = digits.half * (1 + DUST)
    off = np.minimum(np.abs(shelf.values - digits.value), np.abs(shelf.printed - digits.value))
    same = off <= most
    if not digits.percent:
        same &= ~shelf.percent
    elif "." not in digits.text:  # whole percents are roundings of nearly anything
        same &= shelf.percent
    if found := shelf.best(same, of):
        near = f" {_words(of.before)} {_words(of.after)} "
        named = any(spelling in near for thing in found.about for spelling in thing)
        return Typed(of.place, digits.text, found, int(same.sum()), None, named)
    values = np.array([c.command in ("", "res") for c in shelf.citables], bool)
    return Typed(of.place, digits.text, None, 0, shelf.best(values, of))
