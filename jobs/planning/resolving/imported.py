"""Imported answers → conditions: ``[answers.*]``, and another therapist's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from empathy_core.counted import counted
from empathy_core.data import DataSpec
from empathy_core.errors import ConfigError, Damaged, NoColumn
from empathy_core.imported_answers import human, lm_eval
from empathy_core.imported_answers import table as answers
from empathy_core.store import RunDir, read_piece
from empathy_core.types import Condition, Decoding, ModelSpec, Prompt, digest
from jobs.config.schema import AnswersTable, Config, load_prompt
from jobs.planning import versions

NO_DECODING = Decoding(name="asis")
"""How imported answers were decoded is not known."""
_HUMAN_PROMPT = Prompt(name="human", label="", text="{context}", messages=())
"""A therapist was given the question and nothing else."""


@dataclass(frozen=True, slots=True)
class Imported:
    """A condition of imported answers.

    Attributes:
        texts: ``example``, ``sample``, ``text``; examples without an answer are left out.
        notes: What a reader of its numbers must know.
        remarks: The same with names, for the author who may still correct the file.
    """

    condition: Condition
    texts: pl.DataFrame
    notes: tuple[str, ...]
    remarks: tuple[str, ...]


def therapist(spec: ModelSpec, examples: pl.DataFrame, *, alike: bool = False) -> Imported:
    """Return the condition of another therapist's answers to the same questions.

    *alike*: whether models are compared with the same references of a row.

    Raises:
        ConfigError: An option of the model is none of the therapist's.
    """
    options: dict[str, Any] = {"duplicates": "drop", "seed": 0, **dict(spec.options)}
    unknown = set(options) - {"duplicates", "seed"}
    if unknown or options["duplicates"] not in ("drop", "keep"):
        msg = f"models.{spec.name}.options: expected duplicates = 'drop' or 'keep' and seed"
        raise ConfigError(f"{msg}, got {options}; correct it and run again")
    drawn = human.answers(examples, **options)
    found = human.coverage(examples, drawn, duplicates=options["duplicates"])
    note = (
        _left_out(spec, found, alike=alike)
        if found.references
        else _another(spec, found, options["duplicates"])
    )
    made = Condition(spec, _HUMAN_PROMPT, NO_DECODING, fingerprint=texts_digest(drawn))
    texts = drawn.select("example", pl.lit(0, dtype=pl.Int32).alias("sample"), "text")
    return Imported(made, texts, (note,), ())


def _another(spec: ModelSpec, found: human.TherapistCoverage, duplicates: str) -> str:
    """Say whose answer is compared with a row's one reference."""
    kept = "duplicates dropped" if duplicates == "drop" else "duplicates kept"
    return (
        f"{spec.label}: another therapist's answer to the same question, {kept}; n = {found.n}, "
        f"{found.copies:.1%} of them exact copies of the reference; "
        f"{counted(found.without_partner, 'row')} "
        f"{'has' if found.without_partner == 1 else 'have'} no second answer to their question."
    )


def _left_out(spec: ModelSpec, found: human.TherapistCoverage, *, alike: bool) -> str:
    """Say how people are compared where rows have several references; these are distinct."""
    more = "one reference more for the same rows, which raises BLEU and the best of several scores"
    one = found.without_partner == 1
    return (
        f"{spec.label}: each therapist's answer against all other references of its row "
        f"(leave-one-out), {found.references:.1f} on average; n = {found.n}; "
        f"{counted(found.without_partner, 'row')} {'has' if one else 'have'} one reference alone. "
        f"Models have {'the same references for the same rows' if alike else more}."
    )


def conditions(config: Config, examples: pl.DataFrame) -> Iterator[Imported]:
    """Yield the conditions of all ``[answers.*]``; see ``condition``."""
    for name, table in config.answers.items():
        yield condition(name, table, examples, config.data_spec())


def condition(name: str, table: AnswersTable, examples: pl.DataFrame, data: DataSpec) -> Imported:
    """Return the condition of ``[answers.<name>]``.

    Args:
        name: Key of the table.
        table: The table.
        examples: ``store.EXAMPLES``.
        data: The rows of the run: which personal data is replaced in its questions.

    Raises:
        DataError: The file cannot be read, or its answers do not fit the examples.
    """
    where = f"answers.{name}"
    read, key = _read(table, where)
    read = read.without(table.redact)
    redactions = tuple(filter(None, dict.fromkeys(map(data.redacted, data.sources))))
    key = replace(key, redactions=redactions)
    found = answers.matched(read.texts, examples, key, f"{where} ({table.path})")
    n_samples = int(found.texts["sample"].max() or 0) + 1  # type: ignore[arg-type]  # an Int32 column
    spec = ModelSpec(name, table.label or name, "answers", published=table.published)
    made = Condition(
        spec,
        load_prompt(table.prompt),
        replace(NO_DECODING, sample=n_samples > 1, samples=n_samples),
        fingerprint=texts_digest(found.texts),
    )
    notes = [
        f"{spec.label}: {note}."
        for note in (found.note(), _repaired(read), _redacted(read))
        if note
    ]
    remarks = (f"{where}: {found.remark()}",) if found.note() else ()
    return Imported(made, found.texts, tuple(notes), remarks)


def _repaired(read: answers.ImportedTexts) -> str:
    if not read.repaired:
        return ""
    return (
        f"in {read.repaired} of the imported answers, characters that are not valid Unicode were "
        "replaced by U+FFFD"
    )


def as_begun(of: Imported, earlier: Sequence[pl.DataFrame], run: RunDir) -> Condition:
    """Return the condition as the run has it; of a run that grew, as it was named before.

    Its name is made of its texts. Where those that the run holds are still the same, answers to
    more rows are added to them, and scores and ratings of them stay.

    Args:
        of: With answers to all rows of today.
        earlier: The evaluated rows before each enlargement, the first ones first.
        run: May not be there yet.
    """
    for rows in earlier:
        known = rows.select(example="id").join(of.texts, on="example", maintain_order="left_right")
        begun = replace(of.condition, fingerprint=texts_digest(known.select(of.texts.columns)))
        held = answers_in(run, versions.as_begun(begun, run).id)
        if held is not None and _still(held, known, of.texts):
            return versions.as_begun(begun, run)
    return versions.as_begun(of.condition, run)


def answers_in(run: RunDir, condition: str) -> pl.DataFrame | None:
    """Return the imported answers that a run holds (``store.GENERATIONS``); null if none do."""
    try:
        return read_piece(run.generation(condition, 0, 1))[1]
    except Damaged:
        return None


def _still(held: pl.DataFrame, known: pl.DataFrame, texts: pl.DataFrame) -> bool:
    """Tell whether all answers of a run are among *texts*, and all that were known are held."""
    columns = texts.columns
    same = held.select(columns).join(texts, on=columns, how="semi").height == held.height
    return same and known.join(held, on=columns[:2], how="anti").is_empty()


def _redacted(read: answers.ImportedTexts) -> str:
    if not read.redacted:
        return ""
    return f"in {read.redacted} of the imported answers, placeholders stand for personal data"


def texts_digest(texts: pl.DataFrame) -> str:
    """Return the identity of texts: of a frame's rows, in their order."""
    return digest(texts.to_dicts(), 16)


def _read(table: AnswersTable, where: str) -> tuple[answers.ImportedTexts, answers.Key]:
    """Return the answers of a file, and the key by which it names their examples."""
    *others, last = answers.keys(table.example, table.question)
    for key in others:
        try:
            return _read_by(table, key, where), key
        except NoColumn:
            continue
    return _read_by(table, last, where), last


def _read_by(table: AnswersTable, key: answers.Key, where: str) -> answers.ImportedTexts:
    path, layout = Path(table.path), table.layout()
    if table.format == "lm-eval":
        return lm_eval.read(path, key.column, layout, where)
    columns = answers.Columns(key.column, table.text, table.sample)
    return answers.read(path, columns, layout, where)
