"""The copy of a returned file that the run keeps: as it came, but without who a person is."""

import csv
import io
import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from empathy_core.annotation.readers.content import FileContent, as_cell
from empathy_core.annotation.readers.entries import RatingFile


def kept_bytes(content: FileContent, read: RatingFile, raters: Mapping[str, str]) -> bytes:
    """Return what is kept of a file: its bytes, or if it names people, the same without them.

    A name that is known becomes the pseudonym; any other value of a personal column or key, such
    as an address, becomes empty.

    Args:
        content: The file.
        read: What it was read as, with the names of what is personal in it.
        raters: Name in the file → pseudonym.
    """
    personal = {name.casefold() for name in read.personal}
    if content.json is not None:
        whole = _without(content.json, personal, raters)
        if whole == content.json:
            return content.data
        if isinstance(whole, list) and content.text.lstrip()[:1] == "{":
            return "".join(f"{_dumped(one)}\n" for one in whole).encode()
        return _dumped(whole).encode()
    at = {i for i, name in enumerate(content.header) if name.casefold() in personal}
    rows = [_row(line.cells, at, raters, i) for i, line in enumerate(content.lines)]
    if rows == [list(line.cells) for line in content.lines]:
        return content.data
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue().encode()


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _without(value: Any, personal: Collection[str], raters: Mapping[str, str]) -> Any:
    """Return a JSON value in which no personal key says who somebody is."""
    if isinstance(value, list):
        return [_without(one, personal, raters) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _pseudonym(of, raters) if key.rpartition(".")[2].casefold() in personal
        else _without(of, personal, raters)
        for key, of in value.items()
    }  # fmt: skip


def _pseudonym(value: Any, raters: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_pseudonym(one, raters) for one in value]
    if isinstance(value, dict):
        return next((raters[text] for of in value.values() if (text := as_cell(of)) in raters), "")
    return raters.get(as_cell(value).strip(), "")


def _row(
    cells: Sequence[str], at: Collection[int], raters: Mapping[str, str], line: int
) -> list[str]:
    """Return the cells of a line, those of personal columns replaced; the header as it is."""
    if line == 0:
        return list(cells)
    return [
        raters.get(cell.strip(), "") if i in at and cell.strip() else cell
        for i, cell in enumerate(cells)
    ]


def kept_name(digest: str, content: FileContent, read: RatingFile, raters: Collection[str]) -> str:
    """Return how a kept file is called: nothing of its own name, in which a person's may be."""
    words = re.sub(r"[^a-z0-9]+", "-", read.format.lower()).strip("-")
    ordered = sorted(raters)
    whose = "-".join(ordered if len(ordered) < 4 else [ordered[0], "to", ordered[-1]])
    if content.json is None:
        ending = ".csv"
    else:
        ending = ".jsonl" if content.text.lstrip()[:1] == "{" and content.records else ".json"
    return f"{digest}-{words}{'-' if whose else ''}{whose}{ending}"
