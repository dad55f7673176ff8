"""What a round asked: which items there are, whose, and on which scales. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from empathy_core.annotation.points import plain
from empathy_core.annotation.rounds import Round
from empathy_core.errors import ConfigError
from empathy_core.rubrics.rendering import dimension_digest
from empathy_core.rubrics.spec import Dimension, Rubric

ScaleName = tuple[str, str]
"""Names of a rubric and of one of its dimensions."""

ASKED_OF = "asked_of"
"""Of ``Round.settings``: item → the (rubric, dimension) that it is asked, where not all are."""
SHOWN_ONCE = ("answer", "purposive")
"""Kinds of items of which a rater has one for each answer."""
_OF_KEY = ("item", "rater", "kind", "condition", "example", "sample", "answer_sha256")


@dataclass(frozen=True, slots=True)
class AskedItem:
    """An item of a packet: a row of ``KEY``, and the names of the questions asked of it."""

    item: str
    rater: str
    kind: str
    condition: str
    example: str
    sample: int
    answer_sha256: str
    tier: str
    scales: tuple[ScaleName, ...]

    @property
    def answer(self) -> tuple[str, str, int]:
        """Whose answer it is, to which example, and which sample."""
        return self.condition, self.example, self.sample


class AskedRound:
    """The items and scales of a round, and how they are found by what files call them.

    Attributes:
        name: Of the round.
        raters: Pseudonyms.
        items: Item → what it is.
        scales: (rubric, dimension) → its scale, in the order of the round.
        digests: (rubric, dimension) → digest of the text that was asked.
    """

    def __init__(
        self,
        of: Round,
        key: pl.DataFrame,
        sample: pl.DataFrame,
        scales: Mapping[ScaleName, Dimension],
    ) -> None:
        self.name, self.raters = of.name, of.raters
        self.scales = dict(scales)
        self.digests = {(rubric, name): digest for rubric, name, digest in of.dimensions}
        self.items = {item.item: item for item in self._items(of, key, sample)}
        self._by_plain = _unique((plain(item).casefold(), item) for item in self.items)
        self._by_number = _unique(
            (number, item) for item in self.items if (number := _number(item)) is not None
        )
        self._by_answer = {
            (i.rater, *i.answer): i for i in self.items.values() if i.kind in SHOWN_ONCE
        }
        self._called = self._names()

    def _items(self, of: Round, key: pl.DataFrame, sample: pl.DataFrame) -> Iterator[AskedItem]:
        tier_of = dict(sample.select("example", "tier").iter_rows())
        only = of.settings.get(ASKED_OF, {})  # of some rounds, each item is asked its own
        for row in key.iter_rows(named=True):
            tier = tier_of.get(row["example"]) or ""
            scales = self._at(tier)
            if row["item"] in only:
                chosen = {tuple(name) for name in only[row["item"]]}
                scales = tuple(name for name in scales if name in chosen)
            values = {name: row[name] for name in _OF_KEY}
            yield AskedItem(**values, tier=tier, scales=scales)

    def _at(self, tier: str) -> tuple[ScaleName, ...]:
        """Return the scales that are asked at a crisis tier of the question."""
        return tuple(n for n, of in self.scales.items() if not of.tiers or tier in of.tiers)

    def _names(self) -> dict[str, tuple[ScaleName, ...]]:
        """Return what a column may be called → which scales that means."""
        called: dict[str, dict[ScaleName, None]] = {}
        for (rubric, name), of in self.scales.items():
            for text in (f"{rubric}.{name}", f"{rubric}:{name}", f"{rubric}/{name}",
                         f"{rubric}__{name}", f"{rubric}_{name}", name, of.label):  # fmt: skip
                called.setdefault(plain(text).casefold(), {})[rubric, name] = None
        return {text: tuple(names) for text, names in called.items()}

    def item(self, said: str) -> AskedItem | None:
        """Return the item that a file means, be its name written otherwise; null for none."""
        if said in self.items:
            return self.items[said]
        text = plain(said).casefold()
        found = self._by_plain.get(text)
        if found is None and (number := _number(text)) is not None:  # Excel took it for a number
            found = self._by_number.get(number)
        return self.items[found] if found is not None else None

    def item_of(self, rater: str, answer: tuple[str, str, int]) -> AskedItem | None:
        """Return under which item a rater was shown an answer; null if not at all."""
        return self._by_answer.get((rater, *answer))

    def scale(self, said: str) -> tuple[ScaleName, ...]:
        """Return the scales that a column's name may mean: none, one, or several."""
        return self._called.get(plain(said).casefold(), ())

    def of_rater(self, rater: str) -> list[AskedItem]:
        """Return the items of a rater's packet."""
        return [item for item in self.items.values() if item.rater == rater]


def _unique(pairs: Iterable[tuple[object, str]]) -> dict[object, str]:
    """Return those keys that lead to one name only."""
    found: dict[object, str] = {}
    twice = set()
    for key, name in pairs:
        if found.setdefault(key, name) != name:
            twice.add(key)
    return {key: name for key, name in found.items() if key not in twice}


def _number(text: str) -> float | None:
    """Return the number that a spreadsheet takes an item's name for; null if it leaves it alone.

    A spreadsheet keeps 15 digits, and shows six of a large number.
    """
    if not text[:1].isascii() or not text[:1].isdigit():
        return None
    try:
        return float(f"{float(text.replace(',', '.')):.5e}")
    except (ValueError, OverflowError):
        return None


def scales_of(of: Round, rubrics: Mapping[str, Rubric]) -> dict[ScaleName, Dimension]:
    """Return the scales that a round asked, from its rubrics by name.

    Raises:
        ConfigError: A rubric or a dimension is not there, or its text is not that which was asked.
    """
    found: dict[ScaleName, Dimension] = {}
    for rubric, name, digest in of.dimensions:
        there = {d.name: d for d in rubrics[rubric].dimensions} if rubric in rubrics else {}
        if name not in there:
            msg = (
                f"{of.name} asked for '{name}' of the rubric '{rubric}', which is not there now; "
                "expected the rubrics with which it was exported; restore the rubric's file"
            )
            raise ConfigError(msg)
        if dimension_digest(rubrics[rubric], there[name]) != digest:
            msg = (
                f"the text of '{name}' of the rubric '{rubric}' has changed since {of.name} was "
                "exported; expected the text that the raters read; restore the rubric's file"
            )
            raise ConfigError(msg)
        found[rubric, name] = there[name]
    return found
