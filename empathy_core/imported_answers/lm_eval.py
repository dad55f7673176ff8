"""Sample logs of lm-evaluation-harness (``--log_samples``) as a table of answers.

A line is one document: ``doc`` is the task's row under the task's own field names, ``resps`` holds
for each request the texts of its repeats. Several filters over the same answers give several
lines of one ``doc_id``; what the model said, before any filter, is taken.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from empathy_core.data import TextLayout, cells, decoding, files
from empathy_core.errors import DataError, NoColumn
from empathy_core.imported_answers.table import ImportedTexts, of_rows

_EXPECTED = "expected the samples_<task>_<time>.jsonl that --log_samples writes"


def read(path: Path, field: str, layout: TextLayout, where: str) -> ImportedTexts:
    """Return the answers to what *field* of the documents holds.

    Args:
        path: The log.
        field: Of the documents; ``a.b`` is the field b of an object a.
        layout: How the file is written.
        where: Dotted name of the table that names the file.

    Raises:
        DataError: The file is missing or is no such log, the task generates no text, or a
            document lacks the field or holds no text there.
    """
    rows: list[tuple[str, int, str]] = []
    seen: set[object] = set()
    for number, line in _lines(path, layout, where):
        place = f"{path}:{number}"
        doc, texts = line.get("doc"), _texts(line.get("resps"), place)
        document = repr(line.get("doc_id", number))
        if document in seen:
            continue
        seen.add(document)
        name = _name(doc, field, place, where)
        rows += [(name, i, text) for i, text in enumerate(texts)]
    if not rows:
        raise DataError(f"{path} holds no sample: {_EXPECTED}")
    return of_rows(rows)


def _name(doc: object, field: str, place: str, where: str) -> str:
    """Return the field that identifies the example of a document."""
    found = None
    if isinstance(doc, Mapping):
        try:
            found = cells.label(cells.at(doc, field))
        except cells.NoText as error:
            raise DataError(f"{place}: of the document, {error.told(field, where)}") from error
    if found is None:
        fields = ", ".join(sorted(doc)) if isinstance(doc, Mapping) else "none"
        msg = (
            f"{place}: the document has no field '{field}'; its fields: {fields}; name the one "
            'with the question: question = "…" (or with the example\'s id: example = "…")'
        )
        raise NoColumn(msg)
    return found


def _lines(path: Path, layout: TextLayout, where: str) -> Iterator[tuple[int, dict[str, Any]]]:
    files.require_use(path, layout, "jsonl", where)
    content = decoding.decoded(path, files.read(path), layout, where)
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        try:
            found = files.load_json(line)
        except ValueError as error:
            raise DataError(f"{path}:{number} is not JSON ({error}): {_EXPECTED}") from error
        if not isinstance(found, dict) or "resps" not in found:
            raise DataError(f"{path}:{number} has no 'resps': {_EXPECTED}")
        yield number, found


def _texts(resps: object, where: str) -> list[str]:
    """Return the repeats of a document's only request."""
    match resps:
        case [[*texts]] if texts and all(isinstance(text, str) for text in texts):
            return list(map(str, texts))
    msg = (
        f"{where}: 'resps' holds no generated text: expected a task whose output_type is "
        "generate_until; multiple choice and perplexity have no answer to score"
    )
    raise DataError(msg)
