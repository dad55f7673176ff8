"""Questions of the preflight to the labels: whether they are the response, and whether it ends."""

from collections import Counter
from collections.abc import Sequence

from empathy_core.training.preflight.view import Answer, Case, CollatedRow, flat, some
from empathy_core.training.spec import IGNORED

ENDS_SHARE = 0.99
"""Share of uncut rows whose end must be trained."""

_MOSTLY = 0.9  # of a row's labels: the same token may occur twice by chance


def _misplaced(case: Case) -> list[tuple[CollatedRow, int | None]]:
    """Return decoders' rows with a label that is not the id at its position, and their shift."""
    if case.encoder_decoder:
        return []
    wrong = (
        s
        for s in case.seen
        if any(a not in (b, IGNORED) for a, b in zip(s.labels, s.ids, strict=False))
    )
    return [(s, _shift(s)) for s in wrong]


def _shift(seen: CollatedRow) -> int | None:
    """Return by how many positions the ids stand behind their labels; null if by none."""
    for shift in (1, -1):
        hits = [
            label == seen.ids[i + shift]
            for i, label in enumerate(seen.labels)
            if label != IGNORED and 0 <= i + shift < len(seen.ids)
        ]
        if hits and sum(hits) >= _MOSTLY * len(hits):
            return shift
    return None


def labels_shifted(case: Case) -> Answer:
    """Tell whether labels equal the ids one position off."""
    if case.encoder_decoder:
        shifted = [s for s in case.seen if s.trained[:1] == [case.checked.pad]]
        where = "labels begin with the token that the decoder starts with"
    else:
        shifted = [s for s, shift in _misplaced(case) if shift]
        where = "labels equal the ids one position off"
    if not shifted:
        return "no labels equal their ids one position off", ""
    return (
        f"{some(shifted, case)}: {where}",
        "leave the labels where their ids stand: the model shifts them itself",
    )


def labels_misaligned(case: Case) -> Answer:
    """Tell whether labels are other tokens than those at their positions."""
    if case.encoder_decoder:
        echoes = [s for s in case.seen if s.labels == s.ids]
        if echoes:
            return f"{some(echoes, case)}: labels are the question", "label the response"
        return "an encoder-decoder's labels stand by themselves", ""
    wrong = [s for s, shift in _misplaced(case) if shift is None]
    if not wrong:
        return "each label is the id of its position, or one off (labels-shifted)", ""
    first = wrong[0]
    i = next(i for i, label in enumerate(first.labels) if label not in (first.ids[i], IGNORED))
    evidence = (
        f"{some(wrong, case)}, position {i}: the label is {case.token(first.labels[i])}, the id "
        f"there {case.token(first.ids[i])}"
    )
    if list(first.ids) == list(first.asked) and _begin_alike(case, first):
        evidence += (
            "; the input is the question alone and its labels are the response, as in the "
            "paper's first iteration"
        )
    return evidence, (
        "put question and response behind one another in the input, and label each position "
        'with its own id: labels = "response"'
    )


def _begin_alike(case: Case, seen: CollatedRow) -> bool:
    said, meant = case.text(seen.trained), flat(seen.pair.response)
    n = min(len(said), len(meant), 20)
    return n > 0 and said[:n] == meant[:n]


def response_not_trained(case: Case) -> Answer:
    """Tell whether the labels of whole answers, as text, are not the response."""
    wrong = [(s, said) for s in case.uncut if (said := _other_text(case, s)) is not None]
    if not wrong:
        return f"the trained text of {len(case.uncut)} uncut rows is their response", ""
    seen, said = wrong[0]
    meant = flat(seen.pair.response)
    shorter = min(len(said), len(meant))
    at = next((i for i in range(shorter) if said[i] != meant[i]), shorter)
    at = max(at - 15, 0)
    return (
        f"{some([s for s, _ in wrong], case)}: trained is '…{said[at : at + 60]}…', the response "
        f"'…{meant[at : at + 60]}…'",
        "look at a row (preflight shows one): the mask must begin with the response and leave "
        "none of it out",
    )


def _other_text(case: Case, seen: CollatedRow) -> str | None:
    """Return what a row trains if it is not its response; null if it is.

    A thought that the template writes is no part of what is compared. Under ``labels = "all"``
    the response is a part of what is trained. A tokenizer that lacks
    characters, or evens them, gives them back changed: there its own reading of the response is
    expected.
    """
    whole = case.spec.labels == "all"
    said = case.text(seen.trained) if whole else flat(case.said(seen).text)
    if not case.spec.chat:
        said = said.removesuffix(flat(case.spec.prompt.ending)).rstrip()
    meant = flat(seen.pair.response)
    if meant == said or (whole and meant in said):
        return None
    read = _read_back(case, meant)
    if read == said or (whole and read in said):
        return None
    if case.unknown in seen.trained and _letters(said) in (_letters(meant), _letters(read)):
        return None
    return said


def _read_back(case: Case, text: str) -> str:
    """Return *text* as the tokenizer gives it back."""
    ids = case.checked.tokenizer(
        text, add_special_tokens=False, split_special_tokens=True, verbose=False
    )["input_ids"]
    return case.text(ids)


def _letters(text: str) -> str:
    return "".join(c for c in text if c.isalnum())


def labels_all_masked(case: Case) -> Answer:
    """Tell whether a row has no label."""
    masked = [s for s in case.seen if not s.trained]
    if not masked:
        return "each row has a label", ""
    full = [
        s for s in masked
        if s.row.prompt_cut or s.row.response_cut or len(s.ids) >= case.spec.max_tokens
    ]  # fmt: skip
    evidence = f"{some(masked, case)} without any label"
    if not full:
        return evidence, "look at a row (preflight shows one): no position of it is trained"
    return (
        f"{evidence}; {len(full)} of them were cut at max_tokens = {case.spec.max_tokens}, which "
        "took the response",
        "raise max_tokens, or cut the question before the response",
    )


def end_untrained(case: Case) -> Answer:
    """Tell whether whole answers lack a label on their end token."""
    if not case.seen:
        return "no rows", ""
    known = case.ends | case.special
    lacking = [s for s in case.uncut if not s.trained or s.trained[-1] not in known]
    n = len(case.uncut)
    if n and len(lacking) <= (1 - ENDS_SHARE) * n:
        return f"an end token is the last label of {n - len(lacking)} of {n} uncut rows", ""
    if not n:
        return "no row keeps its end: all answers are cut", "raise max_tokens"
    evidence = f"{some(lacking, case, n)}: the last label is no end token"
    masked = [s for s in lacking if _last(s.row.labels) == case.checked.pad]
    if masked:
        return (
            f"{evidence}; pad = end = {case.token(case.checked.pad)}, and the collator masks the "
            f"labels by id: {len(masked)} rows lose their end",
            "mask padding by its position and not by its id",
        )
    return evidence, "put the end token behind each answer, and label it: else answers never stop"


def _last(labels: Sequence[int]) -> int | None:
    return next((label for label in reversed(labels) if label != IGNORED), None)


def end_not_a_stop(case: Case) -> Answer:
    """Tell whether answers are trained to end in what the evaluation does not stop at."""
    known = case.ends | case.special
    ends = Counter(s.trained[-1] for s in case.uncut if s.trained and s.trained[-1] in known)
    stops = ", ".join(f"{case.token(stop)} ({stop})" for stop in case.checked.stops) or "nowhere"
    strange = {end: n for end, n in ends.items() if end not in case.checked.stops}
    if not strange:
        return f"evaluation stops at {stops}", ""
    end, n = max(strange.items(), key=lambda item: item[1])
    return (
        f"{n} of {len(case.uncut)} uncut rows end in {case.token(end)} ({end}); evaluation stops "
        f"at {stops}",
        f"name {end} in eos_token_id of the base's generation_config.json, or train with an end "
        "token that is named there: else answers never stop",
    )
