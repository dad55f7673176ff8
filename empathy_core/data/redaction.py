"""Personal data of a source's texts replaced by placeholders, and what was replaced counted."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import polars as pl

from empathy_core.conversation import Message
from empathy_core.data.contexts import has_turns
from empathy_core.data.specs import ALL_REFERENCES
from empathy_core.personal.counts import FIELDS
from empathy_core.personal.kinds import KINDS, Kind
from empathy_core.personal.search import FINDERS, redacted

QUESTION, HISTORY, REFERENCE = FIELDS


@lru_cache(maxsize=2_000)  # a turn is in the histories of all answers behind it
def _redacted(text: str, kinds: tuple[Kind, ...]) -> tuple[str, Counter[Kind]]:
    return redacted(text, kinds)


@dataclass
class Redaction:
    """Replaces personal data in clean texts.

    Attributes:
        kinds: That are replaced; of none, every text stays as it is.
        replaced: (Kind, where the text stands) -> how often, over all texts that were given.
    """

    kinds: tuple[Kind, ...] = ()
    replaced: Counter[tuple[Kind, str]] = field(default_factory=Counter)

    def text(self, text: str, where: str) -> str:
        """Return a text with placeholders; *where*: one of ``personal.counts.FIELDS``."""
        if not self.kinds:
            return text
        made, counts = _redacted(text, self.kinds)
        self.replaced.update({(kind, where): n for kind, n in counts.items()})
        return made

    def maybe(self, texts: pl.Expr) -> pl.Expr:
        """Return which texts may not stay as they are."""
        return pl.any_horizontal(
            pl.lit(False), *(FINDERS[kind].maybe(texts) for kind in self.kinds)
        )

    def turns(self, turns: Sequence[Message]) -> tuple[Message, ...]:
        """Return turns with placeholders; the last is the question."""
        places = [HISTORY] * (len(turns) - 1) + [QUESTION]
        return tuple(
            Message(turn.role, self.text(turn.content, where))
            for turn, where in zip(turns, places, strict=True)
        )

    def counts(self) -> dict[str, dict[str, int]]:
        """Return kind -> where -> how often, of the kinds that are looked for."""
        return {
            kind: {where: self.replaced[kind, where] for where in FIELDS}
            for kind in KINDS
            if kind in self.kinds
        }


def texts(examples: pl.DataFrame) -> pl.DataFrame:
    """Return the texts of rows as ``personal.counts.counted`` takes them.

    Args:
        examples: ``store.EXAMPLES``; turns and several references are taken where there are any.
    """
    return pl.concat(_texts(examples)).select("id", "field", "text")


def _texts(examples: pl.DataFrame) -> Iterator[pl.DataFrame]:
    single = examples
    if has_turns(examples):
        single = examples.filter(pl.col("turns").is_null())
        content = pl.col("turns").list.eval(pl.element().struct.field("content"))
        turns = examples.filter(pl.col("turns").is_not_null()).select("id", text=content)
        yield _of(turns.with_columns(pl.col("text").list.last()), QUESTION)
        before = pl.col("text").list.head(pl.col("text").list.len() - 1)
        earlier = turns.with_columns(before).filter(pl.col("text").list.len() > 0)
        yield _of(earlier.explode("text"), HISTORY)
    yield _of(single.select("id", text="context"), QUESTION)
    yield _of(examples.select("id", text="response"), REFERENCE)
    if ALL_REFERENCES in examples.columns:
        several = examples.select("id", text=ALL_REFERENCES).drop_nulls("text")
        yield _of(several.explode("text"), REFERENCE)


def _of(rows: pl.DataFrame, where: str) -> pl.DataFrame:
    return rows.select("id", pl.lit(where).alias("field"), pl.col("text").cast(pl.String))
