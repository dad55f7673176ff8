"""``[pairs.*]`` → the pairs that fine-tunes are tuned on, each table made once a plan."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from empathy_core.store import RunDir, read_json
from empathy_core.training.preference import candidates, frozen
from empathy_core.training.preference.candidates import FoundPairs
from empathy_core.training.preference.pairs import PreferencePairs, audit_text
from empathy_core.training.preference.settings import PairSettings
from empathy_core.training.spec import FinetuneSpec
from jobs.config.schema import Config
from jobs.planning.pairs.from_scores import scored_pairs
from jobs.planning.pairs.said_of_replies import said_in
from jobs.planning.plan import PlannedFinetune, PlannedMetric
from jobs.planning.plan_file import last_plan
from jobs.planning.withheld import WithheldWrites


@dataclass
class Pairs:
    """The pairs of a configuration.

    Attributes:
        examples: The run's rows.
        run: Where pairs are frozen.
        withheld: Takes what is to be frozen.
    """

    config: Config
    examples: pl.DataFrame
    run: RunDir
    withheld: WithheldWrites
    _made: dict[str, PreferencePairs] = field(default_factory=dict)

    def of(self, spec: FinetuneSpec) -> tuple[FinetuneSpec, pl.DataFrame | None]:
        """Return *spec* with the digest of its pairs, and the pairs; null where it has none.

        Raises:
            ConfigError: The table contradicts itself.
            DataError: The file is missing or unreadable, or no pair is left to train on.
        """
        if spec.preference is None:
            return spec, None
        made = self._table(spec.preference.pairs)
        tuned = replace(spec, preference=replace(spec.preference, digest=made.digest))
        return tuned, made.frame

    def audit(self, spec: FinetuneSpec) -> Mapping[str, Any] | None:
        """Return what is known of the pairs of a fine-tune; null where it has none.

        Raises:
            ConfigError: See ``of``.
            DataError: Likewise.
        """
        return self._table(spec.preference.pairs).audit if spec.preference else None

    def _table(self, name: str) -> PreferencePairs:
        if name not in self._made:
            settings = self.config.pairs[name]
            made = frozen.make(name, settings, self._found(name, settings), self.examples)
            self.withheld.later(partial(frozen.freeze, name, made, self.run))
            self._made[name] = made
        return self._made[name]

    def _found(self, name: str, settings: PairSettings) -> FoundPairs:
        """Return the candidates, and what the run that they are of says of their replies."""
        if settings.made_from == "scores":
            return scored_pairs(name, settings)
        licences = {s.name: s.licence for s in self.config.data_spec().sources}
        found = candidates.find(name, settings, self.examples, licences)
        if settings.condition is None:
            return found
        run = RunDir(Path(settings.path).expanduser())
        return said_in(run).marked(_under_licence(found, run, settings))

    def told(self, planned: PlannedFinetune) -> Iterator[str]:
        """Yield what an author should know of the pairs of a fine-tune that was planned."""
        of = planned.spec.preference
        if (audit := self.audit(planned.spec)) and of:
            yield audit_text(of.pairs, audit)
            yield from (f"pairs {of.pairs}: {note}" for note in audit.get("warnings", ()))
            if frozen.made_anew(of.pairs, of.digest, audit, self.run):
                yield (
                    f"pairs {of.pairs}: {audit['origin']['run']} has other answers or scores than "
                    "when pairs were frozen from it before; these are frozen beside them, and "
                    "adapters are tuned on them anew"
                )

    def notes(self, planned: PlannedFinetune) -> Iterator[str]:
        """Yield what tables must say of the pairs that an adapter was tuned on."""
        if (audit := self.audit(planned.spec)) and (sentences := _sentences(audit)):
            label = f"{planned.spec.label} was tuned on {planned.n_pairs} preference pairs."
            yield " ".join([label, *sentences])


def _under_licence(found: FoundPairs, run: RunDir, settings: PairSettings) -> FoundPairs:
    """Return a therapist's pairs with the licence of the model whose answers are rejected.

    A run without a plan (answers that were copied by hand) says nothing of its models.
    """
    if not run.plans():
        return found
    models = {c.id: c.model for c in last_plan(run)[0].conditions}
    model = models.get(str(found.origin["condition"]))
    licence = (model.licence if model else "") or settings.licence or ""
    of = () if model and model.is_human else (licence,)
    return replace(found, candidates=tuple(replace(c, of_models=of) for c in found.candidates))


def same_again(
    finetunes: Sequence[PlannedFinetune], metrics: Sequence[PlannedMetric], pairs: Pairs
) -> Iterator[str]:
    """Yield a sentence for each adapter whose pairs were chosen by what reports on it.

    Whatever is tuned for is reached sooner than what it stands for: select with one judge, report
    with another.
    """
    reporting = {m.judged_by or m.name for m in metrics}
    for planned in finetunes:
        origin = (pairs.audit(planned.spec) or {}).get("origin", {})
        if reporting.intersection(origin.get("chosen_by", ())):
            who = f"judge {origin['judge']}" if origin["judge"] else f"metric of {origin['label']}"
            yield (
                f"The {who} chose the pairs that {planned.spec.label} was tuned on, and scores it "
                "here: it was tuned for this score. Select with one judge, report with another."
            )


def frozen_pairs(spec: FinetuneSpec, run: RunDir) -> pl.DataFrame | None:
    """Return the pairs that a fine-tune of a plan is tuned on; null where it is on none.

    Raises:
        Damaged: They are not there, or are others.
    """
    if spec.preference is None:
        return None
    return frozen.load(spec.preference.pairs, spec.preference.digest, run)


def pairs_of_card(planned: PlannedFinetune, run: RunDir) -> dict[str, Any]:
    """Return what the card of an adapter tells of its pairs; nothing where it has none."""
    of = planned.spec.preference
    path = run.pairs(of.pairs, of.digest).with_suffix(".json") if of else None
    if path is None or not path.is_file():
        return {}
    audit = read_json(path)
    told = {"found": audit["found"], "kept": audit["kept"], "notes": _sentences(audit)}
    return told | {"cues": audit.get("cues", [])}


def _sentences(audit: Mapping[str, Any]) -> list[str]:
    """Return what whoever uses the adapter, or reads of it, must know."""
    return [of for of in (audit["assumed"], *audit.get("notes", ())) if of]
