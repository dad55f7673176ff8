"""The rows of a fine-tune as its prompt writes them are a part of its identity."""

from dataclasses import replace

import polars as pl

from empathy_core import prompts
from empathy_core.conversation import TurnForm
from empathy_core.store import TURNS
from jobs.planning.resolving.finetunes import Data

NONE = prompts.prompt("none")
OTHER = replace(NONE, turns=TurnForm(assistant="Counsellor: {turn}"))


def test_the_form_of_turns_changes_an_adapter_only_where_there_are_turns():
    """Ids of adapters that were trained on single questions stay."""
    plain = Data(pl.DataFrame({"context": ["a"]}), "d" * 16)
    talks = Data(plain.examples.with_columns(turns=pl.lit(None, dtype=TURNS["turns"])), "d" * 16)

    assert plain.under(NONE) == plain.under(OTHER) == "d" * 16
    assert len({talks.under(NONE), talks.under(OTHER), "d" * 16}) == 3
