"""The preflight: what can be known to be wrong before training, each finding by name.

Here: what stops a training, and how findings and rows read in a terminal. The questions to the rows
are those of ``rows``, to the model of ``model``, to preference pairs of ``pairs`` and
``pair_model``.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from empathy_core.errors import PreflightFailed, UnknownName
from empathy_core.training.preflight.model import NAMES as MODEL_NAMES
from empathy_core.training.preflight.pair_model import PAIR_MODEL_NAMES
from empathy_core.training.preflight.pairs import PAIR_ROW_NAMES
from empathy_core.training.preflight.rows import ROW_NAMES, check_rows
from empathy_core.training.preflight.view import RowsToCheck
from empathy_core.training.spec import IGNORED, Finding, TrainingRow

__all__ = ["NAMES", "RowsToCheck", "check_rows", "show", "stop", "text", "wrong"]

NAMES: tuple[str, ...] = (*ROW_NAMES, *MODEL_NAMES, *PAIR_ROW_NAMES, *PAIR_MODEL_NAMES)
"""All findings there are; what ``--allow`` and ``allow`` take."""

_HEAD, _AROUND, _TAIL = 6, 8, 6
"""Tokens of a row that are shown: at its start, on both sides of a change of mask, at its end."""


def wrong(findings: Iterable[Finding], allow: Iterable[str]) -> list[Finding]:
    """Return the findings that stop the training.

    Raises:
        UnknownName: A name in *allow* is no finding's.
    """
    allowed = set(allow)
    for name in sorted(allowed.difference(NAMES)):
        raise UnknownName("preflight finding in allow", name, NAMES)
    return [f for f in findings if not f.ok and f.name not in allowed]


def stop(findings: Iterable[Finding], allow: Iterable[str]) -> None:
    """Go on only if nothing is wrong that is not allowed.

    Raises:
        PreflightFailed: Something is; the message has each name, evidence and remedy.
        UnknownName: A name in *allow* is no finding's.
    """
    failed = wrong(findings, allow)
    if failed:
        names = " ".join(f"--allow {f.name}" for f in failed)
        msg = (
            f"the preflight found faults that would spoil the training; expected no finding:\n"
            f"{text(failed)}\n"
            f"correct what is named, or train nevertheless with {names} (the tables note it)"
        )
        raise PreflightFailed(msg)


def text(findings: Iterable[Finding], allow: Iterable[str] = ()) -> str:
    """Return the findings for a terminal, each on a line, with its remedy below if it has one."""
    allowed = set(allow)
    lines = []
    for found in findings:
        verdict = "ok" if found.ok else "allowed" if found.name in allowed else "WRONG"
        lines.append(f"{verdict:<8}{found.name:<24} {found.evidence}")
        if found.remedy:
            lines.append(f"{'':<32} -> {found.remedy}")
    return "\n".join(lines)


# ---------------------------------------------------------------------------- one row


def show(row: TrainingRow, tokenizer: Any) -> str:
    """Return one row for a terminal: a token a line with its label, and what is trained as text.

    A label is shown as its id, and as ``-`` where the loss leaves it out; one that is not the id
    of its position is spelled. The middle of a long row is left out, but not what surrounds the
    beginning of the labels.
    """
    trained = [label for label in row.labels if label != IGNORED]
    cuts = (("question cut", row.prompt_cut), ("answer cut", row.response_cut))
    head = ", ".join(
        [
            f"{row.example}: {len(row.input_ids)} tokens",
            f"{row.n_prompt} of the prompt",
            f"{len(trained)} trained",
            *(name for name, is_cut in cuts if is_cut),
        ]
    )
    ignored = (IGNORED,) * len(row.input_ids)
    if _apart(row):
        lines = ["input", *_table(row.input_ids, ignored, tokenizer)]
        lines += ["labels", *_table(row.labels, row.labels, tokenizer)]
    else:
        lines = _table(row.input_ids, row.labels, tokenizer)
    said = tokenizer.decode(trained, clean_up_tokenization_spaces=False)
    return "\n".join([head, *lines, f"trained text: {said!r}"])


def _apart(row: TrainingRow) -> bool:
    """Tell whether labels are a sequence of their own, as an encoder-decoder's are."""
    same_length = len(row.labels) == len(row.input_ids)
    ends_alike = row.labels[-1:] == row.input_ids[-1:]
    return row.n_prompt == len(row.input_ids) and (not same_length or ends_alike)


def _table(ids: Sequence[int], labels: Sequence[int], tokenizer: Any) -> list[str]:
    """Return a line for each position that is shown: position, id, token, label."""
    tokens = [repr(tokenizer.decode([i], clean_up_tokenization_spaces=False)) for i in ids]
    lines, last = [f"{'position':>8} {'id':>8}  {'token':<18} label"], -1
    for i in _shown(labels):
        if i > last + 1:
            lines.append(f"{'...':>8} {'':>8}  {i - last - 1} tokens not shown")
        label = "-" if labels[i] == IGNORED else str(labels[i])
        if labels[i] not in (ids[i], IGNORED):
            label += f" {tokenizer.decode([labels[i]])!r}"
        lines.append(f"{i:>8} {ids[i]:>8}  {tokens[i]:<18} {label}")
        last = i
    return lines


def _shown(labels: Sequence[int]) -> list[int]:
    """Return the positions that are shown: both ends, and where the mask changes."""
    n = len(labels)
    changes = [i for i in range(1, n) if (labels[i] == IGNORED) != (labels[i - 1] == IGNORED)]
    near = {i for c in changes[:2] for i in range(c - _AROUND, c + _AROUND)}
    ends = {*range(min(_HEAD, n)), *range(max(n - _TAIL, 0), n)}
    return sorted(i for i in near | ends if 0 <= i < n)
