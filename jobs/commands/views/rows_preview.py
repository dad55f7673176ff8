"""A few rows as a model will get them, and their references, for a person to look at."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from empathy_core.conversation import Context
from empathy_core.data.contexts import contexts_of
from empathy_core.data.splitting import draw_key
from empathy_core.errors import EmpathyError
from empathy_core.prompts.rendering import render, turns
from empathy_core.store import EVALUATED
from empathy_core.types import Condition
from jobs.config.schema import Config, load_prompt

LONGEST = 3_000
"""Characters of a text that are shown: its begin and its end."""


def preview(config: Config, examples: pl.DataFrame, n: int) -> str:
    """Return *n* evaluated rows, drawn, as the first model of a configuration will get them.

    A model that lies in a folder of this machine shows what its tokenizer makes of them; of others
    the roles and texts are shown that their chat templates will get. Nothing is downloaded.

    Args:
        config: What is to be run.
        examples: Its rows.
        n: How many rows are shown, at most; of one context there is one.
    """
    asked = examples.filter(EVALUATED).unique("context", keep="first", maintain_order=True)
    drawn = sorted(asked["id"], key=lambda name: draw_key("preview", 0, name))[:n]
    rows = asked.filter(pl.col("id").is_in(drawn))
    condition = _condition(config)
    if not drawn or condition is None:
        return ""
    who = f"{condition.model.name}, prompt '{condition.prompt.name}'"
    head = f"{len(drawn)} OF {asked.height:,} CONTEXTS, drawn, as {who} gets them"
    shown = _shown(condition, list(zip(rows["id"], contexts_of(rows), strict=True)))
    parts = [
        f"--- {name} ---\n{_cut(text)}\n--- reference of {name} ---\n{_cut(reference)}"
        for name, text, reference in zip(rows["id"], shown, rows["response"], strict=True)
    ]
    return "\n\n".join((head, *parts)) + "\n"


def _condition(config: Config) -> Condition | None:
    """Return the first condition of the configuration; null where nothing is generated."""
    for name, table in config.models.items():
        spec = config.model_spec(name)
        if not spec.is_human and table.prompts and table.decodings:
            decoding = config.decoding_spec(table.decodings[0])
            return Condition(spec, load_prompt(table.prompts[0]), decoding, chat=spec.chat_template)
    return None


def _shown(condition: Condition, asked: Sequence[tuple[str, Context]]) -> Iterator[str]:
    here = condition.model.weights and Path(condition.model.weights).is_dir()
    for pair in asked:
        if here:
            try:
                yield render(condition, [pair], "truncate").first
                continue
            except EmpathyError as error:
                yield f"(cannot be rendered: {error})"
                continue
        said = turns(condition, pair[1])
        yield "\n\n".join(f"[{role}]\n{text}" for role, text in said)


def _cut(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    left = len(text) - 2 * half
    return f"{text[:half]}\n… ({left:,} characters are not shown) …\n{text[-half:]}"
