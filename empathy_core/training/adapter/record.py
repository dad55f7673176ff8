"""What stands beside an adapter that this suite trained."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from empathy_core.training.loop.job import Losses


@dataclass(frozen=True, slots=True)
class RowCounts:
    """How much a set of rows holds.

    Attributes:
        tokens: Of prompts and answers.
        labels: Tokens that the loss is taken on.
        prompts_cut: Rows whose question was cut.
        responses_cut: Rows whose answer was cut.
    """

    rows: int
    tokens: int
    labels: int
    prompts_cut: int
    responses_cut: int


@dataclass(frozen=True, slots=True)
class AdapterRecord:
    """What an adapter is and how it came about: ``finetune.json``.

    Attributes:
        digest: Of settings, base and rows; known before the training.
        base: ``weights``, ``revision``, ``fingerprint``, ``dtype``, ``quantization`` and others.
        data: ``digest``, ``split``, ``datasets``.
        settings: Every field of ``FinetuneSpec`` but the base.
        findings: Name of each preflight finding → ``passed`` or ``allowed``.
        best_step: Step of these weights.
        n_steps: Steps that were done.
        n_tokens: Trained on, padding excluded.
        chosen: ``validation`` or ``last``: how the checkpoint was chosen.
        adapter_sha256: Of ``adapter_model.safetensors``.
        files: Name → bytes of every other file of the folder.
        pairs: Of preference pairs: ``found``, ``kept``, ``notes``, sentences, ``cues`` as the audit
            has them, and ``held_out``, where there are such pairs; else empty.
    """

    digest: str
    name: str
    label: str
    base: Mapping[str, Any]
    data: Mapping[str, Any]
    train: RowCounts
    validation: RowCounts
    settings: Mapping[str, Any]
    findings: Mapping[str, str]
    losses: Losses
    best_step: int
    n_steps: int
    n_tokens: int
    seconds: float
    n_trainable: int
    n_weights: int
    chosen: str
    provenance: Mapping[str, str]
    adapter_sha256: str
    files: Mapping[str, int]
    pairs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def allowed(self) -> tuple[str, ...]:
        """Names of the findings in spite of which it was trained."""
        return tuple(name for name, result in self.findings.items() if result == "allowed")
