"""Several good answers to one question, as references of one row. Pure over frames.

A row's own answer is its first reference. Others stand in further columns of its source, or are the
answers to the same question in other rows. Where no row has another, the rows are as they always
were: nothing of this module shows in them.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from empathy_core.counted import counted
from empathy_core.data.cleaning import LONGEST_CHARACTERS, clean, example_id
from empathy_core.data.contexts import answered_alike
from empathy_core.data.normal import LETTER_OR_DIGIT, normalised
from empathy_core.data.reading import Raw
from empathy_core.data.redaction import REFERENCE, Redaction
from empathy_core.data.specs import ALL_REFERENCES, Source
from empathy_core.store import EVALUATED
from empathy_core.types import digest

ROWS = "references"
"""What the column is called in the rows that a metric measures."""


def of_sources(
    sources: Sequence[Source], raws: Mapping[str, Raw], redactions: Mapping[str, Redaction]
) -> dict[str, list[str]]:
    """Return id of a row → the cleaned texts of its source's columns of references.

    Args:
        sources: Of the run.
        raws: Source → its rows.
        redactions: Source → what replaces personal data in its texts.
    """
    return {
        example_id(source.name, raw.row): [
            redactions[source.name].text(text, REFERENCE)
            for text in (clean(cell)[0] for cell in raw.references)
            if _usable(text)
        ]
        for source in sources
        if source.references
        for raw in raws[source.name].rows
    }


def lacking(sources: Sequence[Source], own: Mapping[str, Sequence[str]]) -> list[str]:
    """Say so where the columns of references of a source hold not one text.

    *own*: see ``of_sources``.
    """
    there = {row.rpartition("-")[0] for row, texts in own.items() if texts}
    return [
        f"{source.name}: not one row has a text in its columns of references "
        f"({', '.join(source.references)}); check {source.where}.references."
        for source in sources
        if source.references and source.name not in there
    ]


def _usable(text: str) -> bool:
    return LETTER_OR_DIGIT.search(text) is not None and len(text) < LONGEST_CHARACTERS


def united(
    examples: pl.DataFrame, own: Mapping[str, Sequence[str]], *, of_question: bool
) -> pl.DataFrame:
    """Return the rows with all references of each evaluated one, where any has several.

    Texts that are equal but for case, spaces and the punctuation of sentences count once.

    Args:
        examples: ``store.EXAMPLES``.
        own: See ``of_sources``.
        of_question: Whether answers to the same normalised question are references too, those of
            rows that are not evaluated included; in the order of their ids.

    Returns:
        The same frame, or with one more column ``ALL_REFERENCES``, null where a row is not
        evaluated.
    """
    if not of_question and not any(own.values()):
        return examples  # at once, however many rows there are
    every = {row: [text, *own.get(row, ())] for row, text in _columns(examples, "id", "response")}
    together: dict[str, list[str]] = defaultdict(list)
    alike = examples.select("id", EVALUATED, question=answered_alike(examples))
    for row, question in sorted(_columns(alike, "id", "question")) if of_question else ():
        together[question] += every[row]
    keys = _Keys()
    lists = [
        _distinct([*every[row], *together.get(question, ())], keys) if asked else None
        for row, asked, question in alike.iter_rows()
    ]
    if all(texts is None or len(texts) == 1 for texts in lists):
        return examples
    return examples.with_columns(pl.Series(ALL_REFERENCES, lists, dtype=pl.List(pl.String)))


def _columns(examples: pl.DataFrame, *names: str) -> list[tuple[str, str]]:
    return list(examples.select(names).iter_rows())


class _Keys(dict[str, str]):
    """Text → digest of its normal form, each found once: rows share references."""

    def __missing__(self, text: str) -> str:
        self[text] = digest(normalised(text), 16)
        return self[text]


def _distinct(texts: Sequence[str], keys: _Keys) -> list[str]:
    first: dict[str, str] = {}
    for text in dict.fromkeys(texts):
        first.setdefault(keys[text], text)
    return list(first.values())


# ---------------------------------------------------------------------------- what is compared


def several(examples: pl.DataFrame) -> bool:
    """Tell whether rows are compared with several references."""
    return ALL_REFERENCES in examples.columns


def compared(examples: pl.DataFrame, *, people: bool, own_left_out: bool = False) -> pl.DataFrame:
    """Return ``id`` and ``reference`` of rows, and where there are several all ``references``.

    Args:
        examples: Rows of a run.
        people: Whether the answers are the therapists' own: each is then compared with all
            references but itself, if there is another.
        own_left_out: Whether models, too, are compared with all references but a row's own answer.
            ``reference`` stays that answer for them.
    """
    if not several(examples):
        return examples.select("id", reference="response")
    every = pl.col(ALL_REFERENCES).fill_null(pl.concat_list("response"))  # of rows not evaluated
    rest = pl.when(every.list.len() > 1).then(every.list.slice(1)).otherwise(every)
    lists = (rest if people or own_left_out else every).alias(ROWS)
    found = examples.select("id", lists, own=every.list.first())
    first = pl.col(ROWS).list.first() if people else pl.col("own")
    return found.select("id", first.alias("reference"), ROWS)


def shown(examples: pl.DataFrame) -> list[str]:
    """Return each row's reference as a person reads it; several below each other, numbered."""
    if not several(examples):
        return examples["response"].to_list()
    return [
        texts[0] if len(texts) == 1 else "\n\n".join(
            f"[Reference {i} of {len(texts)}]\n{text}" for i, text in enumerate(texts, start=1)
        )
        for texts in examples[ALL_REFERENCES]
    ]  # fmt: skip


# ---------------------------------------------------------------------------- counts


def audit(examples: pl.DataFrame) -> dict[str, Any]:
    """Return how many references the evaluated rows have; empty if each has one.

    ``in_training`` counts rows one of whose references is, in its normal form, the answer of a row
    of the training split: a tuned model may have read it.
    """
    if not several(examples):
        return {}
    rows = examples.filter(EVALUATED)
    counts = rows[ALL_REFERENCES].list.len().to_list()
    keys = _Keys()
    trained = {keys[text] for text in examples.filter(pl.col("split") == "train")["response"]}
    leaked = [
        any(keys[text] in trained for text in texts)
        for texts, split in rows.select(ALL_REFERENCES, "split").iter_rows()
        if split != "train"
    ]
    by_count = sorted(Counter(counts).items())
    return {
        "references": {
            "rows": rows.height,
            "references": sum(counts),
            "rows_by_references": {str(n): times for n, times in by_count},
            "held_out_rows_reference_in_train": sum(leaked),
        }
    }


def note_on_people(examples: pl.DataFrame, *, own_left_out: bool) -> tuple[str, ...]:
    """Say whether models have the references that people have; nothing where each row has one."""
    if not several(examples):
        return ()
    if own_left_out:
        return ("People and models are compared with the same references: all but the row's own.",)
    return ("Models have one reference more: people are compared with all but their own answer.",)


def note(examples: pl.DataFrame, *, own_left_out: bool = False) -> tuple[str, ...]:
    """Say with how many references answers are compared; nothing where it is one."""
    if not several(examples):
        return ()
    counts = np.array(examples.filter(EVALUATED)[ALL_REFERENCES].list.len().to_list())
    alone = int((counts == 1).sum())
    counts = np.maximum(counts - own_left_out, 1)
    of = "each" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    how_many = f"{counts.min()} {of}" if of == "each" else f"{counts.mean():.1f} on average, {of}"
    if not own_left_out:
        return (f"Each answer is compared with all references of its row: {how_many}.",)
    kept = f" {counted(alone, 'row')} with one reference alone keep it." if alone else ""
    return (
        "Each answer, of people and of models, is compared with all references of its row but the "
        f"row's own answer (leave-one-out): {how_many}.{kept}",
    )
