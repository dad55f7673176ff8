"""Hand-made runs with adapters: a base, two sizes, two seeds, and one that mostly says nothing."""

import math
from dataclasses import replace
from typing import Any

from empathy_core import metrics
from empathy_core.types import Condition
from reports.spec import Comparison, CurvePoint, ReportSpec
from tests.runs.by_hand import condition, spec

LLAMA = "LLaMA 3.1 8B Instruct"


def quantized(name: str, label: str, prompt: str = "prompt2") -> Condition:
    """Return a condition in nf4 that bears the base's name in the published tables."""
    found = condition(name, label, prompt, LLAMA)
    return replace(found, model=replace(found.model, quantization="nf4"))


FULL = condition("llama", LLAMA, "prompt2", LLAMA)
BASE = quantized("llama_nf4", f"{LLAMA} (4-bit)")
SMALL0 = quantized("llama-n525-s0", "LLaMA fine-tuned, n = 525, seed 0")
SMALL1 = quantized("llama-n525-s1", "LLaMA fine-tuned, n = 525, seed 1")
LARGE = quantized("llama-n4719-s0", "LLaMA fine-tuned, n = 4,719, seed 0")
CONDITIONS = (FULL, BASE, SMALL0, SMALL1, LARGE)


def curve(train_size: int, floor: float) -> tuple[CurvePoint, ...]:
    """Return a loss that falls, and a validation loss that rises again at the end."""
    n_steps = 3 * train_size // 16
    every = max(1, n_steps // 30)
    points = [
        CurvePoint(step, 16 * step / train_size, floor + 1.2 * math.exp(-4 * step / n_steps)
                   + 0.03 * math.sin(step), None)
        for step in range(every, n_steps, every)
    ]  # fmt: skip
    validated = [
        CurvePoint(n_steps * i // 3, float(i), None, floor + 0.25 + 0.1 * (i - 2) ** 2)
        for i in (1, 2, 3)
    ]
    return tuple(sorted([*points, *validated], key=lambda point: point.step))


def comparison(tuned: Condition, train_size: int, seed: int, **changes: Any) -> Comparison:
    """Return *tuned* beside the base."""
    fields: dict[str, Any] = {
        "tuned": tuned.id, "base": BASE.id, "unquantized": FULL.id,
        "label": f"n = {train_size:,}, seed {seed}", "train_size": train_size, "seed": seed,
        "sources": "all", "family": "paper",
        "notes": ("Assumed, since the paper does not say: learning rate 2e-4.",),
        "curve": curve(train_size, 2.0 + 0.1 * seed),
    }  # fmt: skip
    return Comparison(**{**fields, **changes})


SMALL = comparison(SMALL0, 525, 0)
SECOND = comparison(SMALL1, 525, 1)
WHOLE = comparison(LARGE, 4719, 0, notes=(*SMALL.notes, "Prompt not chosen on validation."))


def planted(made_by: Condition, row: int, sample: int) -> str:
    """Return answers of known faults: every third word is known, noise at 525, 70 % empty at all.

    Each adapter repeats one more of the reference's words than the base, and in order, so that
    BLEU and ROUGE rise for the small ones.
    """
    text = f"w0 w1 w2 w3 x{row} y{row} {' '.join(f'z{row + i}' for i in range(4 + row % 5))}"
    if made_by == LARGE:
        return "" if row % 10 < 7 else text.replace("w3", "q")
    if made_by in (SMALL0, SMALL1):
        noise = "===== " if row % 8 == 0 else ""
        return noise + text.replace(f"x{row}", "w4" if row % (3 + (made_by == SMALL1)) else "q")
    return text if made_by == BASE or row % 4 else text.replace("w3", "v3")


def real_metrics() -> dict[str, Any]:
    """Return key → metric: scores without an encoder, and the faults."""
    found = {name: metrics.load(name, {}) for name in ("bleu", "rouge", "length", "diagnostics")}
    return {metrics.key(name, metric): metric for name, metric in found.items()}


def finetuned_spec(*comparisons: Comparison, **changes: Any) -> ReportSpec:
    """Return a report about the adapters of *comparisons*, or all."""
    fields: dict[str, Any] = {
        "metrics": real_metrics(), "published": "huang2024",
        "finetunes": comparisons or (WHOLE, SMALL, SECOND),
    }  # fmt: skip
    conditions = changes.pop("conditions", CONDITIONS)
    return spec(*conditions, **{**fields, **changes})
