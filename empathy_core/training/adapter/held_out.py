"""How often a tuned adapter prefers the chosen reply of pairs that were held out. Pure."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from empathy_core.training.loop.job import Trained
from empathy_core.training.preference.pair_share import pair_share, within


def held_out(trained: Trained, frame: pl.DataFrame | None) -> dict[str, Any]:
    """Return what ``pair_share`` tells of the adapter that was taken; nothing without such pairs.

    A pair is right if the adapter prefers its chosen reply more than the reference does: what DPO
    calls the accuracy of the implicit reward.

    Args:
        trained: A finished tuning; its curve has each held-out pair's margin.
        frame: ``pairs.PAIRS``; null where it was tuned on no pairs.
    """
    points = [p for p in trained.curve if p.margins and p.step == trained.best_step]
    if frame is None or not points:
        return {}
    margins = dict(points[-1].margins or {})
    held = frame.filter(pl.col("id").is_in(list(margins))).select("id", "question").rows()
    right = [0.5 if margins[id_] == 0 else float(margins[id_] > 0) for id_, _ in held]
    return pair_share(right, [question for _, question in held])


def held_out_text(pairs: Mapping[str, Any]) -> str:
    """Return in words what an adapter's record says of its held-out pairs; empty where nothing.

    Args:
        pairs: ``AdapterRecord.pairs``.
    """
    found, known = pairs.get("held_out"), pairs.get("cues", ())
    if not found:
        return ""
    beside = ", and one that sees ".join(f"{of['cue']} alone does in {within(of)}" for of in known)
    return (
        f"Of {found['n']} held-out pairs ({found['n_questions']} questions), it prefers the chosen "
        f"reply more than its reference does in {within(found)}"
        + (f"; a classifier that sees {beside}." if beside else ".")
    )
