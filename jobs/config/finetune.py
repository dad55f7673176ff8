"""``[finetune.<name>]``: what is trained, and the axes along which it is varied."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from empathy_core.bounds import Label, NotNegative, Positive
from empathy_core.training.spec import Lora, PreferenceSettings, TrainingSettings
from empathy_core.types import Dtype, Quantization
from slurm.profile import Resources

Sources = Annotated[tuple[str, ...], Field(min_length=1)] | Literal["all"]


@dataclass(frozen=True, kw_only=True)
class FinetuneTable(TrainingSettings, Lora):
    """``[finetune.<name>]``; the defaults are the paper's where it says (section 5.1.2).

    Axes: an adapter is trained for each of ``train_sizes``, ``sources`` and
    ``seeds``, combined.

    Attributes:
        base: A model of this configuration, or one that ships.
        label: As printed in tables; null means the base's label and "fine-tuned".
        prompt: Name of a prompt, or path to one's own: trained under, and evaluated under.
        prompt_chosen: On which rows the prompt was chosen; a table that compares on the test
            split says so if it was there.
        format: ``chat``: the base's chat template. ``plain``: the prompt's text. Null: as the
            base is asked.
        train_sizes: Rows that are trained on; smaller sets are part of larger ones.
        sources: Sources of the rows that are trained on: a list of names each, or ``all``.
        seeds: Of order, dropout and the adapter's start.
        quantization: Of the base while it is trained and evaluated; ``none`` for plain LoRA.
        double_quantization: Whether the scales of a 4-bit quantisation are quantised too.
        dtype: Of weights and computation; null means the base's.
        decodings: Names of the decodings that the adapter and its base are evaluated with.
        evaluate: Whether the sweep answers with the adapter and with its base.
        shards: Into how many array tasks the answering is cut; null means as the base's.
        published: Name of the adapter's rows in the published tables; empty if none.
        slurm: Resources of the training, over those of ``[slurm.finetune]``; null means none.
        method: ``sft``: on the answers of the training rows. ``dpo``: on preference pairs, from
            the bare base. ``sft+dpo``: first on the answers, and then on pairs, from that adapter.
        pairs: Key of the table ``[pairs.<name>]`` that is tuned on; null without such a method.
        dpo: How it is tuned on pairs.
    """

    base: str
    label: Label | None = None
    prompt: str = "prompt2"
    prompt_chosen: Literal["beforehand", "validation", "test"] = "beforehand"
    format: Literal["chat", "plain"] | None = None
    train_sizes: Annotated[tuple[Positive | Literal["all"], ...], Field(min_length=1)] = ("all",)
    sources: Annotated[tuple[Sources, ...], Field(min_length=1)] = ("all",)
    seeds: Annotated[tuple[NotNegative, ...], Field(min_length=1)] = (0,)
    quantization: Quantization | Literal["none"] = "nf4"
    double_quantization: bool = False
    dtype: Dtype | None = None
    decodings: tuple[str, ...] = ("greedy",)
    evaluate: bool = True
    shards: Positive | None = None
    published: str = ""
    slurm: Resources | None = None
    method: Literal["sft", "dpo", "sft+dpo"] = "sft"
    pairs: str | None = None
    dpo: PreferenceSettings = field(default_factory=PreferenceSettings)
