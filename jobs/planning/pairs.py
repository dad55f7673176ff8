"""``[pairs.*]`` → the pairs that fine-tunes are tuned on, each table made once a plan."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import polars as pl

from empathy_core.store import RunDir
from empathy_core.training.preference import frozen
from empathy_core.training.preference.pairs import PreferencePairs, audit_text
from empathy_core.training.spec import FinetuneSpec
from jobs.config.schema import Config
from jobs.planning.plan import PlannedFinetune
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

    def _table(self, name: str) -> PreferencePairs:
        if name not in self._made:
            licences = {s.name: s.licence for s in self.config.data_spec().sources}
            made = frozen.make(name, self.config.pairs[name], self.examples, licences)
            self.withheld.later(partial(frozen.freeze, name, made, self.run))
            self._made[name] = made
        return self._made[name]

    def told(self, planned: PlannedFinetune) -> Iterator[str]:
        """Yield what an author should know of the pairs of a fine-tune that was planned."""
        if of := planned.spec.preference:
            yield audit_text(of.pairs, self._table(of.pairs).audit)

    def notes(self, planned: PlannedFinetune) -> Iterator[str]:
        """Yield what tables must say of the pairs that an adapter was tuned on."""
        of = planned.spec.preference
        if of and (assumed := self._table(of.pairs).audit["assumed"]):
            yield (
                f"{planned.spec.label} was tuned on {planned.n_pairs} preference pairs. {assumed}"
            )


def frozen_pairs(spec: FinetuneSpec, run: RunDir) -> pl.DataFrame | None:
    """Return the pairs that a fine-tune of a plan is tuned on; null where it is on none.

    Raises:
        Damaged: They are not there, or are others.
    """
    if spec.preference is None:
        return None
    return frozen.load(spec.preference.pairs, spec.preference.digest, run)
