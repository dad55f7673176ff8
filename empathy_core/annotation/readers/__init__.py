"""Readers of what comes back from raters: one file for each tool; none knows of checks.

A file's format is found by its content, never by its name. To add one: a file here with a
``FormatReader``, and its place in ``READERS``.
"""

from dataclasses import replace

from empathy_core.annotation.readers import (
    argilla,
    label_studio,
    long_table,
    page,
    potato,
    qualtrics,
    sheet,
)
from empathy_core.annotation.readers.content import FileContent
from empathy_core.annotation.readers.entries import EVERY_SCALE, RatingEntry, RatingFile
from empathy_core.annotation.readers.protocol import FileMap, FormatReader, GivenFile
from empathy_core.errors import DataError

__all__ = [
    "EVERY_SCALE", "READERS", "FileContent", "FileMap", "FormatReader", "GivenFile",
    "RatingEntry", "RatingFile", "read_file",
]  # fmt: skip

READERS: tuple[FormatReader, ...] = (
    page.JSON, page.CSV, label_studio.EXPORT, potato.STATE, potato.LINES, argilla.READER,
    label_studio.FLAT, potato.CSV, qualtrics.READER, sheet.READER, long_table.READER,
)  # fmt: skip
"""All formats; the first that recognises a file reads it."""


def read_file(given: GivenFile) -> RatingFile:
    """Return the entries of a returned file.

    Raises:
        DataError: No format is recognised, or the file is not whole.
    """
    content = given.content
    if content.text.lstrip()[:9].lower().startswith(("<!doctype", "<html")):
        msg = (
            f"{content.name} is the page itself, which keeps its answers in the rater's browser; "
            "expected the file that the button 'Download my ratings' makes; ask the rater for it"
        )
        raise DataError(msg)
    for reader in READERS:
        if reader.recognises(given):
            read = _read(reader, given)
            return replace(read, notes=(*dict.fromkeys(content.notes), *read.notes))
    raise DataError(_unknown(content))


def _read(reader: FormatReader, given: GivenFile) -> RatingFile:
    """Return what a reader makes of a file that it recognises.

    Raises:
        DataError: The file is not built as that format is.
    """
    try:
        return reader.read(given)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        msg = (
            f"{given.content.name} is taken for {reader.label} and is not built so "
            f"({type(error).__name__}: {error}); expected {reader.looks_like}; export it again"
        )
        raise DataError(msg) from error


def _unknown(content: FileContent) -> str:
    """Return what is said of a file that no reader recognises: what it holds, what could be."""
    value = content.json
    keys = content.header or (tuple(value) if isinstance(value, dict) else ())
    seen = f"{'columns' if value is None else 'keys'} {', '.join(map(str, keys[:20]))}"
    accepted = "\n".join(f"  {reader.label}: {reader.looks_like}" for reader in READERS)
    return (
        f"{content.name} is of no format that can be read: it has the {seen if keys else 'text'}"
        f"{'' if keys else ' ' + repr(content.text[:60])}; expected one of\n{accepted}\n"
        "For a table with other columns, say which is which: "
        "--map item=…,dimension=…,value=…,rater=…"
    )
