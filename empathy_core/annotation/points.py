"""Which point of a scale a cell of a returned file means. Pure; nothing is guessed.

People answer in spreadsheets and survey tools, which change what was typed: ``4`` comes back as
``"4 "``, ``4.0``, ``4,0``, ``'4``, ``4 = Good`` or, where a label is ``1-5``, as a date. What leads
back to exactly one point is taken, and the repair is named; everything else has no value.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from empathy_core.rubrics.spec import NOT_APPLICABLE, Dimension

RATED, NA, SKIPPED = "rated", "not_applicable", "skipped"
OUT, UNREADABLE = "out_of_range", "unreadable"


@dataclass(frozen=True, slots=True)
class PointRead:
    """What a cell means.

    Attributes:
        state: One of the five above; empty if nothing was said.
        value: What the point counts as; null unless ``state`` is ``rated``.
        label: The point's label, or ``X``; empty without one.
        repair: How the cell had to be read to mean this; empty if it stood there as it should.
        why: What is wrong with it; empty if nothing is.
    """

    state: str
    value: float | None = None
    label: str = ""
    repair: str = ""
    why: str = ""


NOTHING = PointRead("")


def read_point(said: str, of: Dimension) -> PointRead:
    """Return which point of a dimension's scale a cell means; see ``PointRead``."""
    return _point(said, of, "") if said in of.labels else _repaired(said, of)


@lru_cache(maxsize=4096)
def _repaired(said: str, of: Dimension) -> PointRead:
    text = plain(said)
    for look in (_nothing, _as_label, _as_date, _as_number, _as_word, _as_text):
        if found := look(text, of):
            return found
    return PointRead(UNREADABLE, why=f"is no point of the scale ({', '.join(of.labels)})")


def _point(label: str, of: Dimension, repair: str) -> PointRead:
    """Return the point with a label."""
    if label == NOT_APPLICABLE and of.not_applicable:
        return PointRead(NA, label=label, repair=repair)
    value = next(anchor.value for anchor in of.anchors if anchor.label == label)
    return PointRead(RATED, float(value), label, repair)


# ---------------------------------------------------------------------------- cells, cleaned

_QUOTES = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201a\u201b\u2032", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\xab\xbb", '"')
)
_FORMULA = re.compile(r'^=\s*"?([^"]*)"?$')  # ="4" keeps Excel from changing a cell


def plain(text: str) -> str:
    """Return a cell without what spreadsheets and word processors add around a text.

    Full-width digits, no-break spaces, invisible characters, quotation marks around it, the
    apostrophe and the ``=`` by which Excel is told to leave a cell alone.
    """
    text = unicodedata.normalize("NFKC", text)
    text = "".join(c for c in text if unicodedata.category(c) != "Cf").translate(_QUOTES)
    text = " ".join(text.split())
    if formula := _FORMULA.match(text):
        text = formula[1].strip()
    while len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1].strip()
    return text.removeprefix("'")


_EMPTY = {"", "nan", "null", "none", "<na>", "undefined", "(blank)"}
_NA = {"n/a", "na", "n.a.", "n.a", "#n/a", "#n/a!", "n\\a", "not applicable", "not_applicable"}
_SKIPPED = {"skip", "skipped"}


def _nothing(text: str, of: Dimension) -> PointRead | None:
    """Read a cell that holds no answer, or says that there is none."""
    lower = text.casefold()
    if lower in _EMPTY:
        if lower and _anchors_called(lower, of):
            why = f"may be the answer '{text}' or an empty cell"
            return PointRead(UNREADABLE, why=why)
        return NOTHING
    if lower in _SKIPPED:
        return PointRead(SKIPPED, repair="" if lower == SKIPPED else "word for skipped")
    if lower in _NA:
        why = "" if of.not_applicable else "the question offers no such answer"
        return PointRead(NA, label=NOT_APPLICABLE, repair="form of N/A", why=why)
    return None


def _as_label(text: str, of: Dimension) -> PointRead | None:
    """Read a label in other case, or with something around it."""
    if text in of.labels:
        return _point(text, of, "blanks or quotes")
    found = [label for label in of.labels if label.casefold() == text.casefold()]
    return _point(found[0], of, "letter case") if len(found) == 1 else None


# ---------------------------------------------------------------------------- numbers, words

_NUMBER = re.compile(r"[+-]?\d{1,7}(?:[.,]\d*)?(?:[eE][+-]?\d{1,2})?")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}[.,]\d{3}")


def _as_number(text: str, of: Dimension) -> PointRead | None:
    """Read a number, with a point or a comma."""
    if not _NUMBER.fullmatch(text):
        return None
    if _THOUSANDS.fullmatch(text):
        return PointRead(UNREADABLE, why="may be a thousand or a decimal")
    number = float(text.replace(",", "."))
    by_number = {float(label): label for label in of.labels if _NUMBER.fullmatch(label)}
    repair = "form of the number"
    if not by_number:  # labels are words: a number can only be what a point counts as
        by_number = {float(anchor.value): anchor.label for anchor in of.anchors}
        repair = "number for a word"
    if number in by_number:
        return _point(by_number[number], of, repair)
    if min(by_number) < number < max(by_number):
        return PointRead(UNREADABLE, why=f"lies between points of the scale ({_ends(by_number)})")
    return PointRead(OUT, why=f"is outside the scale ({_ends(by_number)})")


def _ends(numbers: Iterable[float]) -> str:
    ordered = sorted(numbers)
    return f"{ordered[0]:g} to {ordered[-1]:g}"


_YES, _NO = {"y", "yes", "true", "t"}, {"n", "no", "false", "f"}


def _as_word(text: str, of: Dimension) -> PointRead | None:
    """Read a word for yes or no where the scale has these two."""
    labels = {anchor.label.casefold(): anchor.label for anchor in of.anchors}
    if set(labels) != {"yes", "no"}:
        return None
    for words, label in ((_YES, "yes"), (_NO, "no")):
        if text.casefold() in words:
            return _point(labels[label], of, "word for a point")
    return None


# ---------------------------------------------------------------------------- texts of points


def _as_text(text: str, of: Dimension) -> PointRead | None:
    """Read a point's text, with or without its label before it."""
    lower = text.casefold()
    called = _anchors_called(lower, of)
    if len(called) == 1:
        return _point(called[0], of, "text of a point")
    for label in sorted(of.labels, key=len, reverse=True):
        start = label.casefold()
        found = _AFTER.match(lower[len(start) :]) if lower.startswith(start) else None
        if found and (found["sign"] or lower[len(start) :][:1] == " "):
            rest = found["rest"].rstrip(" )]")
            return _labelled(label, rest, of, set_apart=bool(found["sign"]))
    return None


_AFTER = re.compile(r"\s*(?P<sign>[=:(\-\u2013\u2014.)\]]*)\s*(?P<rest>.*)")


def _labelled(label: str, rest: str, of: Dimension, *, set_apart: bool) -> PointRead | None:
    """Return the point of a label that a text follows, unless the text says another one.

    Behind a sign the text may be a remark; behind a blank alone it must be the point's own text,
    since "no idea" is not "no".
    """
    repair, called = "label with its text", _anchors_called(rest, of)
    if called == [label]:
        return _point(label, of, repair)
    names = [re.escape(other.casefold()) for other in of.labels]
    others = re.search(rf"(?<!\w)(?:{'|'.join(names)})(?!\w)|\d", rest)
    if called or others:
        return PointRead(UNREADABLE, why="may mean more than one point")
    return _point(label, of, repair) if set_apart and rest else None


def _anchors_called(text: str, of: Dimension) -> list[str]:
    """Return the labels of the points whose text, or its part before the first colon, is *text*."""
    texts = [(anchor.label, anchor.text) for anchor in of.anchors]
    if of.not_applicable:
        texts.append((NOT_APPLICABLE, of.not_applicable))
    return [label for label, whole in texts if text in _names(whole.casefold())]


def _names(text: str) -> set[str]:
    return {text, text.rstrip("."), text.split(":", maxsplit=1)[0].strip().rstrip(".")}


# ---------------------------------------------------------------------------- dates

_MONTHS = {
    name: number
    for number, names in enumerate(
        ("jan", "feb", "mar mrz mär", "apr", "may mai", "jun", "jul", "aug", "sep", "oct okt",
         "nov", "dec dez"), start=1,
    )
    for name in names.split()
}  # fmt: skip
_DAY_MONTH = re.compile(r"(\d{1,2})[-./ ]{1,2}([^\W\d]{3,9})\.?(?:[-/ ]+(\d{2,4}))?")
_MONTH_DAY = re.compile(r"([^\W\d]{3,9})\.?[-./ ]{1,2}(\d{1,2})(?:[-/, ]+(\d{2,4}))?")
_ISO = re.compile(r"\d{4}-(\d{1,2})-(\d{1,2})(?:[T ][\d:.]+Z?)?")
_NUMERIC = re.compile(r"(\d{1,2})[-./](\d{1,2})[-./]\d{2,4}")


def _as_date(text: str, of: Dimension) -> PointRead | None:
    """Read a date that one label of the scale, and no other, would have been turned into."""
    pair = _date(text.casefold())
    if pair is None:
        return None
    found = [label for label in of.labels if _two_numbers(label) == pair]
    if len(found) == 1:
        return _point(found[0], of, "turned into a date")
    return PointRead(UNREADABLE, why="is a date: a spreadsheet has changed what was typed")


def _date(text: str) -> frozenset[int] | None:
    """Return day and month of a date, which of them is which aside; null if it is none."""
    if found := _DAY_MONTH.fullmatch(text):
        month = _MONTHS.get(found[2][:3])
        return frozenset((int(found[1]), month)) if month else None
    if found := _MONTH_DAY.fullmatch(text):
        month = _MONTHS.get(found[1][:3])
        return frozenset((int(found[2]), month)) if month else None
    found = _ISO.fullmatch(text) or _NUMERIC.fullmatch(text)
    return frozenset((int(found[1]), int(found[2]))) if found else None


def _two_numbers(label: str) -> frozenset[int] | None:
    found = re.fullmatch(r"(\d{1,2})\s*[-./\u2013]\s*(\d{1,2})", label)
    return frozenset((int(found[1]), int(found[2]))) if found else None
