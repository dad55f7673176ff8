"""Whether the server that answers now is the one that answered before.

Nothing proves which weights a server has loaded. But greedy answers that are there already say how
this model begins them: some are begun again, and compared.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Protocol

from empathy_core import store
from empathy_core.backends import Answer, Request
from empathy_core.errors import Damaged, ModelError
from empathy_core.store import RunDir
from empathy_core.types import Condition

log = logging.getLogger(__name__)

ROWS = 8
"""Finished answers that are begun again."""

LEAST = 4
"""Fewer say too little: one that begins otherwise may be a tie that was decided otherwise."""

TOKENS = 8
"""How far they are begun."""

Row = Mapping[str, Any]
"""A finished answer: the columns of ``store.GENERATIONS``, as journals and pieces hold them."""


class Answers(Protocol):
    """What a backend that runs on a server offers."""

    def answer(self, condition: Condition, requests: Sequence[Request]) -> list[Answer]:
        """Answer all requests."""
        ...


def rows_of_pieces(run: RunDir, condition: str, tags: Mapping[str, str]) -> Iterator[Row]:
    """Yield the answers of a condition in result files that bear all *tags*, a file at a time."""
    for path in store.list_pieces(run.generations(condition)):
        try:
            piece, frame = store.read_piece(path)
        except Damaged:
            continue
        if tags.items() <= piece.tags.items():
            yield from frame.iter_rows(named=True)


def check_first_tokens(
    server: Answers, condition: Condition, finished: Iterable[Row], asked: Callable[[Row], Request]
) -> None:
    """Refuse a server that begins most of the finished answers otherwise than they stand there.

    More than half of at least `LEAST` must differ: batches and hardware decide a near tie one way
    or the other, in few answers. Under sampling, and where there are fewer, nothing is compared. A
    server that renders the prompts itself, whose greedy answers vary more, is only warned of.

    Args:
        server: Ready to answer.
        condition: Under which *finished* were made.
        finished: Answers; the first `ROWS` that hold something count.
        asked: Returns what a row is the answer to.

    Raises:
        ModelError: It does.
    """
    if condition.decoding.sample:
        return
    known = list(islice(filter(_says_something, finished), ROWS))
    if len(known) < LEAST:
        return
    n = min(TOKENS, condition.decoding.max_new_tokens)
    short = replace(
        condition.decoding,
        max_new_tokens=n,
        min_new_tokens=min(n, condition.decoding.min_new_tokens),
    )
    answers = server.answer(replace(condition, decoding=short), [asked(row) for row in known])
    pairs = [
        (row, answer)
        for row, answer in zip(known, answers, strict=True)
        if row["prompt_sha256"] == answer.prompt_sha256 and answer.stop != "filter"
    ]
    unlike = [(row, answer) for row, answer in pairs if not _begins(row, answer, n)]
    n_alike = len(pairs) - len(unlike)
    log.info("%s: %d of %d answers begin as before", condition.id, n_alike, len(pairs))
    if len(pairs) >= LEAST and 2 * len(unlike) > len(pairs):
        msg = _message(condition, len(pairs), unlike)
        if condition.model.rendered_elsewhere:
            log.warning("%s", msg)
            return
        raise ModelError(msg)


def _says_something(row: Row) -> bool:
    return row["stop"] != "filter" and bool(row["output_ids"] or _text(row))


def _text(row: Row) -> str:
    return f"{row['thought']}{row['text']}"


def _begins(row: Row, answer: Answer, n: int) -> bool:
    """Tell whether an answer is the beginning of a finished one: its ids, or else its text."""
    before, now = tuple(row["output_ids"]), tuple(answer.output_ids)
    if before and now:
        return before[:n] == now[:n]
    said = f"{answer.thought}{answer.text}".rstrip("\ufffd")  # a character that was cut
    return "".join(_text(row).split()).startswith("".join(said.split()))


def _message(condition: Condition, n: int, unlike: Sequence[tuple[Row, Answer]]) -> str:
    engine, (row, answer) = condition.model.engine, unlike[0]
    now = f"{answer.thought}{answer.text}"
    return (
        f"engine '{engine.name if engine else ''}': the server begins {len(unlike)} of {n} answers "
        f"of {condition.id} otherwise than they stand there ({row['example']}: {now[:40]!r}, not "
        f"{_text(row)[: max(len(now), 10)][:40]!r}): it runs another model, or another build of "
        "it; expected the one that answered before; look at the weights, dtype and version that "
        "it serves, or begin anew under another --name; what is answered is kept"
    )
