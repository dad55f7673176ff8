"""What is made of what: adapters of bases, refined prompts of their parents, choices of samples."""

from collections.abc import Iterator

from empathy_core.training.spec import FinetuneSpec
from empathy_core.types import Condition
from jobs.planning.plan import Plan
from reports.spec import SFT, Derived


def derived(plan: Plan) -> tuple[Derived, ...]:
    """Return every condition that was made of another, tuned ones first."""
    return (*_tuned(plan), *_refined(plan.conditions), *_chosen(plan.conditions))


def _tuned(plan: Plan) -> Iterator[Derived]:
    for made in plan.finetunes:
        detail = f"n = {made.n_rows:,}, seed {made.spec.seed}"
        if made.spec.preference is not None:
            detail = f"{made.n_pairs:,} pairs, {detail}"
        for one in made.compared:
            yield Derived(one.tuned, one.base, method(made.spec), detail, one.unquantized)


def method(spec: FinetuneSpec) -> str:
    """Return how an adapter was tuned, as tables print it."""
    if spec.preference is None:
        return SFT
    return f"{SFT} + DPO" if spec.learns_answers else "DPO"


def _refined(conditions: tuple[Condition, ...]) -> Iterator[Derived]:
    """Yield each prompt beside its parent: of one model under one decoding."""
    asked = {
        (c.model.name, c.prompt.name, c.decoding.name): c.id
        for c in conditions
        if not c.model.is_human
    }
    for one in conditions:
        parent = (one.model.name, one.prompt.parent, one.decoding.name)
        if one.prompt.parent and parent in asked:
            yield Derived(one.id, asked[parent], "Refined prompt", one.prompt.label)


def _chosen(conditions: tuple[Condition, ...]) -> Iterator[Derived]:
    for one in conditions:
        if one.choice is not None:
            by = f"{one.choice.label} by {one.choice.judge}".removesuffix(" by ")
            yield Derived(one.id, one.choice.of, f"Best of {one.choice.n}", f"by {by}")
