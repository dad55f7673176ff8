"""What each rater is shown: whose answers, in which order, under which names. Pure.

A page is a question with the answers of all compared conditions. Orders and names are made with
the round's secret: without it nobody can tell which condition wrote an answer, nor that two
raters, or one at two places, are shown the same.
"""

import hashlib
import hmac
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from empathy_core.annotation.asked import AskedDimension
from empathy_core.annotation.assignment import Teams
from empathy_core.annotation.frames import KEY
from empathy_core.crisis.screen import NONE

ItemKind = Literal["answer", "repeat", "attention", "purposive"]


@dataclass(frozen=True, slots=True)
class RatedAnswer:
    """An answer that people are shown.

    Attributes:
        condition: Id of who wrote it.
        example: Whose question it answers.
        sample: Number of the answer.
        text: As it stands in the run.
    """

    condition: str
    example: str
    sample: int
    text: str


@dataclass(frozen=True, slots=True)
class RatedQuestion:
    """A drawn question with its answers.

    Attributes:
        example: Its id.
        context: The person's message.
        tier: Its crisis tier; empty where there are none.
        answers: One of each compared condition that has answered it.
    """

    example: str
    context: str
    tier: str
    answers: tuple[RatedAnswer, ...]

    @property
    def at_risk(self) -> bool:
        """Whether the person may be at risk of suicide."""
        return self.tier not in ("", NONE)


@dataclass(frozen=True, slots=True)
class PacketItem:
    """One answer of a packet.

    Attributes:
        id: What the packet calls it.
        kind: Of ``KEY``.
        answer: What is shown.
        of: As in ``KEY``.
    """

    id: str
    kind: ItemKind
    answer: RatedAnswer
    of: str = ""


@dataclass(frozen=True, slots=True)
class PacketPage:
    """A question, and the answers shown below it, in their order.

    Attributes:
        question: The person's message.
        items: What is rated.
        only: (rubric, dimension) of what is asked of them; null means all that is asked at the
            question's level of risk.
    """

    question: RatedQuestion
    items: tuple[PacketItem, ...]
    only: frozenset[tuple[str, str]] | None = None

    def asks(self, one: AskedDimension) -> bool:
        """Tell whether a dimension is asked of its answers."""
        chosen = self.only is None or (one.rubric.name, one.dimension.name) in self.only
        return chosen and one.is_asked_at(self.question.tier)


@dataclass(frozen=True, slots=True)
class Packet:
    """All that one rater gets.

    Attributes:
        id: Names it in what comes back; another for every rater and round.
        rater: Pseudonym.
        pages: In their order.
    """

    id: str
    rater: str
    pages: tuple[PacketPage, ...]

    @property
    def n_items(self) -> int:
        """Answers to be rated."""
        return sum(len(page.items) for page in self.pages)

    def n_of(self, kind: ItemKind) -> int:
        """Return how many answers of one kind there are."""
        return sum(item.kind == kind for page in self.pages for item in page.items)

    @property
    def n_at_risk(self) -> int:
        """Of these, answers to people who may be at risk of suicide."""
        return sum(len(page.items) for page in self.pages if page.question.at_risk)


@dataclass(frozen=True, slots=True)
class Deal:
    """What packets of a round are made of.

    Attributes:
        round: Name of the round.
        data: Digest of the run's rows.
        secret: Key of orders and names, 32 bytes.
        repeats: Share of a rater's answers that come twice; one at least.
        attention: Share of a rater's answers that belong to another question.
        purposive: Examples that were not drawn but added because of their ratings.
        foreign: Answers to questions that nobody is shown, for attention; where there are too few,
            those to other questions of the round do.
    """

    round: str
    data: str
    secret: bytes
    repeats: float
    attention: float
    foreign: tuple[RatedAnswer, ...] = ()
    purposive: frozenset[str] = frozenset()

    def code(self, *words: object) -> str:
        """Return the keyed hash of *words*: 16 hexadecimal digits."""
        text = "\x1f".join(map(str, (self.round, self.data, *words)))
        return hmac.new(self.secret, text.encode(), hashlib.sha256).hexdigest()[:16]

    def rng(self, rater: str) -> random.Random:
        """Return what orders a rater's packet."""
        return random.Random(self.code("order", rater))  # noqa: S311  its seed is keyed

    def item(
        self, rater: str, kind: ItemKind, answer: RatedAnswer, shown: str, of: str = ""
    ) -> PacketItem:
        """Return an answer under its name for *rater*; *shown*: the example it stands below."""
        words = (rater, kind, answer.condition, shown, answer.sample, of)
        return PacketItem(self.code("item", *words), kind, answer, of)


def packets(
    questions: Mapping[str, RatedQuestion], teams: Teams, raters: Sequence[str], deal: Deal
) -> list[Packet]:
    """Return the packet of each rater.

    Args:
        questions: Example → what was drawn.
        teams: Example → who rates it.
        raters: All of them.
        deal: What else they are made of.
    """
    return [
        _packet([questions[example] for example, team in teams.items() if rater in team],
                tuple(questions.values()), rater, deal)
        for rater in raters
    ]  # fmt: skip


def _packet(
    mine: Sequence[RatedQuestion], every: Sequence[RatedQuestion], rater: str, deal: Deal
) -> Packet:
    rng = deal.rng(rater)
    pages = [_page(question, rater, deal, rng) for question in mine]
    rng.shuffle(pages)
    n = sum(len(page.items) for page in pages)
    again = _repeated(pages, max(1, round(deal.repeats * n)), rater, deal, rng)
    pages = _with_attention(pages, every, round(deal.attention * n), rater, deal, rng)
    for at, page in sorted(again, key=lambda entry: entry[0], reverse=True):
        pages.insert(at, page)
    return Packet(deal.code("packet", rater), rater, tuple(pages))


def _page(question: RatedQuestion, rater: str, deal: Deal, rng: random.Random) -> PacketPage:
    kind: ItemKind = "purposive" if question.example in deal.purposive else "answer"
    items = [deal.item(rater, kind, answer, question.example) for answer in question.answers]
    rng.shuffle(items)
    return PacketPage(question, tuple(items))


def _repeated(
    pages: Sequence[PacketPage], n: int, rater: str, deal: Deal, rng: random.Random
) -> list[tuple[int, PacketPage]]:
    """Return pages that show n answers a second time, each with the place where it goes.

    They are of questions in the first half and come in the second, a third of the packet later at
    least; never of a message about suicide.
    """
    half = (len(pages) + 1) // 2
    early = [i for i in range(half) if not pages[i].question.at_risk]
    found: list[tuple[int, PacketPage]] = []
    for i in rng.sample(early, len(early)):
        left = n - sum(len(page.items) for _, page in found)
        earliest = max(half, i + len(pages) // 3 + 1)
        if left <= 0 or earliest > len(pages) or len(pages) < 2:
            break
        question = pages[i].question
        chosen = rng.sample(pages[i].items, min(left, len(pages[i].items)))
        items = (
            deal.item(rater, "repeat", item.answer, question.example, item.id) for item in chosen
        )
        found.append((rng.randint(earliest, len(pages)), PacketPage(question, tuple(items))))
    return found


def _with_attention(
    pages: Sequence[PacketPage], every: Sequence[RatedQuestion], n: int, rater: str, deal: Deal,
    rng: random.Random,
) -> list[PacketPage]:  # fmt: skip
    """Return the pages with n answers that belong to other questions among the others.

    Neither question is about suicide, since a reply beside the point would be no trick there.
    """
    found = list(pages)
    places = [i for i, page in enumerate(pages) if not page.question.at_risk]
    own = {page.question.example for page in pages}
    ours = [a for q in every if not q.at_risk for a in q.answers]
    for i in rng.sample(places, min(n, len(places))):
        question = found[i].question
        pool = list(deal.foreign) or [a for a in ours if a.example not in own] or [
            a for a in ours if a.example != question.example
        ]  # fmt: skip
        if not pool:
            break
        answer = rng.choice(pool)
        item = deal.item(rater, "attention", answer, question.example, answer.example)
        items = [*found[i].items]
        items.insert(rng.randint(0, len(items)), item)
        found[i] = PacketPage(question, tuple(items))
    return found


def key(made: Sequence[Packet]) -> pl.DataFrame:
    """Return what every item of every packet is (``KEY``)."""
    rows = [
        (
            item.id, packet.rater, page_no, place, item.kind, item.answer.condition,
            page.question.example, item.answer.sample, item.of, text_digest(item.answer.text),
        )
        for packet in made
        for page_no, page in enumerate(packet.pages)
        for place, item in enumerate(page.items)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=KEY, orient="row")


def text_digest(text: str) -> str:
    """Return the SHA-256 of a text that was shown, UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()
