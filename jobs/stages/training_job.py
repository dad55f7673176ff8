"""A planned fine-tune → the job that trains it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from empathy_core import data
from empathy_core.backends import Request
from empathy_core.errors import ModelError
from empathy_core.store import RunDir
from empathy_core.training.loop.checkpoints import ADAPTER_FILES
from empathy_core.training.loop.job import PreferenceTuning, Sample, TrainingJob
from empathy_core.training.rows import prepare
from empathy_core.training.rows.prepare import PreparedTraining
from empathy_core.training.spec import FinetuneSpec
from empathy_core.types import Decoding, digest
from empathy_core.weights.digests import file_digest
from jobs.planning.pairs.planned import frozen_pairs
from jobs.planning.plan import PlannedFinetune

Phase = Literal["answers", "pairs"]
"""What is trained on: the answers of the rows, or preference pairs; first answers, then pairs."""


def phases(spec: FinetuneSpec) -> tuple[Phase, ...]:
    """Return what a fine-tune is trained on, in order."""
    answers: tuple[Phase, ...] = ("answers",) if spec.learns_answers else ()
    return (*answers, "pairs") if spec.preference else answers


def prepared_training(run: RunDir, planned: PlannedFinetune) -> PreparedTraining:
    """Return the rows, and pairs, of a planned fine-tune.

    Raises:
        Damaged: The pairs are not those that were planned.
    """
    return prepare.prepare(planned.spec, data.load(run), frozen_pairs(planned.spec, run))


def start_of(run: RunDir, planned: PlannedFinetune) -> Path:
    """Return where the adapter is kept that pairs are tuned from, once it is trained."""
    return run.training(planned.id) / "answers" / "adapter"


def training_job(
    run: RunDir, planned: PlannedFinetune, prepared: PreparedTraining, attempt: str, phase: Phase
) -> TrainingJob:
    """Return what the training is given in one of its phases."""
    alone = planned.spec.preference is None
    job = TrainingJob(
        spec=planned.spec,
        folder=prepared.folder,
        rows=tuple(prepared.train),
        validation=tuple(prepared.validation),
        pad=prepared.pad,
        work=run.training(planned.id) / ("" if alone else phase),
        attempt=attempt,
        identity=planned.digest,
        curves=run.curves(planned.id, attempt if alone else f"{attempt}-{phase}"),
        sample=sampler(planned.spec, prepared),
    )
    return job if phase == "answers" else _on_pairs(job, run, planned, prepared)


def _on_pairs(
    job: TrainingJob, run: RunDir, planned: PlannedFinetune, prepared: PreparedTraining
) -> TrainingJob:
    spec, pairs = planned.spec.on_pairs(), prepared.pairs
    if pairs is None or spec.preference is None:
        raise ValueError(f"{spec.name} has no pairs")
    start = start_of(run, planned) if spec.learns_answers else None
    tuning = PreferenceTuning(
        settings=spec.preference.settings,
        start=start,
        model=digest([spec.base.identity(), planned.base_fingerprint]),
        adapter=file_digest(start / ADAPTER_FILES[0]) if start else "",
        references=run.references,
    )
    return replace(job, spec=spec, rows=pairs.train, validation=pairs.validation, preference=tuning)


def sampler(spec: FinetuneSpec, prepared: PreparedTraining) -> Sample | None:
    """Return what answers a few validation questions on the way; null if nothing is to be."""
    pairs = list({p.context: p for p in prepared.validation_pairs}.values())[: spec.samples]
    if not pairs:
        return None
    room = min(filter(None, (spec.sample_tokens, prepared.positions)))
    condition = replace(prepared.asked, decoding=Decoding(max_new_tokens=room))
    requests = [Request(pair.example, 0, pair.context) for pair in pairs]
    kept: list[Callable[..., Any]] = []

    def sample(model: Any) -> list[dict[str, object]]:
        from empathy_core.backends.hf import HfBackend

        if not kept:  # made once: it takes the model's own end tokens away
            kept.append(HfBackend(spec.base, model, prepared.tokenizer, "truncate").answer)
        try:
            answers = kept[0](condition, requests)
        except ModelError as error:  # scores that are no numbers: the next loss tells it better
            return [{"error": str(error)}]
        return [
            {"example": r.example, "text": a.text, "stop": a.stop, "n_tokens": a.n_output_tokens}
            for r, a in zip(requests, answers, strict=True)
        ]

    return sample
