"""The examples of a run, packed for the page: compressed, and unpacked by the page on demand.

The page's browser reads an index (who answered what, flags, where texts lie), the scores of single
answers, and pieces of texts. Each is JSON, gzipped, in base64: whatever a text holds, the page
holds it as letters and digits only. Of sources whose texts are withheld there are digests instead;
texts of people at risk are there, and folded behind a warning.
"""

import base64
import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from empathy_core import data
from empathy_core.conversation import last_turn
from empathy_core.crisis.screen import tiers
from empathy_core.data.contexts import contexts_of, has_turns
from empathy_core.metrics import rates
from empathy_core.types import Column, Condition
from reports.keys import column_keys, metric_name
from reports.labels import full_name, row_labels
from reports.numbers.crisis import RiskTiers, tiers_in
from reports.numbers.failures import DIAGNOSTICS
from reports.numbers.flagged import flagged_answers, kinds
from reports.page.rated import people_of
from reports.rows.align import statistics_of
from reports.rows.collect import Collected
from reports.rows.pieces import KEY
from reports.spec import ReportSpec
from reports.tables.table import line_label

MOST_ANSWERS = 20_000
"""Answers that a page can hold: of more, examples evenly spaced in the run's order."""
PIECE_CHARACTERS = 200_000
"""Texts of about so many characters are one piece: a page unpacks one to show an example."""
LEAD_CHARACTERS = 110
"""Of a question, in the list of examples."""
DIGEST_DIGITS = 16
NOT_COVERED, NO_ANSWER = -1, -2
"""What stands in place of flags where a condition has no answer."""
UNSCORED = ("unscored", "Not scored")
FAULTS = ("echo", "repetition", "special_tokens", "noise")
"""Columns of the metric ``diagnostics`` that are flags; the others are among ``validity.kinds``."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Something that can be chosen in the browser, as addresses have it and as it is shown.

    Attributes:
        n: Answers, or examples, that it leaves; null where it leaves all.
        main: Whether it stands in the main table.
    """

    value: str
    label: str
    n: int | None = None
    main: bool = False


@dataclass(frozen=True, slots=True)
class Browser:
    """What the page's browser of examples is made of.

    Attributes:
        pieces: Base64 of gzipped JSON: the index, the scores, then texts.
        n_shown: Examples in it, of *n_examples*.
        n_answers: Answers in it.
        n_at_risk: Examples whose texts are folded behind a warning.
        tier_column: Column of the data that gives their level of risk; empty: the screen does.
    """

    pieces: tuple[str, ...]
    n_shown: int
    n_examples: int
    n_answers: int
    models: tuple[Choice, ...]
    prompts: tuple[Choice, ...]
    conditions: tuple[Choice, ...]
    columns: tuple[Choice, ...]
    flags: tuple[Choice, ...]
    sources: tuple[Choice, ...]
    n_at_risk: int = 0
    tier_column: str = ""


def browser(collected: Collected, spec: ReportSpec) -> Browser:
    """Return the examples of a run for its page; reads their texts."""
    examples = _shown(collected)
    parts = _parts(collected, spec, examples)
    risk = tiers_in(collected, spec)
    levels = [tiers().index(name) for name in _tiers(risk, examples)]
    columns = [
        (key, column)
        for key, metric in spec.metrics.items()
        for column in (*metric.columns, *(c for c, _ in _seen_of(metric)))
    ]
    keys = _column_keys(spec)
    texts = _pieces(collected, spec, examples, parts)
    models, prompts, sources = _labels(spec, examples)
    conditions = [_described(of, spec, models, prompts) for of in parts]
    index = {
        "conditions": conditions,
        "sources": [source.label for source in sources],
        "columns": [_column(keys[k, c.name], c) for k, c in columns],
        "kinds": [{"name": name, "label": label} for name, label in _kinds(spec)],
        "examples": _listed(examples, spec, sources, levels),
        "tiers": list(tiers()),
        "starts": [piece.start for piece in texts],
        "answers": [{"flags": of.flags.tolist(), "words": of.words.tolist()} for of in parts],
        **people_of(
            collected, spec, [(key, c.name) for key, c in columns],
            {of.condition.id: of.rows for of in parts},
        ),
    }  # fmt: skip
    scores = [[_printed(of.scores[key, c.name], c) for key, c in columns] for of in parts]
    flags = np.concatenate([of.flags[of.flags >= 0] for of in parts] or [np.zeros(0, int)])
    return Browser(
        pieces=tuple(map(_packed, (index, scores, *(piece.value() for piece in texts)))),
        n_shown=examples.height,
        n_examples=collected.examples.height,
        n_answers=len(flags),
        models=models,
        prompts=prompts,
        conditions=tuple(Choice(str(of["key"]), str(of["name"])) for of in conditions),
        columns=tuple(Choice(keys[key, c.name], line_label(c), main=c.main) for key, c in columns),
        flags=tuple(
            Choice(name, label, int(((flags >> bit) & 1).sum()))
            for bit, (name, label) in enumerate(_kinds(spec))
        ),
        sources=sources,
        n_at_risk=sum(level > 0 for level in levels),
        tier_column=risk.column,
    )


def _tiers(risk: RiskTiers, examples: pl.DataFrame) -> pl.Series:
    """Return the level of risk of each example's question."""
    joined = examples.select(example="id").join(
        risk.rows, on="example", how="left", maintain_order="left"
    )
    return joined["tier"]


def _labels(
    spec: ReportSpec, examples: pl.DataFrame
) -> tuple[tuple[Choice, ...], tuple[Choice, ...], tuple[Choice, ...]]:
    """Return models, prompts and sources; their values are numbers, whatever a label holds."""
    names = row_labels(spec.conditions).values()
    counted = (
        examples["source"].value_counts(sort=True).sort("count", "source", descending=[True, False])
    )
    return (
        tuple(_numbered(c.model.label for c in spec.conditions)),
        tuple(_numbered(filter(None, names))),
        tuple(Choice(str(i), name, n) for i, (name, n) in enumerate(counted.iter_rows())),
    )


def _numbered(labels: Iterable[str]) -> Iterator[Choice]:
    return (Choice(str(i), label) for i, label in enumerate(dict.fromkeys(labels)))


def _place(choices: Sequence[Choice], label: str) -> str:
    """Return the value of a label; empty if there is none."""
    return next((choice.value for choice in choices if choice.label == label), "")


def _packed(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # a lone surrogate is no text; JSON and UTF-8 would part ways over it
    return base64.b64encode(gzip.compress(text.encode(errors="replace"), 6, mtime=0)).decode()


def _shown(collected: Collected) -> pl.DataFrame:
    """Return the examples that the page holds, in the run's order."""
    rows = collected.examples
    n_answers = sum(want.height for want in collected.expected.values())
    n = min(rows.height, max(1, MOST_ANSWERS * rows.height // max(n_answers, 1)))
    return rows[[(2 * i + 1) * rows.height // (2 * n) for i in range(n)]] if n else rows


# ---------------------------------------------------------------------------- index


@dataclass(frozen=True, slots=True, eq=False)
class _ConditionPart:
    """One condition's answers, in slots: sample s of example i stands at i * n_samples + s.

    Attributes:
        rows: ``example``, ``sample``, ``slot``, for each slot.
        flags: Bits in the order of ``_kinds``; negative where there is no answer.
        words: 0 where there is no answer.
        scores: (metric key, column) → each slot's score; NaN where there is none.
    """

    condition: Condition
    n_samples: int
    rows: pl.DataFrame
    flags: np.ndarray
    words: np.ndarray
    scores: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)


def _parts(collected: Collected, spec: ReportSpec, examples: pl.DataFrame) -> list[_ConditionPart]:
    flagged = {of.condition.id: of.flags for of in flagged_answers(collected, spec)}
    return [_part(collected, spec, c, examples, flagged[c.id]) for c in spec.conditions]


def _part(
    collected: Collected,
    spec: ReportSpec,
    condition: Condition,
    examples: pl.DataFrame,
    flagged: dict[str, pl.Series],
) -> _ConditionPart:
    want, answers = collected.expected[condition.id], collected.answers[condition.id]
    n_samples = 1 + int(str(want["sample"].max() or 0))
    samples = pl.DataFrame({"sample": range(n_samples)}, schema={"sample": pl.Int32})
    rows = examples.select(example="id").join(samples, how="cross", maintain_order="left_right")
    rows = rows.with_row_index("slot")
    scores = _scores(collected, spec, condition, rows)
    if not answers.height:  # then there is no column of words either
        answers = answers.with_columns(words=pl.lit(None, dtype=pl.Int64))
    known = answers.select(*KEY, "words").with_columns(**flagged)
    placed = rows.join(known, on=KEY, how="left", maintain_order="left")
    bits = [placed[flag].fill_null(value=False).to_numpy() for flag, _, _ in kinds(spec)]
    bits.append(_unscored(spec, scores))
    bits += [np.nan_to_num(scores[of]) > 0 for of in _faults(spec)]
    flags = sum((bit.astype(np.int64) << i for i, bit in enumerate(bits)), np.zeros(len(rows), int))
    expected = rows.join(want.select(KEY, there=True), on=KEY, how="left", maintain_order="left")
    covered = expected["there"].fill_null(value=False).to_numpy()
    absent = placed["words"].is_null().to_numpy()
    flags = np.where(absent, np.where(covered, NO_ANSWER, NOT_COVERED), flags)
    words = placed["words"].fill_null(0).to_numpy()
    return _ConditionPart(condition, n_samples, rows, flags, words, scores)


def _scores(
    collected: Collected, spec: ReportSpec, condition: Condition, rows: pl.DataFrame
) -> dict[tuple[str, str], np.ndarray]:
    """Return the scores of single answers: the same reduction, of one row."""
    found: dict[tuple[str, str], np.ndarray] = {}
    for key, metric in spec.metrics.items():
        scores = collected.scores[condition.id, key]
        values = metric.score(statistics_of(rows, scores, metric.statistics))
        found |= {(key, c.name): values[:, i] for i, c in enumerate(metric.columns)}
        if columns := _seen_of(metric):
            seen = statistics_of(rows, scores, ("judged", *(name for _, name in columns)))
            shown = np.where(seen[:, :1] == 1, seen, np.nan)  # else the judge did not see it
            found |= {(key, c.name): shown[:, i] for i, (c, _) in enumerate(columns, 1)}
    return found


def _seen_of(metric: Any) -> list[tuple[Column, str]]:
    """Return a column for each thing that was seen of a judge's answers, and its statistic.

    The mass of the labels and each one's share; of a comparison the mass and what was preferred in
    either order; of a judge that writes, that has no probabilities, whether it could be read.
    """
    of = getattr(metric, "dimension", None)
    if of is None or not metric.columns or "judged" not in metric.statistics:
        return []  # people are asked of a dimension, too: nothing is read off their answers
    first: Column = metric.columns[0]
    share = replace(first, better=None, decimals=0, percent=True, main=False, judge="")

    def column(name: str, label: str) -> Column:
        return replace(share, name=f"{first.name}_{name}", label=f"{of.label}: {label}")

    if "mass" not in metric.statistics:
        return [(column("unreadable", "answer could not be read"), "unreadable")]
    mass = (column("mass", "probability of answers"), "mass")
    if not rates(metric):
        return [
            mass,
            (column("as_a", "first reply preferred, this one first"), "p_first_as_a"),
            (column("as_b", "first reply preferred, this one second"), "p_first_as_b"),
        ]
    labels = enumerate(of.labels)
    return [mass, *((column(f"label_{name}", f"answer {name}"), f"p{i}") for i, name in labels)]


def _column_keys(spec: ReportSpec) -> dict[tuple[str, str], str]:
    """Return (metric key, column) → what the page's addresses call it."""
    labels = {
        (key, column.name): f"{key}.{column.name}"
        for key, metric in spec.metrics.items()
        for column, _ in _seen_of(metric)
    }
    return {**column_keys(spec.metrics), **labels}


def _unscored(spec: ReportSpec, scores: dict[tuple[str, str], np.ndarray]) -> np.ndarray:
    main = [(k, c.name) for k, c in spec.main_columns if k not in spec.rated_by_people]
    lacking: np.ndarray = np.any([np.isnan(scores[of]) for of in main or scores], axis=0)
    return lacking


def _faults(spec: ReportSpec) -> list[tuple[str, str]]:
    """Return (metric key, column) of the flags that the diagnostics give."""
    keys = [k for k in spec.metrics if metric_name(k) == DIAGNOSTICS]
    known = {(k, c.name) for k in keys for c in spec.metrics[k].columns}
    return [(k, name) for k in keys for name in FAULTS if (k, name) in known]


def _kinds(spec: ReportSpec) -> list[tuple[str, str]]:
    """Return the flags, in the order of their bits: (name, label)."""
    labels = {(k, c.name): c.label for k, m in spec.metrics.items() for c in m.columns}
    faults = ((name, labels[key, name]) for key, name in _faults(spec))
    return [*((name, label) for name, label, _ in kinds(spec)), UNSCORED, *faults]


def _described(
    part: _ConditionPart, spec: ReportSpec, models: Sequence[Choice], prompts: Sequence[Choice]
) -> dict[str, object]:
    condition, names = part.condition, row_labels(spec.conditions)
    return {
        "key": spec.keys().condition(condition.id),
        "name": full_name(condition, names),
        "model": _place(models, condition.model.label),
        "prompt": _place(prompts, names[condition.id]),
        "human": condition.model.is_human,
        "samples": part.n_samples,
        **({"thinks": True} if condition.reasoning else {}),
    }


def _column(key: str, column: Column) -> dict[str, object]:
    return {
        "key": key,
        "name": line_label(column),
        "decimals": column.decimals,
        "percent": column.percent,
        "main": column.main,
    }


def _listed(
    examples: pl.DataFrame, spec: ReportSpec, sources: Sequence[Choice], levels: Sequence[int]
) -> dict[str, object]:
    hidden = examples["source"].is_in(list(spec.withheld))
    places = {source.label: i for i, source in enumerate(sources)}
    folded = hidden | (pl.Series(levels, dtype=pl.Int8) > 0)
    asked = pl.Series(map(last_turn, contexts_of(examples)), dtype=pl.String)
    lead = asked.str.replace_all(r"\s+", " ").str.slice(0, LEAD_CHARACTERS)
    return {
        "id": examples["id"].to_list(),
        "source": [places[name] for name in examples["source"]],
        "question": examples["question"].str.slice(0, 12).to_list(),
        "hidden": hidden.cast(pl.Int8).to_list(),
        "risk": list(levels),
        "lead": ["" if f else text for f, text in zip(folded, lead, strict=True)],
        **_histories(examples),
    }


def _histories(examples: pl.DataFrame) -> dict[str, list[int]]:
    """Return what the page folds of conversations; nothing in a run without any.

    For each example ``earlier``, the turns before the last one, and ``asked``, the length of that
    one's text, in units of UTF-16, as a browser counts.
    """
    if not has_turns(examples):
        return {}
    contexts = contexts_of(examples)
    earlier = [0 if isinstance(c, str) else len(c.turns) - 1 for c in contexts]
    lengths = [len(last_turn(context).encode("utf-16-le", "replace")) // 2 for context in contexts]
    return {"earlier": earlier, "asked": lengths}


def _printed(values: np.ndarray, column: Column) -> list[int | None]:
    """Return numbers as the tables print them, the decimal point left out; null for NaN."""
    known = np.isfinite(values)
    numbers = (np.where(known, values, 0.0) * (100 if column.percent else 1)).tolist()
    # all by one call: a page holds millions of them
    texts = (f"%.{column.decimals}f " * len(numbers) % tuple(numbers)).replace(".", "").split()
    return [int(t) if k else None for t, k in zip(texts, known.tolist(), strict=True)]


# ---------------------------------------------------------------------------- texts


class _Piece:
    """Texts that are unpacked together: each distinct one once, and where an example's are."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.size = 0
        self._places: dict[str, int] = {}
        self._rows: list[list[int]] = []

    def add(self, texts: Sequence[str | None]) -> None:
        """Add an example's texts: question, reference, each condition's samples, and thoughts."""
        self._rows.append([-1 if text is None else self._place(text) for text in texts])

    def _place(self, text: str) -> int:
        if text not in self._places:
            self._places[text] = len(self._places)
            self.size += len(text)
        return self._places[text]

    def value(self) -> dict[str, Any]:
        """Return the piece as JSON has it: a text's place is -1 where there is no text."""
        return {"start": self.start, "texts": list(self._places), "rows": self._rows}


def _pieces(
    collected: Collected,
    spec: ReportSpec,
    examples: pl.DataFrame,
    parts: Sequence[_ConditionPart],
) -> list[_Piece]:
    thinking = [(part, "thought") for part in parts if part.condition.reasoning]
    columns = [*((part, "text") for part in parts), *thinking]
    answers = [(part, _answers(collected, part, column)) for part, column in columns]
    hidden = examples["source"].is_in(list(spec.withheld)).to_list()
    pieces = [_Piece(0)]
    shown_references = data.references.shown(examples)
    for i, own in enumerate(zip(examples["context"], shown_references, strict=True)):
        if pieces[-1].size >= PIECE_CHARACTERS:
            pieces.append(_Piece(i))
        samples = (texts[i * p.n_samples : (i + 1) * p.n_samples] for p, texts in answers)
        shown = [*own, *(text for of in samples for text in of)]
        pieces[-1].add([_digest(text) for text in shown] if hidden[i] else shown)
    return pieces


def _answers(collected: Collected, part: _ConditionPart, column: str) -> list[str | None]:
    """Return each slot's text, or thought; null where there is none."""
    ids = part.rows["example"].unique().to_list()
    found = collected.texts(part.condition.id, ids).select(*KEY, column)
    return part.rows.join(found, on=KEY, how="left", maintain_order="left")[column].to_list()


def _digest(text: str | None) -> str | None:
    """Return what stands in place of a text that is withheld: who has the text can compare."""
    return None if text is None else hashlib.sha256(text.encode()).hexdigest()[:DIGEST_DIGITS]
