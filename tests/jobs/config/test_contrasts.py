"""Which pairs of conditions a declared contrast is the mean over."""

from dataclasses import replace

import pytest

from empathy_core.errors import ConfigError
from empathy_core.types import Condition, Decoding
from jobs.config.contrasts import resolve
from jobs.config.schema import ContrastTable
from tests.runs.by_hand import HUMAN, condition

ONE, OTHER = (condition("echo", "Echo", prompt) for prompt in ("prompt1", "prompt2"))
GPT = condition("gpt", "GPT", "prompt2", decoding=Decoding("asis"))
GPT = replace(GPT, model=replace(GPT.model, backend="answers"))
HOT = condition("hot", "Hot", "prompt2", decoding=Decoding("hot", sample=True))
CONDITIONS = (ONE, OTHER, GPT, HOT, HUMAN)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("echo.prompt2", "gpt.prompt2", [(OTHER, GPT)]),
        ("echo", "gpt", [(OTHER, GPT)]),
        ("echo.prompt1", "gpt.prompt2", [(ONE, GPT)]),
        ("echo.prompt1", "echo.prompt2", [(ONE, OTHER)]),
        (HUMAN.model.name, "echo", [(HUMAN, ONE), (HUMAN, OTHER)]),
    ],
)
def test_pairs(first: str, second: str, expected: list[tuple[Condition, Condition]]):
    """Texts made elsewhere have no decoding to be alike in, and people's no prompt."""
    (found,) = resolve({"a": ContrastTable(first=first, second=second)}, CONDITIONS)

    assert found.pairs == tuple((a.id, b.id) for a, b in expected)


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ("echo", "hot", "never asked with the same .* prompt2 under hot"),
        ("echo.prompt1", "echo.prompt1", "are the same"),
        ("gpt", "gpt", "are the same"),
    ],
)
def test_what_cannot_be_compared_is_told_with_what_was_asked(first: str, second: str, told: str):
    """No sentence names what has been tried already."""
    with pytest.raises(ConfigError, match=told):
        resolve({"a": ContrastTable(first=first, second=second)}, CONDITIONS)
