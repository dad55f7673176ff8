"""What ``diagnose`` found → text for a terminal, and a page. All strings are decided here."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

from empathy_core.diagnosis import (
    Answered,
    Cause,
    Diagnosis,
    Facts,
    Observation,
    Reference,
    Step,
    Token,
)
from empathy_core.diagnosis import shown_probability as _p
from reports.labels import count, decimal
from reports.page import html

WIDTH = 116
TOKEN_WIDTH = 14
IDS_SHOWN = 8
QUESTION_CHARACTERS = 200
TEXT_CHARACTERS = 240


@dataclass(frozen=True, slots=True)
class Shown:
    """How much is shown, and what the rows were picked from.

    Attributes:
        n_answers: All answers of the condition.
        faults: Fault → answers that show it.
        n_steps: Steps of each row.
        n_top: Most probable tokens of each step.
    """

    n_answers: int
    faults: Mapping[str, int]
    n_steps: int
    n_top: int


def chosen(row: Observation, facts: Facts, n: int) -> list[Step]:
    """Return *n* steps worth showing, in order: the first, and those where something happens.

    That is where stored and re-run part, where the end is most probable, and the last one.
    """
    steps = row.steps
    if len(steps) <= n:
        return list(steps)
    at = row.difference
    likeliest = max(steps, key=lambda step: facts.end(step).probability)
    notable = [steps[at].number] if at is not None and at < len(steps) else []
    notable += [steps[-1].number, likeliest.number]
    numbers = list(dict.fromkeys(notable))[: max(n - 1, 1)]
    rest = (s.number for s in steps if s.number not in numbers)
    numbers += [number for number, _ in zip(rest, range(n - len(numbers)), strict=False)]
    return [s for s in steps if s.number in numbers]


# ---------------------------------------------------------------------------- words of both

FAULT_WORDS = {
    "empty": "empty", "special_tokens": "special tokens", "echo": "echo", "noise": "noise",
    "repetition": "repetition", "cut_short": "at the token limit",
}  # fmt: skip
"""Columns of the metric ``diagnostics``, in words."""


def _token(text: str) -> str:
    shown = repr(text)
    return shown if len(shown) <= TOKEN_WIDTH else f"{shown[: TOKEN_WIDTH - 2]}…'"


def _cut(text: str, n: int) -> str:
    return text if len(text) <= n else f"{text[: n - 1]}…"


def _ids(tokens: Sequence[str], ids: Sequence[int]) -> str:
    """Return ids with their tokens: all of a few, else the first ones and the last ones."""
    pairs = [f"{i} {_token(t)}" for i, t in zip(ids, tokens, strict=True)]
    if len(pairs) > 2 * IDS_SHOWN:
        pairs = [*pairs[:IDS_SHOWN], f"… {len(pairs) - IDS_SHOWN - 3} more …", *pairs[-3:]]
    return ", ".join(pairs)


def _summary(found: Diagnosis, shown: Shown) -> list[tuple[str, str]]:
    """Return what holds for all rows, as pairs of a name and words."""
    facts = found.facts
    faults = ", ".join(f"{n} {FAULT_WORDS[name]}" for name, n in shown.faults.items() if n)
    stops = ", ".join(
        f"{s.text!r} ({s.id}): {s.kind}"
        + ("" if s.listed else ", NOT in the stop list")
        + ("" if s.proper else ", NOT an end token of the model")
        for s in facts.stops
    )
    causes = ", ".join(f"{name} ({n} of {len(found.rows)} rows)" for name, n in found.counts)
    lines = [
        ("causes", causes),
        ("answers", f"{shown.n_answers}; {faults or 'none has a fault: the first rows are shown'}"),
        ("generation stops at", stops or "nothing: the model names no end token"),
    ]
    if after := found.end_after:
        words = (
            f"P {_p(after.probability)} after {after.n} whole reference answers (geometric mean; "
            f"median rank {decimal(after.rank, 0)} of {count(facts.vocabulary)})"
        )
        lines.append(("end of answer", words))
    return lines


def _remedies(found: Diagnosis) -> list[tuple[str, str]]:
    """Return cause and what to do, each once, the cause that fits most rows first."""
    order = [name for name, _ in found.counts]
    told = {(c.name, c.remedy) for _, causes in found.rows for c in causes if c.remedy}
    return sorted(told, key=lambda pair: (order.index(pair[0]), pair[1]))


def _equal_ids(row: Observation) -> str:
    at = row.difference
    same = "the stored ids again" if at is None else f"other ids from token {at + 1} on"
    return f"{same}; {_length(row.rerun)}"


def _decodes(row: Observation) -> str:
    stored = row.stored
    same = "the stored text" if stored.visible == stored.text else "NOT the stored text"
    return f"{same}, then {stored.tokens[-1]!r}" if _ended(row) else same


def _ended(row: Observation) -> bool:
    """Tell whether special tokens add nothing but the one that ends the answer."""
    stored = row.stored
    return bool(stored.tokens) and stored.whole == stored.visible + stored.tokens[-1]


def _length(answer: Answered) -> str:
    n = len(answer.ids)
    return f"{answer.stop} after {n} token{'' if n == 1 else 's'}"


def _head(row: Observation) -> str:
    faults = ", ".join(FAULT_WORDS[name] for name in row.faults) or "no fault"
    sample = f", sample {row.sample}" if row.sample else ""
    return f"{row.example}{sample}: {faults}"


def _ends(reference: Reference) -> str:
    ends = (f"{t.text!r} P {_p(t.probability)} #{t.rank}" for t in reference.step.ends)
    return f"after its {reference.n_tokens} tokens: {', '.join(ends)}"


# ---------------------------------------------------------------------------- terminal


def text(found: Diagnosis, shown: Shown) -> str:
    """Return everything for a terminal of about 120 columns."""
    lines = [found.facts.condition.id]
    for name, words in _summary(found, shown):
        lines += _named(name, words, 20)
    references = {r.example: r for r in found.facts.references}
    for row, causes in found.rows:
        lines += ["", *_row(row, causes, references.get(row.example), found.facts, shown)]
    if remedies := _remedies(found):
        lines += ["", "--- what to do ".ljust(WIDTH, "-")]
        for name, words in remedies:
            lines += _named(name, words, 20)
    return "\n".join(lines)


def _named(name: str, words: str, indent: int = 12) -> list[str]:
    return wrap(
        words,
        WIDTH,
        initial_indent=f"  {name}".ljust(indent + 2),
        subsequent_indent=" " * (indent + 2),
        break_on_hyphens=False,
        replace_whitespace=False,
    )


def _row(
    row: Observation,
    causes: Sequence[Cause],
    reference: Reference | None,
    facts: Facts,
    shown: Shown,
) -> list[str]:
    stored = row.stored
    lines = [
        f"--- {_head(row)} ".ljust(WIDTH, "-"),
        *_named("question", _cut(row.question, QUESTION_CHARACTERS)),
        *_named("stored", _length(stored)),
        *_named("text", _cut(repr(stored.text), TEXT_CHARACTERS)),
        *_named("ids", _ids(stored.tokens, stored.ids)),
        *_named("decode to", _decodes(row)),
    ]
    if not _ended(row) and stored.whole != stored.text:
        lines += _named("all tokens", _cut(repr(stored.whole), TEXT_CHARACTERS))
    elif stored.visible != stored.text:
        lines += _named("", _cut(repr(stored.visible), TEXT_CHARACTERS))
    lines += [
        *_named("prompt", f"{row.n_prompt_tokens} tokens … {' '.join(map(repr, row.prompt_tail))}"),
        *_named("re-run", _equal_ids(row)),
    ]
    if row.difference is not None:
        lines += _named("", _cut(repr(row.rerun.whole), TEXT_CHARACTERS))
    lines += _steps(row, facts, shown)
    if reference:
        lines += _named("reference", _ends(reference))
    for cause in causes:
        lines += _cause(cause)
    return lines


def _cause(cause: Cause) -> Iterator[str]:
    yield from wrap(f"  => {cause.name}: {cause.evidence}", WIDTH, subsequent_indent=" " * 5)
    if cause.quote:
        yield from wrap(f"     {cause.quote!r}", WIDTH, subsequent_indent=" " * 5)


def _steps(row: Observation, facts: Facts, shown: Shown) -> list[str]:
    heads = ["step", "taken", "P", "rank", "entropy", *(s.text for s in facts.stops)]
    grid = [[*heads, "most probable"]]
    before = 0
    for step in chosen(row, facts, shown.n_steps):
        gap = "" if step.number == before + 1 else "… "
        before = step.number
        number, *cells = _cells(step)
        grid.append([f"{gap}{number}", *cells, _tops(step, shown.n_top)])
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    left = {1, len(heads)}
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in grid
    ]


def _cells(step: Step) -> list[str]:
    taken = step.taken
    return [
        str(step.number),
        _token(taken.text) if taken else "",
        _p(taken.probability) if taken else "",
        f"#{taken.rank}" if taken else "",
        decimal(step.entropy, 2),
        *(f"{_p(t.probability)} #{t.rank}" for t in step.ends),
    ]


def _tops(step: Step, n: int) -> str:
    tops = "  ".join(f"{_token(t.text)} {_p(t.probability)}" for t in step.top[:n])
    if step.stored is None:
        return tops
    stored = step.stored
    return f"{tops}  | stored: {_token(stored.text)} {_p(stored.probability)} #{stored.rank}"


# ---------------------------------------------------------------------------- page


def page(found: Diagnosis, shown: Shown, withheld: Collection[str]) -> str:
    """Return the self-contained page.

    Args:
        found: What was found.
        shown: How much of it is shown.
        withheld: Sources whose texts may not be passed on: of their rows the page has numbers
            and ids, but no word of question, answer or prompt.
    """
    facts = found.facts
    references = {r.example: r for r in facts.references}
    return html.diagnosis(
        {
            "title": f"Diagnosis of {facts.condition.id}",
            "stamp": "",
            "summary": _summary(found, shown),
            "remedies": _remedies(found),
            "n_top": shown.n_top + 1,  # and what is stored, where it parts from the re-run
            "stops": [s.text for s in facts.stops],
            "rows": [
                _row_context(row, causes, references.get(row.example), _Words(facts, shown, hidden))
                for row, causes in found.rows
                for hidden in [row.source in withheld]
            ],
        }
    )


@dataclass(frozen=True, slots=True)
class _Words:
    """How the page writes tokens and texts of one row.

    Attributes:
        hidden: Whether nothing may be told but numbers, ids and the names of end tokens.
    """

    facts: Facts
    shown: Shown
    hidden: bool

    def token(self, token: Token) -> str:
        """Return one token."""
        if self.hidden and self.facts.stop(token.id) is None:
            return f"id {token.id}"
        return repr(token.text)

    def text(self, text: str) -> str:
        """Return a text, quoted as Python does: blanks and control characters can be seen."""
        return f"({len(text)} characters, withheld)" if self.hidden else repr(text)

    def ids(self, tokens: Sequence[str], ids: Sequence[int]) -> str:
        """Return ids with their tokens."""
        return ", ".join(map(str, ids)) if self.hidden else _ids(tokens, ids)


def _row_context(
    row: Observation, causes: Sequence[Cause], reference: Reference | None, words: _Words
) -> dict[str, object]:
    question = _cut(row.question, QUESTION_CHARACTERS)
    if words.hidden:
        question = f"(withheld: the licence of {row.source} does not let its texts be passed on)"
    seen = [
        ("stored", _length(row.stored)),
        ("text", words.text(row.stored.text)),
        ("ids", words.ids(row.stored.tokens, row.stored.ids)),
        ("the ids decode to", f"{_decodes(row)}: {words.text(row.stored.visible)}"),
        ("with special tokens", words.text(row.stored.whole)),
        ("prompt", f"{row.n_prompt_tokens} tokens" + _tail(row, words)),
        ("re-run", _equal_ids(row)),
    ]
    if row.difference is not None:
        seen.append(("re-run text", words.text(row.rerun.whole)))
    if reference:
        seen.append(("reference answer", _ends(reference)))
    return {
        "name": _head(row),
        "question": question,
        "seen": seen,
        "steps": [_step_context(s, words) for s in chosen(row, words.facts, words.shown.n_steps)],
        "causes": [
            {"name": c.name, "evidence": c.evidence, "quote": "" if words.hidden else c.quote}
            for c in causes
        ],
    }  # fmt: skip


def _tail(row: Observation, words: _Words) -> str:
    return "" if words.hidden else f" … {' '.join(map(repr, row.prompt_tail))}"


def _step_context(step: Step, words: _Words) -> dict[str, object]:
    number, _, *numbers = _cells(step)
    tops = [f"{words.token(t)} {_p(t.probability)}" for t in step.top[: words.shown.n_top]]
    if step.stored:
        stored = step.stored
        tops.append(f"stored: {words.token(stored)} {_p(stored.probability)} #{stored.rank}")
    return {
        "number": number,
        "taken": words.token(step.taken) if step.taken else "",
        "numbers": numbers,
        "tops": tops,
    }
