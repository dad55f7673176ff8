"""What a reader must know of the conversations among a run's rows. Pure over frames."""

from typing import Any

import polars as pl

from empathy_core.data.contexts import has_turns
from empathy_core.data.normal import question_digest

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def turns_audited(examples: pl.DataFrame) -> dict[str, Any]:
    """Return the entry ``turns`` of an audit; nothing where no row is a conversation.

    *examples* are the kept rows.
    """
    if not has_turns(examples):
        return {}
    rows = examples.filter(pl.col("turns").is_not_null())
    words = rows["turns"].explode().struct.field("content").str.count_matches(r"\S+")
    first = rows["turns"].list.first().struct.field("role")
    found = {
        "conversations": rows["conversation"].n_unique(),
        "examples": rows.height,
        "opened_by_assistant": int((first == "assistant").sum()),
        "histories_on_several_sides": _on_several_sides(rows),
        "per_conversation": quantiles(rows["conversation"].value_counts()["count"]),
        "turns": quantiles(rows["turns"].list.len()),
        "words_per_turn": quantiles(words),
    }
    return {"turns": found}


def _on_several_sides(rows: pl.DataFrame) -> int:
    """Return how many distinct histories stand on several sides of the split.

    Conversations are not torn, but two of them may begin alike.
    """
    keys = pl.Series("history", map(question_digest, rows["context"]), dtype=pl.String)
    sides = rows.select("split", history=keys).group_by("history").agg(pl.col("split").n_unique())
    return int((sides["split"] > 1).sum())


def quantiles(values: pl.Series) -> dict[str, float]:
    """Return quantiles of counts, by the nearest value."""
    found = [values.quantile(q, interpolation="nearest") for q in QUANTILES]
    return {f"{q:.0%}": float(value or 0) for q, value in zip(QUANTILES, found, strict=True)}
