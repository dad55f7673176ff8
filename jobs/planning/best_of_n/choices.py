"""Best of n in a plan: the conditions whose answers are chosen."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from empathy_core.choice import SampleChoice
from empathy_core.metrics import MetricProtocol
from empathy_core.metrics._best_of import is_guard
from empathy_core.types import Condition
from jobs.config.choosing import chooser
from jobs.config.schema import Config
from jobs.config.variants import variants
from jobs.planning.plan import PlannedMetric
from jobs.planning.planned_metrics import loaded


def with_chosen(
    config: Config, conditions: Sequence[Condition], planned: Sequence[PlannedMetric]
) -> tuple[Condition, ...]:
    """Return the conditions, each followed by those whose answers are chosen among its samples.

    Args:
        config: Checked: whoever chooses is there, and the samples are.
        conditions: Those that are answered.
        planned: Every metric of the plan.
    """
    if not any(table.chooses for table in config.decoding.values()):
        return tuple(conditions)
    computed, asked = loaded(planned), _asked(config)
    return tuple(
        one
        for of in conditions
        for one in (of, *_chosen(config, of, asked.get(of.model.name, {}), computed))
    )


def _chosen(
    config: Config,
    of: Condition,
    decodings: Collection[str],
    computed: Mapping[str, MetricProtocol],
) -> Iterator[Condition]:
    guards = tuple(key for key, metric in computed.items() if is_guard(metric))
    for name in decodings:
        table = config.decoding[name]
        if table.of == of.decoding.name and table.chosen_by is not None:
            key, column = chooser(table.chosen_by, computed)
            choice = SampleChoice(
                of=of.id,
                n=table.n or of.decoding.samples,
                metric=key,
                made_of=tuple(getattr(computed[key], "members", None) or (key,)),
                column=column.name,
                label=column.label,
                judge=column.judge,
                better=str(column.better),
                guards=guards,
                seed=table.ties or 0,
            )
            yield replace(of, decoding=config.decoding_spec(name), choice=choice)


def _asked(config: Config) -> dict[str, dict[str, None]]:
    """Return model → the decodings that it is evaluated with; adapters and their bases as well."""
    found = {name: dict.fromkeys(table.decodings) for name, table in config.models.items()}
    for variant in variants(config) if config.finetune else ():
        models = (
            variant.spec.name,
            variant.spec.base.name,
            getattr(variant.unquantized, "name", ""),
        )
        for name in models if variant.table.evaluate else ():
            found.setdefault(name, {}).update(dict.fromkeys(variant.table.decodings))
    return found


def remarks(config: Config, conditions: Sequence[Condition]) -> Iterator[str]:
    """Yield what an author should know of choices before anything is computed."""
    choices = {c.decoding.name: c.choice for c in conditions if c.choice}
    for name, choice in choices.items():
        judges = {table.model for table in config.judges.values()}
        if choice.judge and len(judges) < 2:
            yield (
                f"decoding.{name}: {choice.judge} chooses, and no other judge rates: its own "
                "ratings of what it chose are too good by construction; add a second judge under "
                "[judges.<name>], and report its ratings"
            )
        if not choice.judge:
            yield (
                f"decoding.{name}: {choice.label} chooses; where it compares with the reference "
                "answer, as overlap metrics do, nobody could choose so without the reference: the "
                "result is an upper bound"
            )
        if not choice.guards:
            yield (
                f"decoding.{name}: no judge looks for severe faults (Red), so that a reply with "
                'one may be chosen; add the rubric "crisis" to a judge of the run'
            )
