r"""Numbers typed by hand beside the results of a run: which they are, or which is nearest. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from reports.claims.citable_numbers import NAMED_NEARBY, Citable, CitableNumbers, NamesAround
from reports.claims.expand import definitions
from reports.claims.manuscript import Manuscript, Place
from reports.claims.prose import Number, numbers
from reports.claims.statements import DUST
from reports.labels import decimal, number, percent


@dataclass(frozen=True, slots=True)
class Typed:
    """A number that was typed by hand.

    Attributes:
        same: The result that it is a rounding of, by its digits and by the words around it; null:
            none is.
        n_same: How many results have these digits.
        named: Whether the words around it name anything of *same*; else its digits may be chance.
        nearest: Of the results that the words around it may mean, the nearest; null: there is none.
        how: What it is of *same*: ``100 x``, ``half the width of``; empty: the number itself.
        doubt: Why it may be another number than *same*, whose digits it has; empty: it is not.
    """

    place: Place
    text: str
    same: Citable | None
    n_same: int
    nearest: Citable | None
    named: bool = False
    how: str = ""
    doubt: str = ""


def find(manuscript: Manuscript, citables: Sequence[Citable]) -> tuple[Typed, ...]:
    """Return every number of *manuscript* that looks like a result."""
    known, macros = CitableNumbers.of(citables), definitions(manuscript.files)
    found = []
    for file in manuscript.files:
        last: Typed | None = None
        for of in numbers(file, macros):
            typed = _typed(of, known, last)
            if of.form != "beside":
                last = typed
            if typed is not None:
                found.append(typed)
    return tuple(found)


def _typed(of: Number, known: CitableNumbers, last: Typed | None) -> Typed | None:
    """Return what a number is; null if it is nothing to look at. *last*: the one before it."""
    said = known.read(of)
    named = said.names_something
    of_others = of.cited and of.digits.decimals < _EXACT  # where nothing of the run is named
    if said.is_part_of_a_name or (not named and (of_others or not (of.sure or of.form == "p"))):
        return None
    if of.form == "beside":
        return _of_width(of, known, said, last)
    if of.form in ("p", "ratio"):
        return (_of_test if of.form == "p" else _of_ratio)(of, known, said)
    if of.relation != "=" and of.digits.decimals < _EXACT:
        return _of_bound(of, known, said)
    found = _of_value(of, known, said)
    relative = of.form == "relative" and found.same is None
    return (_of_ratio(of, known, said) if relative else None) or found


_EXACT = 3
"""Decimals from which on a number after ``above`` is a result, and no round bound."""


_HUNDRED = 100.0
_POINTS = re.compile(r"[\s~$}-]*(?:\w+ )?points?\b")
"""After a difference on a scale up to 100: ``0.75 points``, ``1.2 ROUGE points``."""
_INSTEAD = re.compile(
    r"\b(?:without|than|from|over|versus|vs|against|base|compared|unlike|both)\b",
    re.IGNORECASE,
)
"""A sentence with one of these speaks of a prompt that it need not name."""

_OF_A_DIFFERENCE = re.compile(
    r"[+\u2212]|\b(by|than|over|above|below|more|less|gains?|differ\w*|improve\w*|rises?|rose|drops?|"
    r"dropped|falls?|fell|increases?d?|decreases?d?|reduc\w*)\b",
    re.IGNORECASE,
)
"""A sentence without any of these speaks of scores, not of differences."""


def _of_value(of: Number, known: CitableNumbers, said: NamesAround) -> Typed:
    """Return the score, difference or bound that a number is, or the nearest."""
    digits, tests = of.digits, known.command == "resp"
    nameless = not said.names_something  # there, digits alone decide, if they are many
    bounds = of.bounds or (nameless and digits.decimals >= _EXACT)
    allowed = ~tests & ((known.command != "resci") | bounds)
    allowed &= nameless | known.agrees(said)
    found = list(_scaled(of, known))
    for scale, how, same in found:
        if (same & allowed).any():
            return _found(of, known, said, same & allowed, scale, how)
    for scale, how, same in found if not nameless else ():
        if best := known.best(same & ~tests, of, said, scale):
            doubt = _doubt(best, of, known, said)
            near = _nearest(of, known, said)
            return Typed(of.place, digits.text, best, int((same & ~tests).sum()), near,
                         how=how, doubt=doubt)  # fmt: skip
    return Typed(of.place, digits.text, None, 0, _nearest(of, known, said))


def _scaled(of: Number, known: CitableNumbers) -> Iterator[tuple[float, str, np.ndarray]]:
    """Yield scale, its words, and what has the digits under it: as printed first."""
    digits, percent = of.digits, known.percent
    same = known.has(digits)
    if digits.percent:
        yield 1.0, "", same & percent
        if digits.decimals:  # whole percents are roundings of nearly anything
            yield 1.0, "100 x", same & ~percent
        return
    points = bool(_POINTS.match(of.after))
    if not points:
        yield 1.0, "", same & ~percent
    if points or (digits.value >= 1 and digits.decimals):
        hundred = known.has(digits, _HUNDRED)
        yield _HUNDRED, "without its sign", hundred & percent
        yield _HUNDRED, "100 x", hundred & ~percent
    if points:
        yield 1.0, "", same & ~percent
    yield 1.0, "as a share", same & percent


def _found(
    of: Number, known: CitableNumbers, said: NamesAround, good: np.ndarray, scale: float, how: str
) -> Typed:
    """Return the best of *good*; in doubt where it is of another prompt than is named."""
    prompted = good & known.same_prompt(said)
    best = known.best(prompted if prompted.any() else good, of, said, scale)
    if best is None:
        msg = "expected at least one of *good*"
        raise ValueError(msg)
    doubt = ""
    if not prompted.any() and not _INSTEAD.search(of.sentence):
        doubt = "of another prompt than the text names"
    named = _is_near(best, known, said)
    n_same = int((prompted if prompted.any() else good).sum())
    near = _nearest(of, known, said) if doubt else None
    return Typed(of.place, of.digits.text, best, n_same, near, named, how, doubt)


def _is_near(found: Citable, known: CitableNumbers, said: NamesAround) -> bool:
    return any(said.near[known.things.index(thing)] for thing in found.about)


def _doubt(found: Citable, of: Number, known: CitableNumbers, said: NamesAround) -> str:
    """Return why *found* may not be what was meant."""
    if other := known.unlike(found, said):
        return f"the text names {other}"
    if found.command == "resci" and not of.bounds:
        return "it is a bound of an interval"
    about = [thing for thing in found.about if thing.kind in NAMED_NEARBY]
    if about and about[0].kind == "statistic":
        return f"it is another number ({about[0].label}), which the text does not name"
    return "it is of a subset that the text does not name"


def _nearest(of: Number, known: CitableNumbers, said: NamesAround) -> Citable | None:
    """Return the value nearest to a number among those that the words may mean."""
    values = np.isin(known.command, ("", "res"))
    agreed = values & known.agrees(said)
    among = agreed & known.same_prompt(said)
    if not _OF_A_DIFFERENCE.search(of.sentence) and (among & (known.rank == 0)).any():
        among = among & (known.rank == 0)
    for candidates in (among, agreed, values):
        if candidates.any():
            is_large = of.digits.value > 1 and not of.digits.percent
            small = bool((known.values[candidates] <= 1).all())
            return known.best(candidates, of, said, _HUNDRED if is_large and small else 1.0)
    return None


# ---------------------------------------------------------------------------- other kinds


def _of_test(of: Number, known: CitableNumbers, said: NamesAround) -> Typed | None:
    """Return the test that a typed p is of; null where it is a level that is declared."""
    tests = known.command == "resp"
    speaks = said.here & np.isin(known.kinds, ("column", "model", "contrast"))
    is_level = of.relation != "=" and any(abs(of.digits.value - x) < DUST for x in LEVELS)
    if not speaks.any() and is_level:
        return None
    meant = tests
    if speaks.any():
        meant = tests & known.agrees(said, all_columns=True)
        n_named = np.where(meant, known.n_named(said), -1)
        meant = meant & (n_named == n_named.max())
    holds = meant & known.holds(of.relation, of.digits)
    sign = "" if of.relation == "=" else f"{of.relation} "
    text = f"p {sign or '= '}{of.digits.text}"
    if best := known.best(holds, of, said):
        named = _is_near(best, known, said)
        return Typed(of.place, text, best, int(holds.sum()), None, named)
    return Typed(of.place, text, None, 0, known.best(meant, of, said))


HALF = "half the width of"

LEVELS = (0.1, 0.05, 0.01, 0.005, 0.001, 0.0001)
"""Levels of significance that a paper may declare."""


def _of_width(
    of: Number, known: CitableNumbers, said: NamesAround, last: Typed | None
) -> Typed | None:
    """Return what stands beside a number: half the width of its interval, or a bound's distance.

    Null where the number before it is none of the run: that is told already.
    """
    plain = _of_value(of, known, said) if of.subscript else None
    if plain is not None and plain.same is not None and not plain.doubt:
        return plain
    if last is None or last.same is None:
        return None
    same, of_hundred = last.same, last.how in ("100 x", "without its sign")
    if not same.widths:
        return None
    scale = _HUNDRED if of_hundred and not of.digits.percent else 1.0
    most = of.digits.half / scale * (1 + DUST)
    half = Citable("resci", same.key, same.widths[0], same.column,
                   number(same.widths[0], same.column))  # fmt: skip
    if any(abs(width - of.digits.value / scale) <= most for width in same.widths):
        return Typed(of.place, of.digits.text, half, 1, None, named=True, how=HALF)
    return Typed(of.place, of.digits.text, None, 0, half, how=HALF)


def _of_ratio(of: Number, known: CitableNumbers, said: NamesAround) -> Typed | None:
    """Return the two scores whose ratio a number is; null where the text does not say of which."""
    models = said.here & (known.kinds == "model")
    scores = np.isin(known.command, ("", "res")) & (known.rank == 0)
    columns = said.here & (known.kinds == "column")
    if not models.any() or not (models.sum() > 1 or columns.any()):
        return None
    ours = np.flatnonzero(scores & known.agrees(said))
    others = ours if models.sum() > 1 else np.flatnonzero(scores)
    relative = of.form == "relative"
    found = sorted(
        ((abs(ratio - of.digits.value), of_two)
         for ratio, of_two in _ratios(known, ours, others, relative=relative)),
        key=lambda one: one[0],
    )  # fmt: skip
    if not found:
        return None
    n_same = sum(off <= of.digits.half * (1 + DUST) for off, _ in found)
    nearest = found[0][1]
    if n_same:
        return Typed(of.place, of.digits.text, nearest, n_same, None, named=True)
    return None if relative else Typed(of.place, of.digits.text, None, 0, nearest)


def _ratios(
    known: CitableNumbers, ours: np.ndarray, others: np.ndarray, *, relative: bool
) -> Iterator[tuple[float, Citable]]:
    """Yield every ratio of scores of one column, or what it is more or less than 1."""
    for i in ours:
        for j in others:
            one, two = known.citables[i], known.citables[j]
            if i == j or one.column.name != two.column.name or not two.value:
                continue
            ratio = one.value / two.value
            value = abs(ratio - 1) if relative else ratio
            shown = percent(value) if relative else decimal(value, 2)
            less = " - 1" if relative else ""
            key = f"{one.macro} / {two.macro}{less}"
            yield value, Citable("", key, value, one.column, shown)


def _of_bound(of: Number, known: CitableNumbers, said: NamesAround) -> Typed | None:
    """Return a bound that nothing of what the text names keeps; null where something does.

    Where the text does not name both a column and a model it cannot be told: a claim can.
    """
    agreed = known.agrees(said, all_columns=True) & np.isin(known.command, ("", "res"))
    for kind in ("column", "model"):
        agreed &= known.of_any(said.here & (known.kinds == kind))
    scales = (1.0, _HUNDRED) if of.digits.value > 1 and not of.digits.percent else (1.0,)
    if not agreed.any() or any(
        (agreed & known.holds(of.relation, of.digits, s)).any() for s in scales
    ):
        return None
    text = f"{of.relation} {of.digits.text}"
    return Typed(of.place, text, None, 0, known.best(agreed, of, said))
