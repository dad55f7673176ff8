"""PURE: a rule for each cause, and their thresholds."""

from collections.abc import Sequence
from math import log
from statistics import fmean

from empathy_core.diagnosis.observations import (
    CAUSES,
    Cause,
    Diagnosis,
    Facts,
    Observation,
    Step,
    Token,
    end_after,
    first_difference,
)
from empathy_core.diagnosis.observations import shown_probability as _p
from empathy_core.metrics.diagnostics import echoes, repeats
from empathy_core.visible import nothing_visible

UNTRAINED_P = 1e-4
"""P(end) after a whole answer below which no end was learnt. SmolLM2-135M-Instruct, never trained
on such answers, gives 1e-3 (geometric mean of 24), and 2e-6 to a token that it never saw."""
UNTRAINED_SHARE = 0.1
"""Of 1 / vocabulary, the probability of a token at random: the bound in a small vocabulary."""
UNTRAINED_TUNED_P = 1e-2
"""The same for a fine-tune, which was trained on such answers, each to be followed by an end."""
UNTRAINED_RANK = 10
FLAT_SHARE = 0.5
"""Of log(vocabulary), the entropy of no preference at all. SmolLM2 along a therapist's answers has
0.33, along its own less; word frequencies alone, which is what misaligned labels teach, 0.6."""
NEAR_TIE = {"float32": 1e-3, "bfloat16": 0.5, "float16": 0.1}
"""Difference of log-probabilities that another batch, or another machine, may turn around."""
LOOP_MAX_PERIOD = 32
LOOP_TIMES = 3
LOOP_MIN_TOKENS = 12


def diagnose(rows: Sequence[Observation], facts: Facts) -> Diagnosis:
    """Return the causes of each row, and how many rows each fits."""
    found = tuple((row, causes(row, facts)) for row in rows)
    numbers = {n: sum(n in [c.name for c in cs] for _, cs in found) for n in CAUSES}
    counts = sorted(((n, k) for n, k in numbers.items() if k), key=lambda nk: -nk[1])
    return Diagnosis(facts, found, tuple(counts), end_after(facts))


def causes(row: Observation, facts: Facts) -> tuple[Cause, ...]:
    """Return every cause that fits, the strongest first; at least one."""
    found = [cause for rule in _RULES if (cause := rule(row, facts))]
    if row.stored.stop == "length" and not {c.name for c in found} & _EXPLAIN_LENGTH:
        found.append(_limit(row, facts))
    return tuple(found) or (_none(row),)


# ---------------------------------------------------------------------------- proven by the ids


def _decode_bug(row: Observation, facts: Facts) -> Cause | None:
    stored = row.stored
    if not stored.ids or stored.text == stored.visible:
        return None
    at = first_difference(stored.text, stored.visible)
    return Cause(
        "decode-bug",
        f"the {len(stored.ids)} stored ids decode to {len(stored.visible)} characters, but "
        f"{len(stored.text)} are stored; they part at character {at}",
        "the model has answered, and its text was lost between the ids and the file: look for "
        "code that cuts the prompt off by characters rather than tokens, or decodes with another "
        f"tokenizer; then remove generations/{facts.condition.id} and run sweep again",
        _cut(stored.visible),
    )


def _stop_token_bug(row: Observation, facts: Facts) -> Cause | None:
    ids = row.stored.ids or row.rerun.ids
    last = facts.stop(ids[-1]) if ids else None
    own = ", ".join(f"'{s.text}' ({s.id}, {s.kind})" for s in facts.proper) or "none"
    if last and last.listed and not last.proper:
        return Cause(
            "stop-token-bug",
            f"the answer ends at its token {len(ids)}, '{last.text}' ({last.id}), which is in the "
            f"stop list and is {_KIND[last.kind]}; the model's own ends are {own}",
            f"take {last.id} out of eos_token_id in the model's generation_config.json, and run "
            "sweep again",
        )
    missed = next((s for s in facts.proper if not s.listed and s.id in ids), None)
    if missed:
        return Cause(
            "stop-token-bug",
            f"token {ids.index(missed.id) + 1} of the answer is '{missed.text}' ({missed.id}), by "
            "which the chat template ends a turn, but generation does not stop at it",
            f"add {missed.id} to eos_token_id in the model's generation_config.json, and run sweep "
            "again",
        )
    return _excluded(row, facts)


_KIND = {
    "word": "an ordinary token",
    "pad": "the padding",
    "start": "the token that begins a text",
    "unknown": "the token for what the vocabulary lacks",
}


def _excluded(row: Observation, facts: Facts) -> Cause | None:
    """Return the bug that a setting keeps a greedy answer from ending where the model would."""
    decoding = facts.condition.decoding
    if decoding.sample or not row.faults:
        return None
    for step in row.steps:
        end, taken = facts.end(step), step.taken
        if end.rank > 1 or taken is None or taken.id == end.id:
            continue
        settings = {
            f"min_new_tokens = {decoding.min_new_tokens}": step.number <= decoding.min_new_tokens,
            f"repetition_penalty = {decoding.repetition_penalty}": decoding.repetition_penalty != 1,
            f"no_repeat_ngram_size = {decoding.no_repeat_ngram_size}": (
                decoding.no_repeat_ngram_size > 0
            ),
        }
        if found := next((name for name, on in settings.items() if on), None):
            return Cause(
                "stop-token-bug",
                f"at token {step.number} the end '{end.text}' is the most probable token "
                f"(P {_p(end.probability)}), but {found} keeps it from being taken",
                f"change {found.split(' ')[0]} in the decoding, and run sweep again",
            )
    return None


def _not_reproduced(row: Observation, facts: Facts) -> Cause | None:
    at = row.difference
    if at is None:
        return None
    if row.stored.prompt_sha256 != row.rerun.prompt_sha256:
        return Cause(
            "not-reproduced",
            "the prompt's ids are not those of the stored answer",
            "the prompt, the chat template or the tokenizer was changed since: run sweep again, "
            "which plans the condition anew",
        )
    evidence = f"{len(row.stored.ids)} ids are stored, the re-run has {len(row.rerun.ids)}; "
    if at >= len(row.steps):
        evidence += f"the re-run ends after token {at}, the stored answer goes on"
        return Cause("not-reproduced", evidence, _OTHER_CODE)
    step = row.steps[at]
    evidence += f"they part at token {at + 1}, where the first is {step.margin:.3g} nats before "
    evidence += "the second"
    quote = f"re-run '{step.taken.text}' (P {_p(step.taken.probability)})" if step.taken else ""
    if step.stored:
        evidence += f"; what is stored has rank {step.stored.rank}"
        quote += f", stored '{step.stored.text}' (P {_p(step.stored.probability)})"
    dtype, engine = facts.condition.model.dtype, facts.condition.model.engine
    if engine is not None:
        remedy = (
            f"the re-run is by transformers, and the stored answer by the engine '{engine.name}': "
            "outside float32, and where tokens are drawn, they may part; nothing need be wrong"
        )
    elif step.margin < NEAR_TIE[dtype]:
        remedy = (
            f"a near tie: in {dtype} another batch or machine may choose the other token; "
            "nothing is wrong"
        )
    else:
        remedy = _OTHER_CODE
    return Cause("not-reproduced", evidence, remedy, quote)


_OTHER_CODE = (
    "no near tie: the stored answer was made by other weights, other settings or other code, and "
    "what the steps show is not how it came about; remove the condition's generations and run "
    "sweep again"
)

# ---------------------------------------------------------------------------- shown by the model


def _reasoning_only(row: Observation, facts: Facts) -> Cause | None:
    """Return the cause of an answer that is empty since all of it is reasoning."""
    n, of = row.rerun.n_thought, facts.condition.reasoning
    if of is None or not n or not nothing_visible(row.rerun.visible):
        return None
    how = "the token limit" if row.stored.stop == "length" else "an end token"
    return Cause(
        "reasoning-only",
        f"{n} of its {len(row.rerun.ids)} tokens are reasoning between '{of[0].strip()}' and "
        f"'{of[1].strip()}', nothing of an answer stands behind it, and it ended by {how}",
        "raise max_new_tokens so that reasoning and answer both have room, or switch reasoning "
        "off where the chat template takes an argument for it (template_arguments = "
        "{ enable_thinking = false } in the model's table)",
    )


def _ends_at_once(row: Observation, facts: Facts) -> Cause | None:
    found = None if _reasoning_only(row, facts) else _silent_step(row, facts)
    if found is None:
        return None
    step, end = found
    evidence = (
        f"'{end.text}' ({end.id}) is the model's choice for token {step.number}, before any "
        f"visible one: P {_p(end.probability)}, rank {end.rank}"
    )
    prompt_end = facts.stop(row.prompt_end)
    if prompt_end and facts.condition.model.architecture == "decoder":
        evidence += f"; the prompt itself ends in '{prompt_end.text}'"
    if facts.template_unused:
        evidence += _UNUSED
    return Cause(
        "ends-at-once",
        evidence,
        "is the prompt in the format that the model was trained on (its chat template, the "
        "fine-tune's own prompt)? If so, it was trained to be silent here: look in the training "
        "rows for empty or wholly masked answers, and for an end token after the prompt "
        "(preflight shows a row)",
    )


_UNUSED = "; the tokenizer has a chat template, which this condition does not use"


def _silent_step(row: Observation, facts: Facts) -> tuple[Step, Token] | None:
    """Return where the model ends before a visible token, if it does."""
    if not row.steps:
        return None
    first, last = row.steps[0], row.steps[-1]
    # where sampling passed the end by and the answer is sound, there is nothing to explain
    if facts.end(first).rank == 1 and row.faults:
        return first, facts.end(first)
    own = {s.id for s in facts.proper}
    blank = nothing_visible(row.rerun.visible)
    if blank and last.taken and last.taken.id in own:
        return last, last.taken
    ending = "" if facts.condition.chat else facts.condition.prompt.ending
    if blank and ending and row.rerun.whole.lstrip().startswith(ending) and first.taken:
        return first, first.taken
    return None


def _end_untrained(row: Observation, facts: Facts) -> Cause | None:
    after = end_after(facts)
    if row.stored.stop != "length" or after is None or not facts.proper:
        return None
    tuned = facts.condition.model.adapter is not None
    plain = max(UNTRAINED_P, UNTRAINED_SHARE / facts.vocabulary)
    limit = UNTRAINED_TUNED_P if tuned else plain
    if after.probability >= limit or after.rank < UNTRAINED_RANK:
        return None
    highest = max((facts.end(s).probability for s in row.steps), default=0.0)
    evidence = (
        f"the answer runs to the limit; after {after.n} whole reference answers P(end) is "
        f"{_p(after.probability)} (geometric mean; median rank {after.rank:.0f}), where a trained "
        f"end is near 1 (the bound is {_p(limit)}); in this answer it is at most {_p(highest)}"
    )
    told = [name for name in facts.allowed if name in _PREFLIGHT]
    if told:
        evidence += f"; the fine-tune's preflight had found it, and was told to allow {told[0]}"
    return Cause(
        "end-untrained",
        evidence,
        "train with an end token after each answer that is a label and not masked: masking by the "
        "id of the padding masks the end too where both are one token; preflight tells",
    )


_PREFLIGHT = ("end-untrained", "pad-masks-labels")
"""What the preflight of a fine-tune calls the same fault in its rows."""


def _flat(row: Observation, facts: Facts) -> Cause | None:
    if not row.steps:
        return None
    entropy, most = fmean(s.entropy for s in row.steps), log(facts.vocabulary)
    if entropy < FLAT_SHARE * most:
        return None
    top = fmean(s.top[0].probability for s in row.steps)
    return Cause(
        "flat-distribution",
        f"the mean entropy is {entropy:.2f} nats, {entropy / most:.0%} of log(vocabulary) = "
        f"{most:.2f}; the most probable token has P {_p(top)} on average",
        "the model has almost no preference: the weights are untrained or broken (an "
        "initialised layer, a wrong quantisation), or the labels were not aligned with the input "
        "in training; run preflight, and diagnose the base beside it",
    )


def _loops(row: Observation, facts: Facts) -> Cause | None:  # noqa: ARG001  as every rule
    stored = row.stored
    loop = repeating_tail(stored.ids)
    if loop is None:
        if not repeats(stored.text):
            return None
        return Cause("loops", "the text repeats itself, though not token by token", _CALM)
    start, period = loop
    times = (len(stored.ids) - start) // period
    evidence = f"from token {start + 1} on the same {period} tokens occur {times} times"
    if row.difference is None:
        sure = fmean(s.taken.probability for s in row.steps[start:] if s.taken)
        evidence += f", taken with a mean probability of {_p(sure)}"
    return Cause("loops", evidence, _CALM, _cut("".join(stored.tokens[start : start + period])))


_CALM = (
    "greedy decoding of a small or overfitted model: try repetition_penalty or sampling, fewer "
    "epochs, or a larger model"
)


def repeating_tail(ids: Sequence[int]) -> tuple[int, int] | None:
    """Return start and period of the repetition that *ids* end in; null if they end in none.

    It stands at least 3 times and takes at least 12 tokens; periods are of up to 32 tokens.
    """
    for period in range(1, LOOP_MAX_PERIOD + 1):
        start = len(ids) - period
        while start > 0 and ids[start - 1] == ids[start - 1 + period]:
            start -= 1
        if len(ids) - start >= max(LOOP_TIMES * period, LOOP_MIN_TOKENS):
            return start, period
    return None


# ---------------------------------------------------------------------------- seen in the text


def _echoes(row: Observation, facts: Facts) -> Cause | None:
    if not echoes(row.stored.text, row.prompt, row.question):
        return None
    return Cause(
        "echoes",
        "most of the question stands in the answer, or the answer consists of the prompt's words"
        + (_UNUSED if facts.template_unused else ""),
        "a model that continues texts rather than answers: use its instruction-tuned form and its "
        "chat template; of a fine-tune, whether its prompt is the one it was trained on, and "
        "whether the loss was taken on the prompt too",
    )


def _limit(row: Observation, facts: Facts) -> Cause:
    after = end_after(facts)
    evidence = f"cut at max_new_tokens = {facts.condition.decoding.max_new_tokens}"
    if after:
        evidence += (
            f"; after {after.n} whole reference answers P(end) is {_p(after.probability)} "
            f"(geometric mean; median rank {after.rank:.0f})"
        )
    highest = max(row.steps, key=lambda s: facts.end(s).probability, default=None)
    if highest:
        evidence += f"; highest in this answer: {_p(facts.end(highest).probability)}"
        evidence += f" at token {highest.number}"
    return Cause("limit", evidence, "raise max_new_tokens if answers are to be whole")


def _none(row: Observation) -> Cause:
    if row.faults:
        faults = ", ".join(row.faults)
        return Cause("none", f"the answer shows {faults}, and no known cause fits: read the steps")
    return Cause("none", "nothing is wrong with this answer")


def _cut(text: str) -> str:
    return text if len(text) <= 160 else f"{text[:159]}…"


_EXPLAIN_LENGTH = {
    "stop-token-bug",
    "reasoning-only",
    "end-untrained",
    "flat-distribution",
    "loops",
}
_RULES = (
    _decode_bug, _stop_token_bug, _not_reproduced, _reasoning_only, _ends_at_once, _end_untrained,
    _flat, _loops, _echoes,
)  # fmt: skip
"""In order of ``CAUSES``."""
