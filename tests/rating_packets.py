"""Small packets for the tests of what raters get: questions of three conditions, some at risk."""

from collections.abc import Sequence
from pathlib import Path

from empathy_core import rubrics
from empathy_core.annotation.asked import AskedDimension, asked_dimensions
from empathy_core.annotation.assignment import rater_names
from empathy_core.annotation.packets import Deal, Packet, RatedAnswer, RatedQuestion, packets
from empathy_core.annotation.page import FirstPage
from empathy_core.rubrics.spec import Rubric
from tests.pages import EVIL
from tests.runs.judged import CARE

CONDITIONS = ("therapist.human-1", "llama-3.prompt1-2", "llama-3.prompt2-3")
HELPLINE = "Samaritans: 116 123"
FIRST = FirstPage(helpline=HELPLINE, consent="Approval 2026-17.", contact="study@example.org")
SECRET = bytes(range(32))


def care(folder: Path) -> Rubric:
    """Return a short rubric of two dimensions, of which one may not apply."""
    path = folder / "care.toml"
    path.write_text(CARE)
    return rubrics.read(path)


def asked(folder: Path) -> list[AskedDimension]:
    """Return what raters are asked on the short rubric."""
    return asked_dimensions([care(folder)])


def questions(n: int, at_risk: Sequence[int] = (), words: int = 12) -> dict[str, RatedQuestion]:
    """Return n questions, those of these numbers at risk; the last answers try to be markup."""
    found = {}
    for i in range(n):
        example = f"sample-{i}"
        answers = tuple(
            RatedAnswer(condition, example, 0, f"{' '.join(['word'] * words)} {i}{place}")
            for place, condition in enumerate(CONDITIONS)
        )
        if i == n - 1:
            answers = (*answers[:-1], RatedAnswer(CONDITIONS[-1], example, 0, EVIL))
        tier = "active" if i in at_risk else "none"
        found[example] = RatedQuestion(example, f"What shall I do about worry {i}?", tier, answers)
    return found


def deal(repeats: float = 0.05, attention: float = 0.05, secret: bytes = SECRET) -> Deal:
    """Return what packets are made of."""
    return Deal("round-001", "d" * 16, secret, repeats, attention)


def made(of: dict[str, RatedQuestion], raters: int = 2, how: Deal | None = None) -> list[Packet]:
    """Return the packets of raters who all rate everything."""
    names = rater_names(raters)
    return packets(of, dict.fromkeys(of, names), names, how or deal())
