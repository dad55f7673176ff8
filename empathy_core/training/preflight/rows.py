"""Fourteen questions to the rows of a fine-tune, before a model is loaded.

Written without the encoder's code, so that its faults show. Each answer is a ``Finding``; all are
given, in the order of ``ROW_NAMES``. Where there are no rows, only ``no-rows`` is wrong.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from empathy_core.training.loop.batches import total_steps
from empathy_core.training.loop.rates import FEWEST_STEPS, full_rate_steps
from empathy_core.training.preflight import labels
from empathy_core.training.preflight.view import Answer, Case, CollatedRow, RowsToCheck, some
from empathy_core.training.spec import IGNORED, Finding


def check_rows(checked: RowsToCheck) -> list[Finding]:
    """Return one finding of each of ``ROW_NAMES``, in that order.

    Side effect: none; *checked* is collated once, in small batches.
    """
    case = Case(checked)
    found = []
    for name, question in _QUESTIONS.items():
        evidence, remedy = question(case)
        found.append(Finding(name, ok=not remedy, evidence=evidence, remedy=remedy))
    return found


def _no_rows(case: Case) -> Answer:
    pairs, rows = case.checked.pairs, case.checked.rows
    names = [pair.example for pair in pairs]
    if not rows:
        return f"{len(pairs)} pairs gave no row", "check sources, split and train_size"
    if [row.example for row in rows] != names:
        lacking = sorted(set(names) - {row.example for row in rows})
        lost = f"without a row: {lacking[0]}" if lacking else "in another order"
        return f"{len(pairs)} pairs gave {len(rows)} rows; {lost}", "make one row for each pair"
    return f"{len(rows)} rows of {len(pairs)} pairs", ""


def _pad_trained(case: Case) -> Answer:
    wrong = [s for s in case.seen if s.n_padding_labels]
    if not wrong:
        return "no label stands on padding", ""
    n = sum(s.n_padding_labels for s in wrong)
    return (
        f"{some(wrong, case)} with labels on padding, {n} in all",
        f"fill the labels of padding with {IGNORED}",
    )


def _pad_masks_labels(case: Case) -> Answer:
    wrong = [s for s in case.seen if _n_lost(s) or s.n_mask_off]
    if not wrong:
        return "batches keep each row's labels", ""
    lost, off = sum(map(_n_lost, wrong)), sum(s.n_mask_off for s in wrong)
    return (
        f"{some(wrong, case)}: batches lost {lost} labels that the rows have, and their attention "
        f"masks are off by {off} tokens; {case.token(case.checked.pad)} pads",
        "mask padding by its position and not by its id",
    )


def _n_lost(seen: CollatedRow) -> int:
    if list(seen.row.labels) == seen.labels:
        return 0
    return sum(label != IGNORED for label in seen.row.labels) - len(seen.trained)


def _pad_stops(case: Case) -> Answer:
    pad = case.checked.pad
    ends = {s.row.labels[-1] for s in case.uncut if s.row.labels}  # a collator may have lost them
    if pad not in case.checked.stops or pad in ends or not case.seen:
        return f"{case.token(pad)} ({pad}) pads; it is no stop, or is the end token itself", ""
    return (
        f"the pad token {case.token(pad)} ({pad}) ends answers, but is not the end that is trained",
        "pad with a token that is not in eos_token_id",
    )


def _special_tokens_doubled(case: Case) -> Answer:
    marker = () if case.encoder_decoder or not case.spec.chat else _turn_marker(case)
    wrong = [(s, what) for s in case.seen if (what := _doubled(case, s, marker))]
    if not wrong:
        return "special tokens stand once", ""
    return (
        f"{some([s for s, _ in wrong], case)}: {wrong[0][1]}",
        "let either the tokenizer or the chat template write special tokens, and one of them once",
    )


def _doubled(case: Case, seen: CollatedRow, marker: Sequence[int]) -> str:
    """Return what is duplicated in a row; empty if nothing is."""
    bos, stops = case.checked.tokenizer.bos_token_id, case.ends
    inside = [] if case.spec.labels == "all" else _inside(case, seen)
    messages = case.spec.prompt.chat(seen.pair.context)
    turns = 1 + sum(message.role == "assistant" for message in messages)
    last = [seen.ids[seen.row.n_prompt - 1]] if 0 < seen.row.n_prompt <= len(seen.ids) else []
    doubled = seen.ids[-2:] if case.encoder_decoder else []
    twos = [two for two in (seen.trained[-2:], doubled) if len(two) == 2 and stops.issuperset(two)]
    if bos is not None and seen.ids[:2] == [bos, bos]:
        return f"{case.token(bos)} begins it twice"
    if twos:
        return f"two end tokens end it ({case.token(twos[0][0])}, {case.token(twos[0][1])})"
    if not case.encoder_decoder and stops.intersection(last):
        return f"the prompt ends in {case.token(last[0])}, before the answer"
    if inside:
        return f"{case.token(inside[0])} stands inside the answer"
    if marker and _count(seen.ids[: seen.row.n_prompt], marker) > turns:
        return "a chat template stands inside a chat template"
    return ""


def _inside(case: Case, seen: CollatedRow) -> list[int]:
    """Return the special tokens inside a row's answer: not those of a thought, nor its opening."""
    said = list(case.said(replace(seen, trained=seen.trained[:-1])).said)
    n = next((i for i, token in enumerate(said) if token not in case.special), len(said))
    opening = said[:n] if list(case.openings)[-n:] == said[:n] else []
    return [token for token in said[len(opening) :] if token in case.special]


def _count(ids: Sequence[int], part: Sequence[int]) -> int:
    n = len(part)
    return sum(
        list(ids[i : i + n]) == list(part) for i, token in enumerate(ids) if token == part[0]
    )


def _turn_marker(case: Case) -> list[int]:
    """Return the ids by which the chat template opens an answer; empty if that cannot be told."""
    from jinja2 import TemplateError

    turns, tokenizer = [{"role": "user", "content": "probe"}], case.checked.tokenizer
    try:
        without, opened = (
            tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=opens)
            for opens in (False, True)
        )
    except (TemplateError, ValueError, TypeError):
        return []
    marker = opened.removeprefix(without).strip() if opened.startswith(without) else ""
    return list(tokenizer(marker, add_special_tokens=False)["input_ids"]) if marker else []


def _template_differs(case: Case) -> Answer:
    whole = [s for s in case.seen if not s.row.prompt_cut]
    wrong = [s for s in whole if s.ids[: s.row.n_prompt] != list(s.asked)]
    if not wrong:
        return f"{len(whole)} uncut prompts have the evaluation's ids", ""
    first = wrong[0]
    ours = first.ids[: first.row.n_prompt]
    pairs = enumerate(zip(ours, first.asked, strict=False))
    at = next((i for i, (a, b) in pairs if a != b), min(len(ours), len(first.asked)))
    there = [case.token(ids[at]) if at < len(ids) else "its end" for ids in (ours, first.asked)]
    return (
        f"{some(wrong, case, len(whole))}, position {at}: training has {there[0]}, evaluation "
        f"{there[1]} ({len(ours)} and {len(first.asked)} tokens)",
        "train under the prompt and chat template that the evaluation uses",
    )


def _truncated(case: Case) -> Answer:
    questions = sum(s.row.prompt_cut for s in case.seen)
    answers = sum(s.row.response_cut for s in case.seen)
    cut = [s for s in case.seen if s.row.prompt_cut or s.row.response_cut]
    n, limit = len(case.seen), case.spec.max_cut_share
    evidence = (
        f"{len(cut)} of {n} rows are cut ({questions} questions, {answers} answers) under "
        f"max_tokens = {case.spec.max_tokens} and the base's window; allowed are {limit:.0%}"
    )
    if len(cut) <= limit * n:
        return evidence, ""
    return f"{evidence}; e.g. {cut[0].name}, of {len(cut[0].ids)} tokens", (
        "raise max_tokens (or take a base with a larger window), or max_cut_share"
    )


def _few_steps(case: Case) -> Answer:
    spec, n = case.spec, len(case.checked.rows)
    if not n:
        return "no rows", ""
    n_steps = total_steps(spec, math.ceil(n / spec.batch_size))
    full = full_rate_steps(spec, n_steps)
    evidence = (
        f"{n} rows in batches of {spec.batch_size} are {n_steps} steps, whose learning rates are "
        f"those of {full:.1f} steps at the full rate; expected at least {FEWEST_STEPS:g}"
    )
    if full >= FEWEST_STEPS:
        return evidence, ""
    raises = "raise max_steps, or " if spec.max_steps == n_steps else ""
    return evidence, f"{raises}take more epochs or a smaller batch_size: so few steps teach nothing"


_QUESTIONS: dict[str, Callable[[Case], Answer]] = {
    "no-rows": _no_rows,
    "labels-shifted": labels.labels_shifted,
    "labels-misaligned": labels.labels_misaligned,
    "response-not-trained": labels.response_not_trained,
    "labels-all-masked": labels.labels_all_masked,
    "end-untrained": labels.end_untrained,
    "end-not-a-stop": labels.end_not_a_stop,
    "pad-trained": _pad_trained,
    "pad-masks-labels": _pad_masks_labels,
    "pad-stops": _pad_stops,
    "special-tokens-doubled": _special_tokens_doubled,
    "template-differs": _template_differs,
    "truncated": _truncated,
    "few-steps": _few_steps,
}

ROW_NAMES = tuple(_QUESTIONS)
