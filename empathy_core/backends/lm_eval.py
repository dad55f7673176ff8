"""Sample logs of lm-evaluation-harness (``--log_samples``) as a table of answers.

A line is one document: ``doc`` is the task's row under the task's own field names, ``resps`` holds
for each request the texts of its repeats. Several filters over the same answers give several
lines of one ``doc_id``; what the model said, before any filter, is taken.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from empathy_core.errors import DataError, NoColumn

_EXPECTED = "expected the samples_<task>_<time>.jsonl that --log_samples writes"


def read(path: Path, field: str) -> pl.DataFrame:
    """Return the columns ``example`` (what *field* of the documents holds), ``sample``, ``text``.

    Raises:
        DataError: The file is missing or is no such log, the task generates no text, or a
            document lacks the field.
    """
    rows: list[tuple[str, int, str]] = []
    seen: set[object] = set()
    for number, line in _lines(path):
        where = f"{path}:{number}"
        doc, texts = line.get("doc"), _texts(line.get("resps"), where)
        if line.get("doc_id", number) in seen:
            continue
        seen.add(line.get("doc_id", number))
        if not isinstance(doc, dict) or doc.get(field) is None:
            fields = ", ".join(sorted(doc)) if isinstance(doc, dict) else "none"
            msg = (
                f"{where}: the document has no field '{field}'; its fields: {fields}; name the one "
                'with the question: question = "…" (or with the example\'s id: example = "…")'
            )
            raise NoColumn(msg)
        rows += [(str(doc[field]), i, text) for i, text in enumerate(texts)]
    if not rows:
        raise DataError(f"{path} holds no sample: {_EXPECTED}")
    schema = {"example": pl.String, "sample": pl.Int32, "text": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        content = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error}): {_EXPECTED}") from error
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except json.JSONDecodeError as error:
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
