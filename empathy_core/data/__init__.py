"""Questions and answers: read, cleaned, split, audited, and frozen into the run.

    source ─ reading ─ cleaning ─ splitting ─ audit ─ freeze

A data source is one file in ``sources/``; any other file or Hub data set is a ``Source`` with its
columns named. What is frozen is what every task of the run reads, on whatever node.
"""

import io
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import polars as pl

from empathy_core.data import audit as _audit
from empathy_core.data import (
    cleaning,
    columns,
    files,
    growing,
    placed,
    reading,
    references,
    splitting,
)
from empathy_core.data.audit_text import text as audit_text
from empathy_core.data.cleaning import CLEANING_VERSION
from empathy_core.data.freezing import (
    FrozenRows,
    PreparedRows,
    cleaned_by,
    enlarge,
    freeze,
    load,
    load_frozen,
)
from empathy_core.data.frozen import REDACTION_VERSION, VERSION, changes
from empathy_core.data.redaction import Redaction
from empathy_core.data.specs import (
    DataSpec,
    EvaluateSpec,
    Source,
    SplitSettings,
    TextLayout,
    source,
    source_names,
)
from empathy_core.data.streamed import NeedsWholeFile
from empathy_core.errors import ConfigError, DataError
from empathy_core.personal import kinds
from empathy_core.store import EVALUATED, EXAMPLES, TURNS
from empathy_core.types import digest

__all__ = [
    "CLEANING_VERSION",
    "DataSpec",
    "EvaluateSpec",
    "FrozenRows",
    "PreparedRows",
    "Source",
    "SplitSettings",
    "TextLayout",
    "audit_text",
    "carried",
    "changes",
    "cleaned_by",
    "columns",
    "enlarge",
    "export",
    "freeze",
    "growing",
    "identity",
    "load",
    "load_frozen",
    "prepare",
    "references",
    "source",
    "source_names",
]


def identity(data: DataSpec, evaluate: EvaluateSpec) -> dict[str, Any]:
    """Return everything that could change a row, its split or its block.

    Files are hashed, not parsed; of a Hub data set the commit is asked for (offline: looked up in
    the Hub's cache). Where a file lies is no part of it. Rows that are frozen are compared with it
    by ``changes``: what is new here must bear the name and the default of its setting.

    Raises:
        ConfigError: The settings contradict themselves.
        DataError: A source is missing or unreadable.
    """
    _check(data, evaluate)
    contents = {entry.name: reading.content(entry) for entry in data.sources}
    return _identity(data, evaluate, contents)


def _check(data: DataSpec, evaluate: EvaluateSpec) -> None:
    data.check()
    evaluate.check()


_COLUMNS = ("context", "response", "author")
_PATTERN = ("column", "pattern", "author")


def _identity(
    data: DataSpec, evaluate: EvaluateSpec, contents: Mapping[str, Mapping[str, str | None]]
) -> dict[str, Any]:
    sources = {}
    for entry in data.sources:
        by_column = entry.response or entry.turn_layout.nested
        settings = {key: getattr(entry, key) for key in (_COLUMNS if by_column else _PATTERN)}
        if by_column:
            settings["context"] = list(entry.context)
        # only where there are any: data of earlier versions have none of them
        redact = {"redact": list(found)} if (found := data.redacted(entry)) else {}
        sources[entry.name] = {**settings, **_unusual(entry), **redact, **contents[entry.name]}
    of_question = {"references": data.references} if data.references != "own" else {}
    return {
        VERSION: CLEANING_VERSION,
        **({REDACTION_VERSION: kinds.VERSION} if any(map(data.redacted, data.sources)) else {}),
        "sources": sources,
        "order": [entry.name for entry in data.sources],
        "protocol": data.protocol,
        "fractions": list(data.fractions),
        "seed": data.seed,
        "duplicates": data.duplicates,
        **of_question,
        "evaluate": _which(evaluate),
        **({} if data.test_ids is None else {"test_ids": digest(sorted(_test_ids(data) or ()))}),
    }


def _which(evaluate: EvaluateSpec) -> dict[str, Any]:
    """Return which rows are evaluated; a list by what it holds, and only where there is one."""
    settings = asdict(evaluate)
    listed = _listed(settings.pop("ids"), "evaluate.ids")
    return settings if listed is None else {**settings, "ids": digest(sorted(listed))}


_LATER = ("broken_rows", "group", "split", "sides")
"""Settings of a source that older runs know nothing of."""


def _unusual(source: Source) -> dict[str, Any]:
    """Return what is not usual in how a source is read: older runs know nothing of the rest."""
    default = Source("")
    given, usual = (
        {**asdict(of.layout), **asdict(of.turn_layout), **{key: getattr(of, key) for key in _LATER}}
        for of in (source, default)
    )
    if source.references:
        given["references"] = list(source.references)
    if set(source.missing) != set(default.missing):
        given["missing"] = sorted(source.missing)
    return {key: value for key, value in given.items() if value != usual.get(key)}


# ---------------------------------------------------------------------------- preparing


def prepare(data: DataSpec, evaluate: EvaluateSpec) -> PreparedRows:
    """Read, clean, split and audit the rows of a run.

    Raises:
        ConfigError: The settings contradict themselves.
        DataError: A source is missing, unreadable or holds no usable row; or nothing is evaluated.
    """
    _check(data, evaluate)
    redactions = {entry.name: Redaction(data.redacted(entry)) for entry in data.sources}
    raws, clean = {}, {}
    for entry in data.sources:
        raws[entry.name], clean[entry.name] = _read(entry, redactions[entry.name])
    for entry in data.sources:
        _require_rows(entry, raws[entry.name], clean[entry.name])
    # a column of turns is there only where a source has some
    kept = pl.concat([part.frame for part in clean.values()], how="diagonal")
    clean = {name: _keys(part) for name, part in clean.items()}
    cleaned = pl.concat([part.frame for part in clean.values()])
    if data.duplicates == "drop":
        kept = kept.unique("pair", keep="first", maintain_order=True)
    more = [name for name in (*TURNS, "group") if name in kept.columns]
    examples = placed.split(placed.in_groups(kept), data, _test_ids(data))
    del kept
    examples = splitting.in_blocks(
        examples,
        splitting.evaluated(examples, evaluate, _listed(evaluate.ids, "evaluate.ids")),
        evaluate.block_size,
    ).select(*EXAMPLES, *more)
    _require_evaluated(examples, evaluate)
    own = references.of_sources(data.sources, raws, redactions)
    examples = references.united(examples, own, of_question=data.references == "question")
    counts = [_counts(s, raws[s.name], clean[s.name], examples) for s in data.sources]
    counts = [replace(one, redacted=redactions[one.source.name].counts()) for one in counts]
    contents = {name: raw.content for name, raw in raws.items()}
    audit = _audit.audit(counts, cleaned, examples)
    audit["warnings"] += references.lacking(data.sources, own)
    carried = columns.carried(data.sources, raws, examples["id"])
    return PreparedRows(examples, audit, _identity(data, evaluate, contents), carried)


def _read(source: Source, redaction: Redaction) -> tuple[reading.Raw, cleaning.Cleaned]:
    """Return a source's clean rows, and of the raw ones what else is asked for."""
    try:
        return _of_parts(source, reading.parts(source), redaction)
    except (NeedsWholeFile, DataError):
        redaction.replaced.clear()  # all is read anew
        return _of_parts(source, [reading.read(source)], redaction)


def _of_parts(
    source: Source, parts: Iterable[reading.Raw], redaction: Redaction
) -> tuple[reading.Raw, cleaning.Cleaned]:
    rows: list[reading.RawRow] = []
    frames: list[pl.DataFrame] = []
    misread: list[tuple[str, str]] = []
    counts: tuple[Counter[str], ...] = (Counter(), Counter(), Counter(), Counter())
    conversations = 0
    content: Mapping[str, str | None] = {}
    for raw in parts:
        clean = cleaning.clean_raw(raw, source.name, redaction)
        frames.append(clean.frame)
        misread += clean.misread
        for total, part in zip(
            counts, (raw.dropped, raw.repaired, clean.dropped, clean.repaired), strict=True
        ):
            total.update(part)
        if source.keep or source.references:
            rows += reading.without_texts(raw)
        conversations += raw.conversations or 0
        content = raw.content
    n = conversations if source.turn_layout.nested else None
    whole = reading.Raw(tuple(rows), counts[0], counts[1], content, n)
    frame = pl.concat(frames, how="diagonal")
    return whole, cleaning.Cleaned(frame, counts[2], counts[3], misread)


def _keys(clean: cleaning.Cleaned) -> cleaning.Cleaned:
    """Return clean rows by what makes them the same, so that their texts need not be held twice."""
    return replace(clean, frame=clean.frame.select("id", "pair", "answer", "source"))


def _test_ids(data: DataSpec) -> frozenset[str] | None:
    """Return the ids of the test rows; null where they are drawn."""
    return _listed(data.test_ids, "data.test_ids")


def _listed(name: str | None, setting: str) -> frozenset[str] | None:
    """Return the ids of a list, one a line; null where no file is named.

    Raises:
        DataError: The list is missing, no text, or empty.
    """
    if name is None:
        return None
    path = Path(name).expanduser()
    try:
        found = frozenset(placed.read_ids(files.read(path).decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        msg = f"{path} ({setting}) is not UTF-8 ({error}): expected a text; save it so"
        raise DataError(msg) from error
    if not found:
        msg = f"{path} ({setting}) holds no id: expected one a line; write them, or remove it"
        raise DataError(msg)
    return found


def _require_rows(source: Source, raw: reading.Raw, clean: cleaning.Cleaned) -> None:
    if clean.frame.height:
        return
    reasons = Counter(raw.dropped) + Counter(clean.dropped)
    why = ", ".join(f"{reason}: {n:,}" for reason, n in reasons.most_common())
    wanted = "rows with a question and an answer; check the file and the columns of"
    if source.turn_layout.nested:
        wanted = (
            "conversations in which the person speaks and is answered, after "
            f"{source.turn_layout.least_history} or more turns (least_history); check roles and "
            "least_history in"
        )
    msg = (
        f"{source.path or source.hub} holds no usable row ({why}): expected {wanted} {source.where}"
    )
    raise DataError(msg)


def _require_evaluated(examples: pl.DataFrame, evaluate: EvaluateSpec) -> None:
    if examples["block"].null_count() < examples.height:
        return
    sizes = dict(examples["split"].value_counts().iter_rows())
    msg = (
        f"split '{evaluate.split}' holds no row (rows by split: {sizes}): set evaluate.split to "
        "another one or to 'all', or give more data"
    )
    raise DataError(msg)


def _counts(
    source: Source, raw: reading.Raw, clean: cleaning.Cleaned, examples: pl.DataFrame
) -> _audit.SourceAudit:
    kept = examples.filter(pl.col("source") == source.name).height
    dropped = Counter(raw.dropped) + Counter(clean.dropped)
    surplus = clean.frame.height - kept
    n_raw = sum(dropped.values()) + clean.frame.height
    if surplus:
        dropped["duplicate of an earlier row"] = surplus
    repaired = Counter(raw.repaired) + Counter(clean.repaired)
    return _audit.SourceAudit(
        source, n_raw, kept, dropped, repaired, raw.conversations, misread=clean.misread
    )


def carried(data: DataSpec, ids: pl.Series) -> columns.Carried:
    """Return what the rows *ids*, which may have been cleaned by older rules, carry along.

    Raises:
        DataError: A source is missing or unreadable, or lacks a column.
    """
    raws = {entry.name: reading.read(entry) for entry in data.sources if entry.keep}
    return columns.carried(data.sources, raws, ids)


def export(examples: pl.DataFrame, path: Path) -> int:
    """Write the evaluated examples for people to answer elsewhere, and return how many.

    Columns: ``example``, the id, and ``question``, its text; either leads an answer back.

    Args:
        examples: ``store.EXAMPLES``.
        path: A file ``.csv``, ``.jsonl`` or ``.parquet``; replaced if it is there.

    Raises:
        ConfigError: Its name ends otherwise, or it cannot be written.
    """
    writers = {".csv": "write_csv", ".jsonl": "write_ndjson", ".parquet": "write_parquet"}
    if path.suffix not in writers:
        msg = f"--export {path}: expected a file .csv, .jsonl or .parquet; change its name"
        raise ConfigError(msg)
    asked = examples.filter(EVALUATED)
    buffer = io.BytesIO()
    getattr(asked.select(example="id", question="context"), writers[path.suffix])(buffer)
    try:
        path.write_bytes(buffer.getvalue())
    except OSError as error:
        msg = f"--export {path}: {error.strerror}; expected a folder that you may write to"
        raise ConfigError(msg) from error
    return asked.height
