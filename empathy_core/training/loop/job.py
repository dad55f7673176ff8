"""What a training is given, what it says on its way, and what it returns. Frozen values."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from empathy_core.training.spec import FinetuneSpec, PreferenceRow, PreferenceSettings, TrainingRow

Sample = Callable[[Any], list[dict[str, object]]]
"""Answers a few questions with the model as it stands, in evaluation mode."""

Chosen = Literal["validation", "last"]


def never() -> bool:
    """Return False: nothing asks the training to stop."""
    return False


def unheard(step: int) -> None:
    """Hear of a checkpoint, and do nothing."""


@dataclass(frozen=True, slots=True)
class PreferenceTuning:
    """How a training on pairs goes, beside its settings.

    Attributes:
        settings: Loss and beta; the rest is in the job's ``spec`` already.
        start: Folder of the adapter that is tuned on, which is then the reference, too; null
            starts from the bare base.
        model: Digest of the base as it is loaded: weights, dtype, quantisation.
        adapter: SHA-256 of the weights of ``start``; empty without one.
        references: Folder where the reference's log-probabilities are kept.
    """

    settings: PreferenceSettings
    start: Path | None
    model: str
    adapter: str
    references: Path


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """One training.

    Attributes:
        folder: Where the base's weights lie.
        rows: What is trained on.
        validation: What the best checkpoint is chosen on; empty means the last one is taken.
        pad: Id that fills rows up; it is masked by position.
        work: Folder of this fine-tune's attempts; every attempt writes below its own name only.
        attempt: Name of this attempt, a folder name; another one goes on from its checkpoints.
        identity: Digest of the fine-tune; a checkpoint of another one is refused.
        sample: Called at every evaluation; its rows go to ``samples.jsonl``. Null means none.
        stop_soon: Asked after every step; once it is true a checkpoint is written and
            ``Interrupted`` raised.
        saved: Told by the main process of every step whose checkpoint is complete.
        curves: Where TensorBoard's files go; null means a folder of the attempt, which is removed
            with it.
        preference: Set where rows are pairs, and null where they are answers.
    """

    spec: FinetuneSpec
    folder: Path
    rows: tuple[TrainingRow, ...] | tuple[PreferenceRow, ...]
    validation: tuple[TrainingRow, ...] | tuple[PreferenceRow, ...]
    pad: int
    work: Path
    attempt: str
    identity: str
    sample: Sample | None = None
    stop_soon: Callable[[], bool] = never
    saved: Callable[[int], None] = unheard
    curves: Path | None = None
    preference: PreferenceTuning | None = None

    @property
    def place(self) -> Path:
        """The only folder this attempt writes to."""
        return self.work / self.attempt

    @property
    def encoder_decoder(self) -> bool:
        """Whether prompts go to an encoder and answers to a decoder."""
        return self.spec.base.is_encoder_decoder


@dataclass(frozen=True, slots=True)
class StepReport:
    """What one optimiser step says of itself.

    Attributes:
        step: From 1.
        loss: Mean over the label tokens, or pairs, of the step.
        n_tokens: Tokens of the step, padding excluded.
        tokens_per_s: Of the step.
        eta_s: Seconds until ``n_steps``, from the pace of this attempt so far.
        memory_mb: Peak of the GPU, or of the process where there is none.
    """

    step: int
    n_steps: int
    loss: float
    n_tokens: int
    tokens_per_s: float
    eta_s: float
    memory_mb: float


@dataclass(frozen=True, slots=True)
class LogPoint:
    """One line of ``log.jsonl``: an optimiser step, or an evaluation after it.

    Attributes:
        step: 0 is the untrained adapter.
        loss: Mean over the label tokens, or pairs, of the step; null in an evaluation.
        validation_loss: The same of all validation rows; null in a step.
        learning_rate: Of the step; null in an evaluation.
        grad_norm: Before clipping; null in an evaluation.
        n_tokens: Tokens since the start, padding excluded.
        tokens_per_s: Of the step; null in an evaluation.
        padding: Share of padding in the step's batches; null in an evaluation.
        memory_mb: Peak of the GPU, or of the process where there is none.
        eta_s: Seconds until the last step; null in an evaluation.
        chosen_logp: Of preference tuning, as the next three: mean over the pairs of the chosen
            replies' log-probability, in nats; null in other trainings.
        rejected_logp: The same of the rejected replies.
        margin: Mean over the pairs of how much more the policy prefers the chosen reply than the
            reference does, in nats; without beta.
        accuracy: Share of pairs in which it does.
        sample_tokens: Mean length of the answers that were sampled at an evaluation; null where
            none were.
        samples_cut: Share of these that reached the limit: the mean is then too low.
        margins: Of an evaluation on pairs: id of each held-out pair → its margin, as above; null
            elsewhere.
    """

    step: int
    epoch: float
    loss: float | None = None
    validation_loss: float | None = None
    learning_rate: float | None = None
    grad_norm: float | None = None
    n_tokens: int = 0
    tokens_per_s: float | None = None
    padding: float | None = None
    memory_mb: float = 0.0
    eta_s: float | None = None
    chosen_logp: float | None = None
    rejected_logp: float | None = None
    margin: float | None = None
    accuracy: float | None = None
    sample_tokens: float | None = None
    samples_cut: float | None = None
    margins: dict[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Losses:
    """The losses a model card tells.

    Attributes:
        first: Of the first optimiser step.
        last: Of the last optimiser step.
        validation_start: Before any step; null without validation rows, as are the next two.
        validation_best: Of the adapter that is returned.
        validation_last: Of the last evaluation.
    """

    first: float
    last: float
    validation_start: float | None = None
    validation_best: float | None = None
    validation_last: float | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training.

    Attributes:
        folder: ``adapter_model.safetensors`` and ``adapter_config.json``.
        log: The curve, a JSON line a point.
        samples: What ``TrainingJob.sample`` returned, a JSON line each; null if it never ran.
        curve: As in ``log``.
        best_step: Step of the adapter in ``folder``.
        n_steps: Steps that were done; fewer than planned after an early stop.
        n_tokens: Tokens trained on, padding excluded, over all attempts.
        seconds: Of training and evaluation, over all attempts that led here.
        n_trainable: Weights of the adapter.
        n_weights: Weights of base and adapter.
        chosen: How the adapter was chosen among the checkpoints.
    """

    folder: Path
    log: Path
    samples: Path | None
    curve: tuple[LogPoint, ...]
    losses: Losses
    best_step: int
    n_steps: int
    n_tokens: int
    seconds: float
    n_trainable: int
    n_weights: int
    chosen: Chosen


class Interrupted(Exception):
    """The training was asked to stop and has written a checkpoint; run the same job again.

    Attributes:
        step: Of the checkpoint.
        checkpoint: Its folder.
    """

    def __init__(self, step: int, checkpoint: Path) -> None:
        super().__init__(f"stopped after step {step}; the next attempt goes on from {checkpoint}")
        self.step, self.checkpoint = step, checkpoint
