"""What of a run an older version of the suite made, and what becomes of it.

Rows, answers and adapters bear a version that is raised where other ones may come out of the same
settings. A run keeps what it has: rows stay as they were frozen, answers stay the answers of their
condition, an adapter stays. What is missing is made by the code of today; where that is of another
version, it is recorded block by block, and said below the tables.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

import polars as pl

from empathy_core import data, metrics, store
from empathy_core.counted import counted
from empathy_core.data import CLEANING_VERSION
from empathy_core.errors import Damaged, RunMismatch
from empathy_core.metrics import PLUGIN
from empathy_core.store import RunDir
from empathy_core.training.adapter import adapters
from empathy_core.training.spec import TRAINING_VERSION, FinetuneSpec
from empathy_core.types import GENERATION_VERSION, Condition
from jobs.planning.plan import LEXICAL, Plan
from jobs.planning.plan_file import last_plan
from reports.labels import full_name, row_labels

# ---------------------------------------------------------------------------- what is kept


def as_begun(condition: Condition, run: RunDir, awaited: Collection[str] = ()) -> Condition:
    """Return *condition* under the version of which the run has answers; else under today's.

    Args:
        condition: With everything else that is in its identity.
        run: May not be there yet.
        awaited: Ids of conditions that array tasks in the queue will answer.
    """
    for version in range(GENERATION_VERSION, 0, -1):
        begun = _of_version(condition, version)
        if begun.id in awaited or _answered(run, begun.id):
            return begun
    return replace(condition, generation_version=GENERATION_VERSION)


def _of_version(condition: Condition, version: int) -> Condition:
    """Return *condition* as a version of the generation code knew it.

    Before version 3 nothing was split, checkpoints' own settings were dropped, and in float32 no
    batch was told apart: answers of such a condition go on to be made so.
    """
    begun = replace(condition, generation_version=version)
    if version >= STRUCTURE_SINCE:
        return begun
    batched = condition.model.dtype != "float32" or condition.model.quantization
    return replace(
        begun,
        structure=(),
        reasoning=None,
        block_size=condition.block_size if batched else None,
    )


STRUCTURE_SINCE = 3
"""Version of the generation code that knows thoughts, structure and prompts that stand alone."""


def _answered(run: RunDir, condition: str) -> bool:
    return bool(store.list_pieces(run.generations(condition))) or any(
        run.journals(condition).glob("*.jsonl")
    )


def as_trained(
    spec: FinetuneSpec, base_and_rows: tuple[str, str], run: RunDir, awaited: Collection[str] = ()
) -> FinetuneSpec:
    """Return *spec* under the version by which its adapter was trained; else under today's.

    A training that was begun by an older version and not finished starts anew: unlike rows, the
    parts of an adapter cannot be told apart.

    Args:
        spec: What is asked for.
        base_and_rows: Fingerprint of the base, and digest of the rows.
        run: May not be there yet.
        awaited: Ids of fine-tunes that array tasks in the queue will train.
    """
    for version in range(TRAINING_VERSION, 0, -1):
        trained = replace(spec, training_version=version)
        id_ = trained.id(*base_and_rows)
        if id_ in awaited or adapters.is_complete(run.adapter(id_)):
            return trained
    return replace(spec, training_version=TRAINING_VERSION)


def check_refrozen(run: RunDir, digest: str) -> None:
    """Refuse to freeze other rows under the answers of a run whose own rows are lost.

    Args:
        run: Has no frozen rows.
        digest: Of the rows that would be frozen.

    Raises:
        RunMismatch: The run holds answers to other rows.
    """
    if not run.plans():
        return
    plan, _ = last_plan(run)
    made = plan.not_generated
    answered = [c.id for c in plan.conditions if c.id not in made and _answered(run, c.id)]
    if plan.data_digest == digest or not answered:
        return
    msg = (
        f"{run.data} is gone, and the rows of {run.root} cannot be made again as they were: their "
        f"digest was {plan.data_digest} and would be {digest} (other data, settings, or version of "
        f"the cleaning rules). Answers of {counted(len(answered), 'condition')} belong to the old "
        f"rows: restore {run.data.parent} from a copy, choose another --name, or remove "
        f"{run.root / 'generations'} to answer anew"
    )
    raise RunMismatch(msg)


# ---------------------------------------------------------------------------- what is said


def notes(run: RunDir, plan: Plan) -> tuple[str, ...]:
    """Return what tables must say of a run that holds what an older version made.

    Empty where everything is of today's versions.
    """
    return (*_rows(run), *_answers(run, plan), *_adapters(run, plan))


def _rows(run: RunDir) -> Iterator[str]:
    version = data.cleaned_by(run)
    if version != CLEANING_VERSION:
        yield (
            f"Rows cleaned by version {version} of the cleaning rules; a new run would use "
            f"version {CLEANING_VERSION}."
        )


def _answers(run: RunDir, plan: Plan) -> Iterator[str]:
    made, labels = plan.not_generated, row_labels(plan.conditions)
    counted = [(full_name(c, labels), _counts(run, c)) for c in plan.conditions if c.id not in made]
    others = {v for _, counts in counted for v in counts if v != GENERATION_VERSION}
    for version in sorted(others):
        named = "; ".join(_named(n, counts, version) for n, counts in counted if version in counts)
        yield (
            f"Answers generated by version {version} of the generation code: {named}; a new run "
            f"would use version {GENERATION_VERSION}."
        )


def _named(name: str, counts: Mapping[int, int], version: int) -> str:
    n, total = counts[version], sum(counts.values())
    return name if n == total else f"{name} ({n:,} of {total:,})"


def _counts(run: RunDir, condition: Condition) -> Counter[int]:
    """Return version of the generation code → answers of the condition by it."""
    own, counts, seen = condition.generation_version, Counter[int](), set[int]()
    if own != GENERATION_VERSION and _answered(run, condition.id):
        counts[own] = 0
    for path in store.list_pieces(run.generations(condition.id)):
        try:
            versions = store.versions(path)
        except Damaged:  # whatever reads its rows says so
            continue
        if own == GENERATION_VERSION and not versions:
            continue
        blocks = pl.read_parquet(path, columns=["block"])["block"]
        counts.update(versions.get(block, own) for block in blocks if block not in seen)
        seen |= set(blocks)
    return counts


def _adapters(run: RunDir, plan: Plan) -> Iterator[str]:
    older: dict[int, list[str]] = {}
    for made in plan.finetunes:
        version = made.spec.training_version
        if version != TRAINING_VERSION and adapters.is_complete(run.adapter(made.id)):
            older.setdefault(version, []).append(made.spec.label)
    for version, names in sorted(older.items()):
        yield (
            f"Adapters trained by version {version} of the training code: {'; '.join(names)}; a "
            f"new run would use version {TRAINING_VERSION}."
        )


def advice(run: RunDir, plan: Plan) -> tuple[str, ...]:
    """Return to whoever plans what an older version made, and what can be done about it."""
    older = notes(run, plan) if run.data.exists() else ()
    if not older:
        return ()
    return (
        *older,
        "Existing rows, answers and adapters are kept, what is missing is made by this version, "
        "and the notes below the tables record it. To have everything from one version, choose "
        f"another --name, or remove the answers' folders under {run.root / 'generations'} or an "
        f"adapter's folder under {run.root / 'adapters'}.",
    )


def outdated_scores(plan: Plan) -> tuple[str, ...]:
    """Return a sentence for each metric that this version of the suite computes otherwise.

    Metrics with an encoder, plug-ins, and metrics that ask for columns of the data are not looked
    at: a report needs none of them.
    """
    sentences = []
    for planned in plan.metrics:
        if not planned.group.startswith(LEXICAL) or planned.name.startswith(PLUGIN):
            continue
        metric = metrics.load(planned.name, planned.options)
        alike = metrics.as_planned(metric, planned.signature)
        now = planned.signature if metrics.asked(metric) else alike.signature()
        if now != planned.signature:
            sentences.append(
                f"{planned.name}: these scores were computed as {planned.signature}; this version "
                f"of the suite computes {now}: run sweep, which scores the answers that are there "
                "again and generates none"
            )
    return tuple(sentences)
