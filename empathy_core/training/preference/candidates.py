"""Pairs as they are found: in a file, or as a therapist's answer against a model's."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from empathy_core.data import Source, files, load, reading
from empathy_core.data.cleaning import clean
from empathy_core.data.normal import question_digest
from empathy_core.errors import ConfigError, DataError
from empathy_core.store import RunDir, list_pieces
from empathy_core.training.preference.settings import PairSettings, without_effect

SIDES = ("train", "validation")
"""Splits of the run whose reference answers may be preferred; the test rows are for testing."""


@dataclass(frozen=True, slots=True)
class PairCandidate:
    """One pair before anything is asked of it; texts are clean.

    Attributes:
        source: Where it comes from.
        licence: As stated; empty if unknown.
        flagged: Whether the chosen reply was found harmful.
        of_models: Licences of the models that wrote the replies, as stated; empty if unknown.
        tested: Whether it is a test question of the run that the replies are of.
        chosen_by: What wrote the chosen reply, and which sample it is; empty if not known.
        rejected_by: The same of the other reply.
        scores: Of the chosen reply and the other, as the column has them; null without a column.
        cut: Of the chosen reply and the other, whether its model was stopped at its token limit.
        people: Dimension that people rated both replies on → the value of the chosen one and of
            the other, the higher the better.
    """

    context: str
    chosen: str
    rejected: str
    source: str
    licence: str
    flagged: bool = False
    of_models: tuple[str, ...] = ()
    tested: bool = False
    chosen_by: str = ""
    rejected_by: str = ""
    scores: tuple[float, float] | None = None
    cut: tuple[bool, bool] = (False, False)
    people: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def licences(self) -> tuple[str, ...]:
        """Every licence that must allow training, each once."""
        return tuple(dict.fromkeys((self.licence, *self.of_models)))

    @property
    def gap(self) -> float:
        """By how much the scores differ; 0 without scores."""
        return abs(self.scores[0] - self.scores[1]) if self.scores else 0.0


@dataclass(frozen=True, slots=True)
class FoundPairs:
    """The candidates of one table.

    Attributes:
        origin: What they were made from, by name: recorded with the pairs.
        left_out: Reason → pairs of answers that did not become candidates.
        differences: Of the scores of all pairs of answers that have both; empty without scores.
        dimension: Rubric and dimension that the scores are of; empty without.
        notes: What whoever reads a table with such an adapter must know, a sentence each.
        warnings: The same of what the author may want to change.
    """

    candidates: tuple[PairCandidate, ...]
    origin: Mapping[str, Any]
    left_out: Mapping[str, int] = field(default_factory=dict)
    differences: tuple[float, ...] = ()
    dimension: str = ""
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def find(
    name: str, settings: PairSettings, examples: pl.DataFrame, licences: Mapping[str, str]
) -> FoundPairs:
    """Return the candidates that ``[pairs.<name>]`` asks for, other than of scores.

    Args:
        name: Of the table.
        settings: Where they are.
        examples: The run's rows (``store.EXAMPLES``).
        licences: Source of the run → its licence as stated.

    Raises:
        ConfigError: The settings contradict each other.
        DataError: The file, a column or the condition is missing, or no question is answered.
    """
    _check(name, settings)
    if settings.made_from == "file":
        candidates = tuple(_of_file(name, settings))
        return FoundPairs(candidates, _file_origin(Path(settings.path)))
    answers, origin = _answers(name, settings)
    found = tuple(_against(answers, examples, licences))
    if not found:
        msg = (
            f"pairs.{name}: {settings.path} answers no question of the run's training or "
            f"validation rows ({len(answers)} questions are answered); expected some; generate "
            'them with evaluate.split = "all" in a run of their own, and name that run'
        )
        raise DataError(msg)
    if settings.licence:
        found = tuple(replace(one, of_models=(settings.licence,)) for one in found)
    return FoundPairs(found, origin)


def require_effect(name: str, settings: PairSettings) -> None:
    """Refuse settings that have no effect: whoever set them counts on one.

    Raises:
        ConfigError: Naming them.
    """
    if vain := without_effect(settings):
        msg = (
            f"pairs.{name}: {', '.join(vain)} has no effect with made_from = "
            f"'{settings.made_from}'; expected only settings of pairs that are made so; set "
            "another made_from, or leave it out"
        )
        raise ConfigError(msg)


def _check(name: str, settings: PairSettings) -> None:
    require_effect(name, settings)
    is_run = Path(settings.path).expanduser().is_dir()
    if settings.made_from == "therapist" and is_run == (settings.condition is None):
        msg = (
            f"pairs.{name}: path is {'a run' if is_run else 'no run'}, and condition is "
            f"{settings.condition or 'not given'}; expected condition of a run, and of nothing "
            "else; set or remove it"
        )
        raise ConfigError(msg)
    if settings.made_from == "file" and settings.licence is None and not settings.licence_column:
        msg = (
            f"pairs.{name}: no licence is named; expected what lets you train on these texts; set "
            "licence, or licence_column"
        )
        raise ConfigError(msg)


def _file_origin(path: Path) -> dict[str, str]:
    digest = hashlib.sha256(files.read(path.expanduser())).hexdigest()
    return {"file": path.name, "sha256": digest}


# ---------------------------------------------------------------------------- a file of pairs


def _of_file(name: str, settings: PairSettings) -> Iterator[PairCandidate]:
    extra = (settings.source, settings.licence_column, settings.flagged)
    keep = tuple(dict.fromkeys(column for column in extra if column))
    columns = [_column(name, settings, text, keep) for text in (settings.chosen, settings.rejected)]
    stem = Path(settings.path).name
    for chosen, rejected in zip(*columns, strict=True):
        kept = dict(zip(keep, chosen.kept, strict=True))
        yield PairCandidate(
            context=clean(chosen.context or "")[0],
            chosen=clean(chosen.response or "")[0],
            rejected=clean(rejected.response or "")[0],
            source=(kept.get(settings.source or "") or stem).strip(),
            licence=(settings.licence or kept.get(settings.licence_column or "") or "").strip(),
            flagged=_is_true(kept.get(settings.flagged or "")),
        )


def _column(
    name: str, settings: PairSettings, column: str, keep: tuple[str, ...]
) -> tuple[reading.RawRow, ...]:
    source = Source(
        name=name, path=settings.path, context=(settings.context,), response=column, keep=keep,
        missing=(), told_as=f"pairs.{name}",
    )  # fmt: skip
    return reading.read(source, complete=True).rows


def _is_true(cell: str | None) -> bool:
    return (cell or "").strip().casefold() not in ("", "0", "0.0", "false", "no")


# ---------------------------------------------------------------------------- against a model


@dataclass(frozen=True, slots=True)
class _ModelAnswer:
    """Its words, and whether the model was stopped at its token limit."""

    text: str
    cut: bool


def _answers(name: str, settings: PairSettings) -> tuple[dict[str, _ModelAnswer], dict[str, str]]:
    """Return question digest → a model's answer, and where they come from."""
    path = Path(settings.path).expanduser()
    if settings.condition is None:
        rows = _column(name, settings, settings.text, ())
        texts = {question_digest(clean(r.context or "")[0]): r.response or "" for r in rows}
        found = {question: _ModelAnswer(text, cut=False) for question, text in texts.items()}
        return found, _file_origin(path)
    run = RunDir(path)
    folder = _condition(name, run, settings.condition)
    columns = ["example", "sample", "text", "stop"]
    pieces = [pl.read_parquet(p, columns=columns) for p in list_pieces(run.generations(folder))]
    replies = pl.concat(pieces).filter(sample=0)
    rows_ = replies.join(load(run).select("context", example="id"), on="example").sort("example")
    answers = {
        question_digest(context): _ModelAnswer(text, cut=stop == "length")
        for context, text, stop in rows_.select("context", "text", "stop").iter_rows()
    }
    return answers, {"run": run.root.name, "condition": folder}


def _condition(name: str, run: RunDir, wanted: str) -> str:
    """Return the id of the one condition of *run* that has answers and is called *wanted*."""
    known = sorted(p.name for p in run.generations("x").parent.glob("*") if p.is_dir())
    found = [id_ for id_ in known if wanted in _called(id_)]
    found = [id_ for id_ in found if list_pieces(run.generations(id_))]
    if len(found) != 1:
        msg = (
            f"pairs.{name}: {len(found)} conditions of {run.root} are called '{wanted}' and have "
            f"answers; expected one of {', '.join(known) or 'none at all'}; correct condition"
        )
        raise DataError(msg)
    return found[0]


def _called(id_: str) -> tuple[str, ...]:
    """Return what a condition may be called: its id, without its digest, and its decoding."""
    name = id_.rpartition("-")[0]
    return id_, name, name.rpartition(".")[0]


def _against(
    answers: Mapping[str, _ModelAnswer], examples: pl.DataFrame, licences: Mapping[str, str]
) -> Iterator[PairCandidate]:
    rows = examples.filter(pl.col("split").is_in(SIDES)).sort("id")
    for context, response, source in rows.select("context", "response", "source").iter_rows():
        answer = answers.get(question_digest(context))
        if answer is not None:
            rejected, licence = clean(answer.text)[0], licences.get(source, "")
            yield PairCandidate(
                context, response, rejected, source, licence, cut=(False, answer.cut)
            )
