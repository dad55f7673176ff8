"""The preflight of preference pairs: what would make a tuning on them teach something else.

Written without the code that makes pairs and rows, so that its faults show.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from empathy_core.data.normal import normalised
from empathy_core.training.loop.batches import total_steps
from empathy_core.training.loop.rates import FEWEST_STEPS, full_rate_steps
from empathy_core.training.preflight.view import Answer
from empathy_core.training.spec import IGNORED, Finding, FinetuneSpec, PreferenceRow, TrainingRow

_ENDS_SHARE = 0.99
_ONE_SIGN, _ENOUGH_PAIRS = 0.95, 10
_REVERSED = 0.5

LEAST_MOVE = 2e-5
"""Learning rate times steps at the full rate, below which nothing is learnt: AdamW moves a weight
by about its rate in a step, so that LoRA's B, which begins at 0, comes no farther than this."""


@dataclass(frozen=True, slots=True)
class PairTexts:
    """One pair before it was tokens."""

    context: str
    chosen: str
    rejected: str


@dataclass(frozen=True)
class PairsToCheck:
    """What is asked.

    Attributes:
        spec: Under which the tuning goes: ``FinetuneSpec.on_pairs``.
        stops: Tokens at which the evaluation ends an answer.
        texts: The pairs that are trained on.
        rows: One for each of them.
        references: Reference answers of the run, which nobody would reject.
    """

    spec: FinetuneSpec
    stops: frozenset[int]
    texts: Sequence[PairTexts]
    rows: Sequence[PreferenceRow]
    references: frozenset[str]


def check_pairs(checked: PairsToCheck) -> list[Finding]:
    """Return one finding of each of ``PAIR_ROW_NAMES``, in that order."""
    found = []
    for name, question in _QUESTIONS.items():
        evidence, remedy = question(checked)
        found.append(Finding(name, ok=not remedy, evidence=evidence, remedy=remedy))
    return found


def _some(wrong: Sequence[PreferenceRow], checked: PairsToCheck) -> str:
    return f"{len(wrong)} of {len(checked.rows)} pairs, e.g. {wrong[0].example}"


def _said(row: TrainingRow) -> tuple[int, ...]:
    return tuple(label for label in row.labels if label != IGNORED)


def _equal(checked: PairsToCheck) -> Answer:
    if not checked.rows:
        return "there is no pair to train on", "see what the audit of the pairs left out, and why"
    wrong = [row for row in checked.rows if _said(row.chosen) == _said(row.rejected)]
    if not wrong:
        return f"the replies of all {len(checked.rows)} pairs differ", ""
    return (
        f"{_some(wrong, checked)}: chosen equals rejected, token by token",
        "name two different columns, leave such pairs out, or raise max_tokens if the replies "
        "differ only where they are cut",
    )


def _prompt(checked: PairsToCheck) -> Answer:
    """Tell whether both replies follow one prompt, of which nothing is trained."""
    wrong = [row for row in checked.rows if not _one_prompt(row)]
    if wrong:
        return (
            f"{_some(wrong, checked)}: the two replies do not follow the same prompt, or labels "
            "stand on it",
            "raise max_tokens, so that the question is cut in neither; leave labels to the replies",
        )
    inside = [
        row for row, text in zip(checked.rows, checked.texts, strict=True)
        if any(_begins(reply, text.context) for reply in (text.chosen, text.rejected))
    ]  # fmt: skip
    if inside:
        return (
            f"{_some(inside, checked)}: the reply begins with the question itself",
            "take the question out of chosen and rejected: many data sets hold whole conversations",
        )
    return "both replies of each pair follow the same prompt, and none holds it", ""


def _one_prompt(row: PreferenceRow) -> bool:
    n = row.chosen.n_prompt
    if n != row.rejected.n_prompt or row.chosen.input_ids[:n] != row.rejected.input_ids[:n]:
        return False
    apart = n == len(row.chosen.input_ids)  # an encoder's: labels are a sequence of their own
    before = () if apart else (*row.chosen.labels[:n], *row.rejected.labels[:n])
    return all(label == IGNORED for label in before)


def _begins(reply: str, context: str) -> bool:
    asked = normalised(context)
    return len(asked) > 20 and normalised(reply).startswith(asked)


def _reversed(checked: PairsToCheck) -> Answer:
    """Tell whether what is rejected are the run's own reference answers."""
    n = len(checked.texts)
    rejected = sum(normalised(text.rejected) in checked.references for text in checked.texts)
    chosen = sum(normalised(text.chosen) in checked.references for text in checked.texts)
    evidence = f"reference answers of the run: {chosen} of {n} chosen, {rejected} of {n} rejected"
    if not n or rejected <= _REVERSED * n or rejected <= chosen:
        return evidence, ""
    return evidence, "the columns are reversed: exchange chosen and rejected"


def _end_untrained(checked: PairsToCheck) -> Answer:
    sides = [(row, side) for row in checked.rows for side in (row.chosen, row.rejected)]
    whole = [(row, side) for row, side in sides if not side.response_cut]
    lacking = [row for row, side in whole if not {*_said(side)[-1:]} & checked.stops]
    if not whole:
        return "no reply keeps its end: all are cut", "raise max_tokens"
    if len(lacking) <= (1 - _ENDS_SHARE) * len(whole):
        return f"an end token is the last label of {len(whole) - len(lacking)} whole replies", ""
    return (
        f"{len(lacking)} of {len(whole)} whole replies, e.g. of {lacking[0].example}, do not end "
        "in a token at which evaluation stops",
        "put the end token behind each reply, and label it: else the tuned model never stops",
    )


def _cut(checked: PairsToCheck) -> Answer:
    n = len(checked.rows)
    chosen = [row for row in checked.rows if row.chosen.response_cut]
    rejected = [row for row in checked.rows if row.rejected.response_cut]
    evidence = f"{len(chosen)} of {n} chosen and {len(rejected)} of {n} rejected replies are cut"
    most = max(len(chosen), len(rejected))
    if most <= checked.spec.max_cut_share * n:
        return evidence, ""
    return (
        f"{evidence} at max_tokens = {checked.spec.max_tokens}",
        "raise max_tokens: a cut reply has no end, and is preferred or rejected for a part of it",
    )


def _one_length(checked: PairsToCheck) -> Answer:
    """Tell whether length alone tells the chosen reply."""
    signs = [len(_said(row.chosen)) - len(_said(row.rejected)) for row in checked.rows]
    longer, shorter = sum(d > 0 for d in signs), sum(d < 0 for d in signs)
    n = len(signs)
    evidence = (
        f"the chosen reply has more tokens in {longer} of {n} pairs, fewer in {shorter}; on "
        f"average {sum(signs) / max(n, 1):+.1f}"
    )
    if n < _ENOUGH_PAIRS or max(longer, shorter) < _ONE_SIGN * n:
        return evidence, ""
    return (
        evidence,
        "the model would learn to write longer or shorter, whatever else differs: matched = true "
        "in the table of the pairs, or pairs of other sources",
    )


def _few_steps(checked: PairsToCheck) -> Answer:
    spec, n = checked.spec, len(checked.rows)
    n_steps = total_steps(spec, -(-n // spec.batch_size))
    full = full_rate_steps(spec, n_steps)
    move = spec.learning_rate * full
    evidence = f"{n_steps} steps, as much as {full:.1f} at the full rate of {spec.learning_rate:g}"
    if full >= FEWEST_STEPS and move >= LEAST_MOVE:
        return evidence, ""
    return (
        f"{evidence}: the loss would stay at log 2, as policy and reference would hardly differ",
        "lower batch_size, or raise epochs or learning_rate of the tuning",
    )


_QUESTIONS: Mapping[str, Callable[[PairsToCheck], Answer]] = {
    "pairs-equal": _equal,
    "pairs-prompt": _prompt,
    "pairs-reversed": _reversed,
    "pairs-end-untrained": _end_untrained,
    "pairs-cut": _cut,
    "pairs-one-length": _one_length,
    "pairs-few-steps": _few_steps,
}

PAIR_ROW_NAMES = tuple(_QUESTIONS)
"""What is asked of pairs before a model is loaded; ``allow`` takes these names too."""
