"""What a fine-tune is: base, rows, format, labels, settings. Frozen values, and what names them."""

from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Literal

from pydantic import Field

from empathy_core.bounds import Above0, AtLeast0, NotNegative, Positive, Share
from empathy_core.conversation import Context
from empathy_core.types import ModelSpec, Prompt, digest

TRAINING_VERSION = 2
"""Raised by hand whenever the training code may produce another adapter from the same settings."""

IGNORED = -100
"""The label that the loss leaves out; transformers' and torch's own."""

Labels = Literal["response", "all", "misaligned"]
Batching = Literal["length", "shuffled"]

_NOT_IDENTITY = ("name", "label", "allow", "trackers", "processes", "sample_tokens")


@dataclass(frozen=True, kw_only=True)
class Lora:
    """The adapter's shape; the defaults are the paper's (section 5.1.2).

    Attributes:
        r: Rank.
        alpha: Scaling: the update is multiplied by alpha / r.
        dropout: Share of the update's inputs that is set to 0 in training.
        modules: Names of the linear layers that get an update; empty means ``q_proj``, ``v_proj``
            for a decoder, and ``q``, ``v``, their names in T5, for an encoder-decoder; see
            ``modules.settled`` for bases that have none.
        exclude: Patterns of whole names, e.g. ``model.layers.0.*`` with ``*`` for anything, of
            layers that get none. Towers for images and sounds get none anyway: no text goes
            through them.
    """

    r: Positive = 8
    alpha: Above0 = 16.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    modules: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How an adapter is trained; the defaults are the paper's where it says (section 5.1.2).

    Attributes:
        labels: ``response``: the loss is taken on the answer and its end token. ``all``: on the
            prompt too. ``misaligned``: the paper's first iteration, whose input was the question
            alone and whose labels were the answer; it is there to be compared, and the preflight
            stops it unless it is allowed.
        max_tokens: Limit of a row, prompt, answer and end token together.
        min_response_tokens: Where a row is too long its answer is cut, but never below this; then
            the question is cut.
        learning_rate: The highest, at the end of the warm-up.
        epochs: Passes over the rows; ``max_steps`` ends earlier.
        max_steps: Optimiser steps after which training ends; null means no limit.
        batch_size: Rows of one optimiser step, over all processes.
        micro_batch: Rows of one forward pass; divides ``batch_size``.
        batching: ``length``: rows of similar length meet in a batch. ``shuffled``: as drawn.
        warmup: Share of the steps in which the learning rate rises; see ``rates``.
        schedule: How the learning rate falls after the warm-up.
        weight_decay: Of AdamW.
        max_grad_norm: Length to which a longer gradient is shortened.
        gradient_checkpointing: Whether activations are computed again in the backward pass, to
            save memory at the cost of time.
        evaluations: How often an epoch ends in validation loss, a checkpoint and samples.
        validation_limit: Rows of the validation split that are used; null means all.
        patience: Evaluations without a lower validation loss after which training stops; 0 never.
        samples: Validation questions answered at each evaluation, to be read; the curve has the
            answers' mean length. 0 answers none.
        sample_tokens: Limit of each of these answers; what reaches it is counted.
        checkpoint_steps: Steps between checkpoints that only serve to continue after an
            interruption.
        max_cut_share: Share of cut rows above which the preflight stops.
        allow: Names of preflight findings that do not stop the training; tables print them.
        trackers: Where the curves go besides the log: names that accelerate knows.
        processes: Processes of one node, a GPU each; null means as many as there are GPUs.
    """

    labels: Labels = "response"
    max_tokens: Positive = 1024
    min_response_tokens: Positive = 64
    learning_rate: Above0 = 2e-4
    epochs: Above0 = 3.0
    max_steps: Positive | None = None
    batch_size: Positive = 16
    micro_batch: Positive = 4
    batching: Batching = "length"
    warmup: Share = 0.03
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    weight_decay: AtLeast0 = 0.0
    max_grad_norm: Above0 = 0.3
    gradient_checkpointing: bool = False
    evaluations: Positive = 1
    validation_limit: Positive | None = None
    patience: NotNegative = 0
    samples: NotNegative = 3
    sample_tokens: Positive = 96
    checkpoint_steps: Positive = 50
    max_cut_share: Share = 0.1
    allow: tuple[str, ...] = ()
    trackers: tuple[str, ...] = ("tensorboard",)
    processes: Positive | None = None


@dataclass(frozen=True, kw_only=True)
class PreferenceSettings:
    """How an adapter is tuned on pairs; what is not here is as the fine-tune's table says.

    A row of ``batch_size`` and ``micro_batch`` is then a pair, and there is no dropout, since the
    reference has none.

    Attributes:
        loss: ``sigmoid``: DPO's. ``sigmoid_norm``: of means over tokens instead of sums, so that
            longer replies have no larger say; its beta is of the order of 2.
        beta: How dear it is to move away from the model that the tuning starts from.
        sft_weight: Of the chosen replies' mean cross-entropy, added to the loss; 0 leaves it out.
        learning_rate: The highest, at the end of the warm-up.
        epochs: Passes over the pairs; ``max_steps`` ends earlier.
        max_steps: Optimiser steps after which the tuning ends; null means no limit.
    """

    loss: Literal["sigmoid", "sigmoid_norm"] = "sigmoid"
    beta: Above0 = 0.1
    sft_weight: AtLeast0 = 0.0
    learning_rate: Above0 = 1e-5
    epochs: Above0 = 1.0
    max_steps: Positive | None = None


@dataclass(frozen=True, kw_only=True)
class Preference:
    """That an adapter is tuned on pairs, and on which.

    Attributes:
        method: ``dpo``: from the bare base. ``sft+dpo``: from the adapter that the same settings
            train on the answers first.
        pairs: Name of their table; no part of an identity.
        digest: Of the pairs; empty until they are made.
    """

    method: Literal["dpo", "sft+dpo"]
    pairs: str
    digest: str = ""
    settings: PreferenceSettings = PreferenceSettings()


@dataclass(frozen=True)
class FinetuneSpec(TrainingSettings):
    """One adapter to be trained.

    Attributes:
        name: Unique in the configuration, a folder name, e.g. ``counsel-n525-s0``.
        label: As printed in tables.
        base: Weights, dtype (also of the computation) and quantisation; without an adapter.
        prompt: The prompt that it is trained under, and evaluated under.
        chat: Whether prompts go through the base's chat template; else ``prompt.text``.
        train_size: Rows that are trained on; null means all. Smaller sets are part of larger ones.
        sources: Sources of the rows that are trained on; empty means all.
        seed: Of order, dropout and the adapter's start.
        lora: The adapter's shape.
        training_version: ``TRAINING_VERSION`` when the adapter was trained.
        preference: The tuning on pairs; null where there is none.
    """

    name: str
    label: str
    base: ModelSpec
    prompt: Prompt
    chat: bool
    train_size: int | None = None
    sources: tuple[str, ...] = ()
    seed: int = 0
    lora: Lora = field(default_factory=Lora)
    training_version: int = TRAINING_VERSION
    preference: Preference | None = None

    @property
    def learns_answers(self) -> bool:
        """Whether it is trained on the answers of the training rows."""
        return self.preference is None or self.preference.method == "sft+dpo"

    def on_pairs(self) -> "FinetuneSpec":
        """Return the settings under which the tuning on pairs goes.

        Raises:
            ValueError: There is none.
        """
        if self.preference is None:
            raise ValueError(f"{self.name} is not tuned on pairs")
        own = self.preference.settings
        return replace(
            self,
            learning_rate=own.learning_rate,
            epochs=own.epochs,
            max_steps=own.max_steps,
            lora=replace(self.lora, dropout=0.0),
        )

    @property
    def modules(self) -> tuple[str, ...]:
        """Names of the layers that get an update."""
        encoder_decoder = self.base.is_encoder_decoder
        return self.lora.modules or (("q", "v") if encoder_decoder else ("q_proj", "v_proj"))

    def identity(self) -> dict[str, object]:
        """Return the settings that change the adapter; rows and weights are not among them."""
        fields = asdict(self)
        for absent in _NOT_IDENTITY:
            del fields[absent]
        if self.preference is None:  # as before there was one
            del fields["preference"]
        else:
            del fields["preference"]["pairs"]
        lora = asdict(self.lora) | {"modules": self.modules}
        if not self.lora.exclude:  # ids of adapters that were trained before there was one
            del lora["exclude"]
        return fields | {
            "base": self.base.identity(),
            "prompt": {
                "text": self.prompt.text,
                "messages": [asdict(m) for m in self.prompt.messages],
                "ending": self.prompt.ending,
            },
            "lora": lora,
        }

    def digest(self, base_fingerprint: str, data_digest: str) -> str:
        """Return 64 hex digits that stand for the adapter: settings, weights of the base, rows."""
        return digest([self.identity(), base_fingerprint, data_digest])

    def id(self, base_fingerprint: str, data_digest: str) -> str:
        """Return what the adapter's folder is called, e.g. ``counsel-n525-s0-2e31b18d``."""
        return f"{self.name}-{self.digest(base_fingerprint, data_digest)[:8]}"


@dataclass(frozen=True, slots=True)
class Pair:
    """One row before it is tokens.

    Attributes:
        example: Id of the example.
    """

    example: str
    context: Context
    response: str


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One training row.

    Attributes:
        input_ids: A decoder's: prompt, answer, end token. An encoder's: the prompt.
        labels: A decoder's: as long as ``input_ids``, at each position the id that stands there
            (the model shifts them itself) or ``IGNORED``. An encoder-decoder's: answer, end token.
        n_prompt: Tokens of the prompt.
        start: What an encoder-decoder's decoder begins with, before the labels; null for a decoder.
        prompt_cut: Whether the question was cut.
        response_cut: Whether the answer was cut; such a row has no end token.
    """

    example: str
    input_ids: tuple[int, ...]
    labels: tuple[int, ...]
    n_prompt: int
    prompt_cut: bool = False
    response_cut: bool = False
    start: int | None = None


@dataclass(frozen=True, slots=True)
class PreferenceRow:
    """Two replies to one prompt, of which one is preferred, as the training takes them.

    Attributes:
        example: Id of the pair.
        chosen: Prompt and preferred reply.
        rejected: The same prompt and the other reply.
        reference: Log-probabilities of the labels of both, chosen first, under the model that the
            tuning starts from; null until they are taken.
    """

    example: str
    chosen: TrainingRow
    rejected: TrainingRow
    reference: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One question of the preflight, and its answer.

    Attributes:
        name: E.g. ``labels-shifted``; what ``--allow`` takes.
        ok: Whether training may go on.
        evidence: What was seen: counts, or one row.
        remedy: What to do; empty if nothing has to be done.
    """

    name: str
    ok: bool
    evidence: str
    remedy: str = ""
