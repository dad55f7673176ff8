"""What ``annotate refine`` shows to read: replies, and what people gave them. Pure."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from empathy_core.annotation.round_items import ScaleName
from empathy_core.rubrics.spec import Dimension
from jobs.planning.plan import Plan
from jobs.planning.ratings.replies_with_gaps import QuestionWithGaps, RatedReply
from reports.labels import decimal, general

MESSAGE_WORDS, REPLY_WORDS = 60, 90
"""Of each message and reply that is shown; ``--json`` has them whole."""
WIDTH = 96


def gaps_text(
    plan: Plan, scales: Mapping[ScaleName, Dimension], read: Sequence[QuestionWithGaps]
) -> str:
    """Return the questions with the largest gaps, as people read and rated them; empty of none."""
    labels = {c.id: f"{c.model.name}.{c.prompt.name}" for c in plan.conditions}
    known = {f"{rubric}.{name}": of for (rubric, name), of in scales.items()}
    lines: list[str] = []
    for question in read:
        lines += [question.example, *_wrapped(question.message, MESSAGE_WORDS, "  ")]
        for reply in question.replies:
            lines += _reply(reply, labels.get(reply.condition, reply.condition), known)
        lines.append("")
    return "\n".join(lines)


def _reply(reply: RatedReply, label: str, scales: Mapping[str, Dimension]) -> Iterator[str]:
    yield f"  {label}: {'; '.join(_rated(reply, scales))}"
    if reply.text is None:
        yield "    (the run has no such reply any more)"
    elif not reply.text.strip():
        yield "    (an empty reply)"
    else:
        yield from _wrapped(reply.text, REPLY_WORDS, "    ")


def _rated(reply: RatedReply, scales: Mapping[str, Dimension]) -> Iterator[str]:
    """Yield what people gave on each dimension, the end of its scale, and what judges did."""
    for name, values in reply.people.items():
        scale = scales.get(name)
        ends = f" of {general(scale.values[0])} to {general(scale.values[-1])}" if scale else ""
        better = f", {scale.direction} is better" if scale and scale.direction else ""
        judge = f", judges {decimal(reply.judges[name], 2)}" if name in reply.judges else ""
        yield f"{name} {', '.join(map(general, values))}{ends}{better}{judge}"


def _wrapped(text: str, most: int, indent: str) -> list[str]:
    words = text.split()
    shown = " ".join(words[:most]) + (" \N{HORIZONTAL ELLIPSIS}" if len(words) > most else "")
    return textwrap.wrap(shown, WIDTH, initial_indent=indent, subsequent_indent=indent)
