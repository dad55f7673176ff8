"""Metrics: one file each; the file name is the metric's name.

A metric is per-row statistics plus one pure reduction of their sum. The corpus score of any
subset of rows, an interval, a paired test and the merge of shards are then the same few lines
for all of them.

A file ``metrics/<name>.py`` defines a frozen dataclass named ``Metric`` whose fields are the
settings a configuration may change under ``[metrics.<name>]``, and whose members are those of
``MetricProtocol``. It imports torch and other heavy libraries inside functions only. It compares
texts as ``visible.as_read`` gives them, so that an answer of which nothing is visible is an empty
one. An answer that is empty, or in which there is nothing to count, has a score all the same (0,
say); a row is unscored where its *reference* leaves nothing to score, hence under all conditions.

Optional members: ``remarks(sums)`` (see ``remarks``); ``why_unscored``, a ``Remark`` that tables
give as the reason where rows are unscored; ``added`` (see ``added``); ``asks`` and ``given`` (see
``prepared``); ``misreads(text)`` and ``script_advice`` (see ``misread_note``); ``merged`` or
``united``, and ``references`` (see ``_several``); ``score_group``, the name of a task of its own
that scores it with all others of that group; ``by_condition``, true where conditions share nothing,
so that each is kept as soon as it is scored; ``in_run(run)``, the metric as it works in one run.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import polars as pl
from pydantic import TypeAdapter, ValidationError

from empathy_core.data.specs import ALL_REFERENCES
from empathy_core.errors import ConfigError, UnknownName
from empathy_core.metrics._parts import Remark, given_column
from empathy_core.metrics._several import COLUMN, OWN_LEFT_OUT, OfSeveral, takes_several
from empathy_core.types import Column, digest

__all__ = [
    "GENERATED", "JUDGE", "PLUGIN", "PREFERENCE", "ROWS", "MetricProtocol", "Remark", "added",
    "as_planned", "asked", "compares_alike", "given_column", "is_judges", "judge_group", "key",
    "leaves_own_out", "load",
    "misread_note", "names", "prepared", "rates", "references_of", "remarks", "why_unscored",
]  # fmt: skip

PLUGIN = "evaluate:"
"""``evaluate:<path>`` names a metric of the evaluate library; see ``evaluate_metric``."""

JUDGE = "judge:"
"""``judge:<judge>:<rubric>:<dimension>`` names what a judge of the configuration is asked."""

PREFERENCE = "preference:"
"""``preference:<judge>:<rubric>:<dimension>`` names a comparison of two replies by a judge."""

GENERATED = "generated:"
"""``generated:<judge>:<rubric>:<dimension>`` names a rating that a judge writes."""

ROWS: dict[str, Any] = {
    "text": pl.String,  # the answer
    "reference": pl.String,  # the therapist's answer
    "context": pl.String,  # the question
    "prompt": pl.String,  # the plain prompt that led to the answer, the question filled in
    "stop": pl.String,  # eos | length | none
    "n_output_tokens": pl.Int32,
    "n_special_tokens": pl.Int32,
}
"""Columns of the frame that ``measure`` takes, one row an answer.

Where the run has several references a row, all of them are there too: ``references``, a list, of
which ``reference`` is the first. A metric with an ``opponent``, the id of a condition, gets its
answer as well: ``opponent``, null where there is none; and the id of the condition that is scored:
``condition``.
"""


class MetricProtocol(Protocol):
    """What a metric offers."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """The numbers it prints, in order."""
        ...

    @property
    def statistics(self) -> tuple[str, ...]:
        """Names of the per-row statistics, in order."""
        ...

    def signature(self) -> str:
        """Everything that could change a number, as ``key:value`` pairs joined by ``|``."""
        ...

    def prepare(self, references: Sequence[str]) -> "MetricProtocol":
        """Return the metric with what it must know of all references of the run (e.g. idf)."""
        ...

    def reference_state(self, references: Sequence[str]) -> Any:
        """Compute what depends on the references alone, once for all conditions."""
        ...

    def measure(self, rows: pl.DataFrame, state: Any) -> np.ndarray:
        """Return statistics of shape (rows, len(statistics)), float64; a row of NaN is unscored.

        *rows* has the columns ``ROWS``, and what it ``asks`` for under the name that
        ``given_column`` gives; *state* is ``reference_state`` of their references.
        """
        ...

    def recheck(self, rows: pl.DataFrame) -> np.ndarray | None:
        """Return scores of shape (rows, len(columns)) by the reference library itself.

        Slow and independent of ``measure``; null if no reference implementation exists.
        """
        ...

    def score(self, sums: np.ndarray) -> np.ndarray:
        """Reduce summed statistics of shape (..., len(statistics)) to (..., len(columns)).

        Pure and vectorised. NaN where no row was scored.
        """
        ...


def names() -> list[str]:
    """Return the names of the metrics that ship."""
    here = Path(__file__).parent
    return sorted(p.stem for p in here.glob("*.py") if not p.stem.startswith("_"))


def load(name: str, options: Mapping[str, object]) -> MetricProtocol:
    """Return the metric *name* with its settings changed by *options*.

    Nothing is downloaded and no encoder is loaded here. ``evaluate:<path>`` is the same as
    ``evaluate_metric`` with the option ``path``; a ``path`` among *options* goes first.

    Raises:
        UnknownName: No file has this name.
        ConfigError: An option is unknown, missing, or of the wrong type; all of them are listed.
    """
    if name.startswith(PLUGIN):
        options = {"path": name.removeprefix(PLUGIN), **options}
    if not name.startswith(PLUGIN) and not is_judges(name) and name not in names():
        hint = "A script of the evaluate library is 'evaluate:<path>'; a judge is [judges.<name>]."
        raise UnknownName("metric", name, names(), hint)
    cls = import_module(f"{__name__}.{_module(name)}").Metric
    problems = list(_unknown(cls, options))
    known = {k: v for k, v in options.items() if k in _settings(cls)}
    try:
        # JSON mode: a TOML array is a tuple there, and nothing else is converted
        metric = TypeAdapter(cls).validate_json(json.dumps(known, default=str), strict=True)
    except ValidationError as error:
        problems += [_explained(e) for e in error.errors()]
    if problems:
        listed = "; ".join(problems)
        raise ConfigError(f"metric '{name}': {listed}. Correct [metrics.{name}] and run again.")
    return cast("MetricProtocol", metric)


def rates(metric: MetricProtocol) -> bool:
    """Tell whether a metric is a judge's rating of one reply; a comparison of two is none."""
    rubric = getattr(metric, "rubric", None)
    return rubric is not None and not rubric.pairwise


def is_judges(name: str) -> bool:
    """Tell whether a metric's name is of something that a judge is asked."""
    return name.startswith((JUDGE, PREFERENCE, GENERATED))


def judge_group(judge: str) -> str:
    """Return the group of tasks that score everything that one judge is asked."""
    return f"judge-{judge}"


def _module(name: str) -> str:
    kinds = {
        PLUGIN: "evaluate_metric", JUDGE: "_judge", PREFERENCE: "_preference",
        GENERATED: "_generating_judge",
    }  # fmt: skip
    return next((kinds[kind] for kind in kinds if name.startswith(kind)), name)


def asked(metric: MetricProtocol) -> tuple[str, ...]:
    """Return the columns of the data that a metric wants beside ``ROWS``; most want none."""
    found: tuple[str, ...] = getattr(metric, "asks", ())
    return found


def prepared(
    name: str,
    options: Mapping[str, object],
    examples: pl.DataFrame,
    *,
    own_left_out: bool = False,
) -> MetricProtocol:
    """Return a metric with what it must know of all evaluated rows of the run.

    What it ``asks`` for, columns that the sources carry along or the suite's own, is handed to its
    member ``given`` as a frame of ``id`` and these columns, text or null. ``given`` returns the
    metric whose signature names the values, so that other values are scored anew.

    Args:
        name: See ``load``.
        options: As before.
        examples: Evaluated rows, ``store.EXAMPLES``, with what the sources carry along, and with
            all references of each where any has several.
        own_left_out: Whether models, too, are compared with all references but a row's own answer.

    Raises:
        ConfigError: There is no such column, or the metric refuses its values.
    """
    metric: Any = load(name, options)
    table = f"judges.{metric.judge}" if hasattr(metric, "judge") else f"metrics.{name}"
    if columns := asked(metric):
        lacking = [column for column in columns if column not in examples.columns]
        if lacking:
            msg = (
                f"{table}: no column '{lacking[0]}' in the data. Expected one that a source "
                f'carries along: add data.sources.<name>.keep = ["{lacking[0]}"], or name another'
            )
            raise ConfigError(msg)
        try:
            metric = metric.given(examples.select("id", pl.col(columns).cast(pl.String)))
        except ConfigError as error:
            raise ConfigError(f"{table}: {error}") from error
    if ALL_REFERENCES not in examples.columns or not takes_several(metric):
        found: MetricProtocol = metric.prepare(examples["response"].to_list())
        return found
    lists = examples[ALL_REFERENCES]
    counts = {max(n - own_left_out, 1) for n in lists.list.len()}
    n = str(counts.pop()) if len(counts) == 1 else "var"
    prepared = metric.prepare([text for texts in lists for text in texts])
    return cast("MetricProtocol", OfSeveral(prepared, n, own_left_out))


def misread_note(name: str, metric: MetricProtocol, references: Sequence[str]) -> tuple[str, ...]:
    """Say so where most references are of a script that a metric finds no words in, and what helps.

    A metric tells by ``misreads`` whether a text is, and in ``script_advice`` what to set. Tables
    count such rows (``remarks``); this can be told before anything is answered.
    """
    misreads: Callable[[str], bool] | None = getattr(metric, "misreads", None)
    strange = sum(map(misreads, references)) if misreads else 0
    if 2 * strange <= len(references):
        return ()
    told = f"{strange:,} of {len(references):,} references are of a script"
    advice = getattr(metric, "script_advice", "")
    return (f"metrics.{name}: {told} that its tokenizer is not made for. {advice}",)


CORPUS = "group:corpus"
"""Part of the signature of a metric that compares all answers of a condition with each other."""


def is_of_corpus(signature: str) -> bool:
    """Tell whether a metric measures the rows of a whole condition at once.

    What such a metric says of one row depends on every other answer of the condition, so that all
    of its statistics are made anew where one answer is. It is read off the signature, since
    scores of earlier versions are of units of rows.
    """
    return CORPUS in signature.split("|")


def as_planned(metric: MetricProtocol, signature: str) -> MetricProtocol:
    """Return a metric as one of this signature is: of one reference a row or of several."""
    n = signature.partition("|")[0].removeprefix("nrefs:")
    left_out = leaves_own_out(signature)
    several = takes_several(metric) and (left_out or n not in ("1", signature))
    return cast("MetricProtocol", OfSeveral(metric, n, left_out)) if several else metric


def leaves_own_out(signature: str) -> bool:
    """Tell whether models are compared with all references of a row but its own answer."""
    return OWN_LEFT_OUT in signature.split("|")


def compares_alike(metric: MetricProtocol) -> bool:
    """Tell whether models and people are compared with the same references of a row."""
    return leaves_own_out(metric.signature())


def references_of(metric: MetricProtocol, rows: pl.DataFrame) -> tuple[Any, ...]:
    """Return what ``reference_state`` takes: the reference of each row, or all of them."""
    if isinstance(metric, OfSeveral):
        return tuple(map(tuple, rows[COLUMN].to_list()))
    return tuple(rows["reference"])


def remarks(metric: MetricProtocol, sums: np.ndarray) -> tuple[Remark, ...]:
    """Return what a reader must know of rows with these summed statistics, shape (statistics,)."""
    found: tuple[Remark, ...] = metric.remarks(sums) if hasattr(metric, "remarks") else ()
    return found


def why_unscored(metric: MetricProtocol) -> Remark:
    """Return the reason why a metric has rows that it does not score; empty if it gives none."""
    found: Remark = getattr(metric, "why_unscored", Remark(""))
    return found


def added(metric: MetricProtocol) -> Mapping[str, float]:
    """Return statistic → what it is read as in scores of earlier versions, which lack it.

    With these values the scores are what the earlier version made of them.
    """
    found: Mapping[str, float] = getattr(metric, "added", {})
    return found


def key(name: str, metric: MetricProtocol) -> str:
    """Return the folder of a metric's statistics: its name and a hash of its signature.

    Of ``evaluate:<path>`` the last part stands there: a run holds no path of a machine.
    """
    short = re.sub(r"[^A-Za-z0-9_-]+", "_", Path(name).stem)
    return f"{short}-{digest(metric.signature(), 8)}"


def _settings(cls: type) -> list[str]:
    return [f.name for f in fields(cls) if f.init]


def _unknown(cls: type, options: Mapping[str, object]) -> Iterator[str]:
    allowed = _settings(cls)
    for option in options:
        if option not in allowed:
            close = get_close_matches(option, allowed, n=1)
            guess = f" Did you mean '{close[0]}'?" if close else ""
            listed = ", ".join(allowed) or "none, it has no options"
            yield f"unknown option '{option}'.{guess} Allowed: {listed}"


def _explained(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "missing":
        return f"option '{where}' is missing; it is required"
    given = json.dumps(error.get("input"), default=str)[:60]
    return f"option '{where}': {error['msg'][0].lower()}{error['msg'][1:]} (given: {given})"
