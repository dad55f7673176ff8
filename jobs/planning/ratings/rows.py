"""From a run to what people can be shown of it: questions with tiers, and whole answers."""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from empathy_core.annotation.asked import AskedDimension, asked_dimensions
from empathy_core.annotation.packets import RatedAnswer, RatedQuestion
from empathy_core.annotation.sampling import Candidate
from empathy_core.crisis.given import digest_of_tiers
from empathy_core.crisis.screen import NONE, tiers_of
from empathy_core.errors import ConfigError
from empathy_core.store import RunDir, read_json
from empathy_core.types import Condition
from empathy_core.visible import nothing_visible
from jobs.config.annotate import AnnotateTable
from jobs.config.asked_of_people import conditions_asked, rubrics_asked
from jobs.planning.plan import Plan
from jobs.planning.progress import adapters_of, read_trained
from reports.rows.collect import Collected, collect
from reports.spec import ReportSpec

_FOREIGN = 40
"""Examples that answers for attention are taken from."""


@dataclass(frozen=True)
class RatedRun:
    """What people can be shown of a run.

    Attributes:
        conditions: That are compared.
        asked: What people are asked of an answer.
        collected: Their answers, which are proven to be whole.
        candidates: The evaluated examples of which something is asked.
        contexts: Example → the person's message.
    """

    conditions: tuple[Condition, ...]
    asked: tuple[AskedDimension, ...]
    collected: Collected
    candidates: tuple[Candidate, ...]
    contexts: Mapping[str, str]

    def questions(self, examples: Sequence[str], seed: int) -> dict[str, RatedQuestion]:
        """Return example → its question with one answer of each condition that has any."""
        tier = {candidate.example: candidate.tier for candidate in self.candidates}
        found: dict[str, list[RatedAnswer]] = {example: [] for example in examples}
        for condition in self.conditions:
            for answer in self.answers(condition, examples, seed):
                found[answer.example].append(answer)
        return {
            example: RatedQuestion(example, self.contexts[example], tier[example], tuple(answers))
            for example, answers in found.items()
        }

    def answers(
        self, condition: Condition, examples: Sequence[str], seed: int
    ) -> list[RatedAnswer]:
        """Return one answer of a condition to each example, drawn where it has several."""
        rows = self.collected.texts(condition.id, examples).sort("example", "sample")
        texts: dict[str, list[tuple[int, str]]] = {}
        for example, sample, text in rows.select("example", "sample", "text").iter_rows():
            texts.setdefault(example, []).append((sample, text))
        found = []
        for example, several in texts.items():
            rng = random.Random(f"{seed}:{condition.id}:{example}")  # noqa: S311  no secret
            found.append(RatedAnswer(condition.id, example, *rng.choice(several)))
        return found

    def foreign(self, questions: Collection[str], seed: int) -> tuple[RatedAnswer, ...]:
        """Return visible answers to other questions than these, none of them at risk."""
        others = [
            c.example for c in self.candidates if c.question not in questions and c.tier == NONE
        ]
        rng = random.Random(f"foreign:{seed}")  # noqa: S311  a sample, no secret
        chosen = rng.sample(sorted(others), min(_FOREIGN, len(others)))
        found = [a for c in self.conditions for a in self.answers(c, chosen, seed)]
        return tuple(answer for answer in found if not nothing_visible(answer.text))


def rated_run(run: RunDir, plan: Plan, table: AnnotateTable) -> RatedRun:
    """Return what people can be shown of *run*.

    Raises:
        ConfigError: A rubric or condition cannot be asked about, or a column of tiers is missing
            or holds what is no tier.
        Incomplete: Answers of a compared condition are missing or damaged.
    """
    asked = tuple(asked_dimensions(rubrics_asked(table)))
    conditions = conditions_asked(table, plan.conditions)
    adapters = adapters_of(plan, read_trained(run, plan))
    about = ReportSpec(
        conditions=conditions, metrics={}, data_digest=plan.data_digest, adapters=adapters
    )
    collected = collect(run, about)
    rows = collected.examples
    tiers = tiers_of(rows["context"].to_list(), _given_tiers(rows, table.tier_column))
    columns = rows.select("id", "question", "source").iter_rows()
    candidates = tuple(
        Candidate(example, question, source, tier)
        for (example, question, source), tier in zip(columns, tiers, strict=True)
        if any(one.is_asked_at(tier) for one in asked)
    )
    contexts = dict(rows.select("id", "context").iter_rows())
    return RatedRun(conditions, asked, collected, candidates, contexts)


def _given_tiers(rows: pl.DataFrame, column: str | None) -> list[str | None] | None:
    if column is None:
        return None
    if column not in rows.columns:
        msg = (
            f"annotate.tier_column = '{column}' is no column that this run carries along; expected "
            "one under keep of a source; add it there and run sweep again, or leave it out"
        )
        raise ConfigError(msg)
    digest_of_tiers(column, rows.select("id", column))  # raises
    return rows[column].to_list()


_UNKNOWN = ("not stated", "not checked")
"""How the licence of a source ends that nobody knows: in the data audit, in sources that ship."""


def licence_notes(run: RunDir, stated: Mapping[str, str]) -> list[str]:
    """Return what whoever gives packets away must know of the licences of the texts.

    Args:
        run: The run.
        stated: Source → licence in a configuration that is newer than the run; may be empty.

    Raises:
        ConfigError: The licence of a source is not known.
    """
    notes, unknown = [], []
    for source in read_json(run.audit)["sources"]:
        name = source["name"]
        licence = stated.get(name) or source["licence"]
        if licence.endswith(_UNKNOWN):
            unknown.append(name)
        elif not source["redistribute"]:
            notes.append(
                f"the licence of {name} ({licence}) does not let its texts be passed on: give "
                "packets only to raters who may read them"
            )
    if unknown:
        keys = ", ".join(f'data.sources.{name}.licence = "…"' for name in unknown)
        msg = (
            f"the licence of {', '.join(unknown)} is not known, and a packet takes its texts out "
            f"of this run; expected a licence; look it up and set {keys} in the configuration"
        )
        raise ConfigError(msg)
    return notes
