"""``[finetune.<name>]``: what is trained, and the axes along which it is varied."""

from typing import Annotated, Literal

from pydantic import Field

from empathy_core.training.spec import Batching, Labels
from empathy_core.types import Dtype, Quantization
from jobs.config.strict import Above0, Positive, Share, Table
from slurm.profile import Resources

Sources = Annotated[tuple[str, ...], Field(min_length=1)] | Literal["all"]


class FinetuneTable(Table):
    """``[finetune.<name>]``; the defaults are the paper's where it says (section 5.1.2).

    Axes: an adapter is trained for each of ``train_sizes``, ``sources`` and
    ``seeds``, combined.

    Attributes:
        base: A model of this configuration, or one that ships.
        format: ``chat``: the base's chat template. ``plain``: the prompt's text. Null: as the
            base is asked.
        quantization: Of the base while it is trained and evaluated; ``none`` for plain LoRA.
        modules: Names of the linear layers that get an update; empty means those of queries and
            values, as the base calls them.
        exclude: Patterns of whole names of layers that get none, e.g. ``model.layers.0.*``.
        prompt_chosen: On which rows the prompt was chosen; a table that compares on the test
            split says so if it was there.
        evaluate: Whether the sweep answers with the adapter and with its base.
        allow: Names of preflight findings that do not stop the training.
        processes: Processes of one node, a GPU each; null means as many as there are GPUs.
    """

    base: str
    label: str | None = None
    prompt: str = "prompt2"
    prompt_chosen: Literal["beforehand", "validation", "test"] = "beforehand"
    format: Literal["chat", "plain"] | None = None
    labels: Labels = "response"
    train_sizes: tuple[Positive | Literal["all"], ...] = Field(("all",), min_length=1)
    sources: tuple[Sources, ...] = Field(("all",), min_length=1)
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field((0,), min_length=1)
    quantization: Quantization | Literal["none"] = "nf4"
    double_quantization: bool = False
    dtype: Dtype | None = None
    r: Positive = 8
    alpha: Above0 = 16.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    modules: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
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
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: Above0 = 0.3
    gradient_checkpointing: bool = False
    evaluations: Positive = 1
    validation_limit: Positive | None = None
    patience: Annotated[int, Field(ge=0)] = 0
    samples: Annotated[int, Field(ge=0)] = 3
    checkpoint_steps: Positive = 50
    max_cut_share: Share = 0.1
    allow: tuple[str, ...] = ()
    trackers: tuple[str, ...] = ("tensorboard",)
    processes: Positive | None = None
    decodings: tuple[str, ...] = ("greedy",)
    evaluate: bool = True
    shards: Positive | None = None
    published: str = ""
    slurm: Resources | None = None
