"""What a cell of a typed table is of: the words of its row, of its head, and of its group. Pure."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_TABLE = re.compile(
    r"\\begin\{(?P<env>tabular\*?|tabularx|tabulary|longtable|longtblr|tblr|supertabular|"
    r"NiceTabular|array)\}(?P<body>.*?)\\end\{(?P=env)\}",
    re.DOTALL,
)
_ROW = re.compile(r"\\\\\*?|\\tabularnewline\b|\\cr\b")
_CELL = re.compile(r"(?<!\\)&")
_SPAN = re.compile(r"\\multicolumn\s*\{\s*(\d+)\s*\}")
_NUMBER = re.compile(r"(?<![\w.])\d*\.\d|\d\s*\\%|\d\{?,\}?\d")


@dataclass(frozen=True, slots=True)
class NumberCell:
    """A cell that holds numbers.

    Attributes:
        start: Place in the text, as is *end*.
        words: Of the group and head above it, and of the row beside it.
        head: Of the head above it alone.
    """

    start: int
    end: int
    words: str
    head: str


@dataclass(frozen=True, slots=True)
class _TablePart:
    """A cell as it stands: columns *first* up to *last*, last not included."""

    start: int
    end: int
    text: str
    first: int
    last: int


def cells(text: str, shown: str) -> tuple[NumberCell, ...]:
    """Return the cells with numbers of every table in *text*, in order.

    *shown*: the same, place for place, without what prints nothing.
    """
    spans = (found.span("body") for found in _TABLE.finditer(text))
    return tuple(cell for start, end in spans for cell in _of_table(shown[start:end], start))


def at(found: Sequence[NumberCell], place: int) -> NumberCell | None:
    """Return the cell that holds a place; null: it stands in no table."""
    i = bisect_right([cell.start for cell in found], place) - 1
    return found[i] if i >= 0 and place < found[i].end else None


def _of_table(body: str, offset: int) -> Iterator[NumberCell]:
    heads: list[list[_TablePart]] = []
    group, label, begun = "", "", False
    for row in _rows(body, offset):
        filled = [part for part in row if re.search(r"[A-Za-z]", part.text)]
        numeric = [part for part in row if _NUMBER.search(_without_label(part.text))]
        if not numeric:
            if begun and len(filled) == 1:
                group = filled[0].text
            elif filled:
                heads.append(row)
            continue
        begun = True
        left = [p.text for p in row if p not in numeric and p.last <= numeric[0].first]
        label = left[0] if left and left[0].strip(" \n{}") else label
        beside = " ; ".join([label, *left, *(p.text for p in filled if p.text not in left)])
        for part in numeric:
            above = [
                p.text for h in heads for p in h if p.first < part.last and part.first < p.last
            ]
            head = " ; ".join(above)
            yield NumberCell(part.start, part.end, f"{group} ; {head} ; {beside}", head)


def _without_label(text: str) -> str:
    """Return a cell without what names a model in it, such as ``LLaMA 3.1 8B``."""
    return re.sub(r"[A-Z][A-Za-z]*[ ~-]?\d\.\d\b", " ", text)


def _rows(body: str, offset: int) -> Iterator[list[_TablePart]]:
    at = 0
    for end, after in [*((m.start(), m.end()) for m in _ROW.finditer(body)), (len(body),) * 2]:
        yield list(_parts(body[at:end], offset + at))
        at = after


def _parts(row: str, offset: int) -> Iterator[_TablePart]:
    at = column = 0
    for end in [*(m.start() for m in _CELL.finditer(row)), len(row)]:
        text = row[at:end]
        span = _SPAN.search(text)
        width = int(span[1]) if span else 1
        yield _TablePart(offset + at, offset + end, text, column, column + width)
        at, column = end + 1, column + width
