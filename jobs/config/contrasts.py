"""PURE: what ``[report.contrasts]`` names: a model, or a model under one prompt."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from empathy_core.errors import ConfigError, UnknownName
from empathy_core.types import Condition
from jobs.config.schema import Config, ContrastTable
from jobs.config.variants import variants
from reports.spec import Contrast

MINUS = "\N{MINUS SIGN}"


def check(config: Config, selector: str) -> None:
    """Raise ``UnknownName`` if *selector* is neither a model nor a model and one of its prompts."""
    known: dict[str, set[str]] = {}
    for model, prompt in asked(config):
        known.setdefault(model, set()).add(
            Path(prompt).stem if prompt.endswith(".toml") else prompt
        )
    model, dot, prompt = selector.partition(".")
    if model not in known:
        raise UnknownName("model", model, sorted(known))
    if dot and prompt not in known[model]:
        raise UnknownName(f"prompt of {model}", prompt, sorted(known[model]))


def asked(config: Config) -> Iterator[tuple[str, str]]:
    """Yield every model with each of its prompts."""
    for name, table in config.models.items():
        yield from ((name, prompt) for prompt in table.prompts or ("none",))
    for name, answers in config.answers.items():
        yield name, answers.prompt
    for variant in variants(config) if config.finetune else ():
        models = [variant.spec.name, variant.spec.base.name]
        models += [variant.unquantized.name] if variant.unquantized else []
        yield from ((name, variant.table.prompt) for name in models)


def resolve(
    tables: Mapping[str, ContrastTable], conditions: Sequence[Condition]
) -> tuple[Contrast, ...]:
    """Return the pairs of conditions that each contrast is the mean over.

    Two models are compared under each prompt and decoding that both have; a model under a prompt
    is compared with what the other side names, whatever its prompt. Texts that were not made here
    have no decoding, and people's no prompt: they are compared with every one.

    Raises:
        ConfigError: The two sides have nothing in common, or are the same.
    """
    return tuple(
        Contrast(name, table.label or f"{table.second} {MINUS} {table.first}", pairs)
        for name, table in tables.items()
        if (pairs := _pairs(name, table, conditions))
    )


def _pairs(
    name: str, table: ContrastTable, conditions: Sequence[Condition]
) -> tuple[tuple[str, str], ...]:
    first, second = (selected(side, conditions) for side in (table.first, table.second))
    same_prompt = "." not in table.first or "." not in table.second
    pairs = tuple(
        (a.id, b.id)
        for a in first
        for b in second
        if a.id != b.id and _alike(a, b, same_prompt=same_prompt)
    )
    if first and second and not pairs:
        sides = zip((table.first, table.second), (first, second), strict=True)
        asked = "; ".join(f"{side}: {_told(conditions)}" for side, conditions in sides)
        same = {c.id for c in first} == {c.id for c in second}
        what = "are the same" if same else "were never asked with the same prompt and decoding"
        msg = (
            f"report.contrasts.{name}: {table.first} and {table.second} {what} ({asked}); expected "
            "two that can be compared; write MODEL.PROMPT on both sides where the prompts differ, "
            "and ask both with one decoding"
        )
        raise ConfigError(msg)
    return pairs


def _alike(a: Condition, b: Condition, *, same_prompt: bool) -> bool:
    people = a.model.is_human or b.model.is_human
    made_elsewhere = any(c.model.backend in ("human", "answers") for c in (a, b))
    one_prompt = not same_prompt or people or a.prompt.name == b.prompt.name
    return one_prompt and (made_elsewhere or a.decoding.name == b.decoding.name)


def _told(conditions: Sequence[Condition]) -> str:
    return ", ".join(f"{c.prompt.name} under {c.decoding.name}" for c in conditions)


def selected(selector: str, conditions: Sequence[Condition]) -> list[Condition]:
    """Return the conditions that a selector names: of a model, or of a model and a prompt."""
    model, dot, prompt = selector.partition(".")
    return [c for c in conditions if c.model.name == model and (not dot or c.prompt.name == prompt)]
