"""``[decoding.<name>]``: how tokens are chosen, or how one of several sampled answers is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Annotated

from pydantic import Field

from empathy_core.types import DecodingSettings


@dataclass(frozen=True, kw_only=True)
class DecodingTable(DecodingSettings):
    """``[decoding.<name>]``: how tokens are chosen; with ``of``, how one of n answers is.

    Attributes:
        of: Another decoding with ``samples``: of its answers to a question the best is chosen, as a
            condition of its own (best of n); null: answers are generated.
        n: Among how many of these samples, the first so many; null means all of them.
        chosen_by: Column of a judge or of another metric whose score chooses, named as in
            ``[report] columns``; required with ``of``.
        ties: Seed of the order in which equal scores are taken.
    """

    of: str | None = None
    n: Annotated[int, Field(ge=2)] | None = None
    chosen_by: str | None = None
    ties: int | None = None

    @property
    def chooses(self) -> bool:
        """Whether it chooses among answers rather than generates them."""
        return self.of is not None


def problems(tables: Mapping[str, DecodingTable]) -> Iterator[str]:
    """Yield what is wrong with the decodings themselves, with their path."""
    for name, table in tables.items():
        found = _of_choice(table, tables) if table.chooses else _of_tokens(table)
        yield from (f"decoding.{name}: {problem}" for problem in found)


def _of_tokens(table: DecodingTable) -> Iterator[str]:
    if table.samples > 1 and not table.sample:
        yield f"samples = {table.samples} needs sample = true: greedy answers are equal"
    if table.min_new_tokens > table.max_new_tokens:
        yield "min_new_tokens is greater than max_new_tokens"
    for name in ("n", "chosen_by", "ties"):
        if getattr(table, name) is not None:
            yield (
                f"{name} has no effect without of; expected of, the decoding whose samples are "
                "chosen among; add it, or leave this out"
            )


def _of_choice(table: DecodingTable, tables: Mapping[str, DecodingTable]) -> Iterator[str]:
    usual = DecodingTable()
    for field in fields(DecodingSettings):
        if getattr(table, field.name) != getattr(usual, field.name):
            yield (
                f"{field.name} has no effect, since the answers are those of '{table.of}'; "
                f"expected it under [decoding.{table.of}]; set it there, or leave it out"
            )
    if table.chosen_by is None:
        yield (
            "chosen_by is not given; expected a column of a judge or of another metric; set "
            'chosen_by = "…"'
        )
    source = tables.get(str(table.of))
    if source is None or source.chooses:
        known = ", ".join(n for n, t in tables.items() if t.samples > 1 and not t.chooses)
        what = "chooses itself" if source else "is no decoding of this configuration"
        yield (
            f"of = '{table.of}' {what}; expected one with several samples ({known or 'none has'}); "
            f"define [decoding.{table.of}] with sample = true and samples = 8"
        )
    elif not source.sample or source.samples < 2:
        yield (
            f"of = '{table.of}' gives one answer a question ("
            f"{'samples = 1' if source.sample else 'greedy decoding'}), so that nothing can be "
            f"chosen; expected several; set sample = true and samples = {table.n or 8} under "
            f"[decoding.{table.of}]"
        )
    elif table.n and table.n > source.samples:
        yield (
            f"n = {table.n} is more than the {source.samples} samples of '{table.of}'; expected at "
            f"most so many; set samples = {table.n} under [decoding.{table.of}], or a smaller n"
        )
