"""What the report of a run says of its adapters."""

from dataclasses import replace
from typing import Literal

import pytest

from empathy_core import prompts
from empathy_core.training.spec import FinetuneSpec, Preference
from empathy_core.types import ModelSpec
from jobs.planning.plan import PlannedFinetune
from jobs.stages.report import first_pass_text

BASE = ModelSpec("base", "Base", "hf", "decoder", weights="owner/base")
SPEC = FinetuneSpec("tuned", "Tuned", BASE, prompts.prompt("prompt1"), chat=False, batch_size=4)
ANSWERS = PlannedFinetune("tuned-1", "0" * 64, "tuned", SPEC, "b" * 16, "all", 95)


def on_pairs(method: Literal["dpo", "sft+dpo"]) -> PlannedFinetune:
    """Return the same of pairs."""
    return replace(ANSWERS, spec=replace(SPEC, preference=Preference(method=method, pairs="mine")))


@pytest.mark.parametrize(
    ("made", "step", "said"),
    [
        (ANSWERS, 24, ""),  # the last step of a pass has three rows
        (ANSWERS, 72, ""),
        (ANSWERS, 23, "its weights had not met all of the 95 rows (23 steps of 4)."),
        (on_pairs("dpo"), 1, "its weights had not met all of the 95 pairs (1 step of 4)."),
        (on_pairs("dpo"), 24, ""),
        (on_pairs("sft+dpo"), 1, ""),  # of which of the two the step is, is not known here
    ],
)
def test_rows_that_the_weights_never_met_are_told(made: PlannedFinetune, step: int, said: str):
    """A table says n = 95, and max_steps, or the best checkpoint, came before the 95th."""
    assert first_pass_text(made, step) == said
