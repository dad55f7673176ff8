"""``merge``: an adapter and its base as one model."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from jobs.commands.options import Argument, Option, RunOptions

if TYPE_CHECKING:  # heavy: see jobs.commands
    from jobs.planning.plan import Plan, PlannedFinetune

PROMPTS = 4
"""Questions on which a merged model is compared with its adapter."""


@dataclass(frozen=True, kw_only=True)
class MergeOptions(RunOptions):
    """Merge an adapter into its base, and save the complete model.

    Into the base at full precision, never into quantised weights. How far the logits move is
    measured and printed; too far is an error, and nothing is written.
    """

    adapter: Annotated[str, Argument("a fine-tune of the run, as status names it", "ADAPTER")]
    out: Annotated[Path, Option("folder of the merged model")]
    bound: Annotated[
        float, Option("largest difference of any logit that is accepted", "LOGITS")
    ] = 1e-2


def merge(options: MergeOptions) -> int:
    """Merge an adapter into its base at full precision, and print how far the logits moved.

    Raises:
        UnknownName: The run has no such fine-tune.
        ModelError: A logit moves further than ``--bound``.
    """
    from empathy_core import data
    from empathy_core.training.adapter import adapters, merging
    from empathy_core.training.rows.prepare import evaluated_as
    from empathy_core.training.rows.select import training_pairs, validation_pairs
    from jobs.commands.console import existing, print_out
    from jobs.planning.plan_file import last_plan

    run = existing(options)
    plan, _ = last_plan(run)
    finetune = _named(plan, options.adapter)
    folder = run.adapter(finetune.id)
    adapters.read(folder)  # raises if it is not what was trained
    rows = data.load(run)
    pairs = validation_pairs(finetune.spec, rows) or training_pairs(finetune.spec, rows)
    contexts = [pair.context for pair in pairs[:PROMPTS]]
    prompts = merging.rendered(evaluated_as(finetune.spec), contexts)
    model = replace(finetune.spec.base, name=finetune.spec.name, adapter=str(folder))
    report = merging.merge(model, options.out, prompts, options.bound)
    if options.json:
        print_out(json.dumps(asdict(report) | {"folder": str(report.folder)}, indent=1))
    else:
        print_out(f"{report.folder}\n{report.text()}")
    return 0


def _named(plan: "Plan", name: str) -> "PlannedFinetune":
    from empathy_core.errors import UnknownName

    known = {f.spec.name: f for f in plan.finetunes}
    finetune = known.get(name) or next((f for f in plan.finetunes if f.id == name), None)
    if finetune is None:
        raise UnknownName(
            "fine-tune of this run", name, known, "Only adapters that a run trained are merged."
        )
    return finetune
