"""A planned fine-tune → the job that trains it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from empathy_core.backends import Request
from empathy_core.errors import ModelError
from empathy_core.store import RunDir
from empathy_core.training.loop.job import Sample, TrainingJob
from empathy_core.training.rows.prepare import PreparedTraining
from empathy_core.training.spec import FinetuneSpec
from empathy_core.types import Decoding
from jobs.planning.plan import PlannedFinetune

SAMPLE_TOKENS = 96
"""Length of the answers that are sampled on the way: enough to be read."""


def training_job(
    run: RunDir, planned: PlannedFinetune, prepared: PreparedTraining, attempt: str
) -> TrainingJob:
    """Return what the training is given."""
    return TrainingJob(
        spec=planned.spec,
        folder=prepared.folder,
        rows=tuple(prepared.train),
        validation=tuple(prepared.validation),
        pad=prepared.pad,
        work=run.training(planned.id),
        attempt=attempt,
        identity=planned.digest,
        curves=run.curves(planned.id, attempt),
        sample=sampler(planned.spec, prepared),
    )


def sampler(spec: FinetuneSpec, prepared: PreparedTraining) -> Sample | None:
    """Return what answers a few validation questions on the way; null if nothing is to be."""
    pairs = list({p.context: p for p in prepared.validation_pairs}.values())[: spec.samples]
    if not pairs:
        return None
    room = SAMPLE_TOKENS if prepared.positions is None else min(SAMPLE_TOKENS, prepared.positions)
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
