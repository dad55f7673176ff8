"""Weights and tokenizers: where they lie on this machine, and what they are."""

from empathy_core.weights.folders import (
    ADAPTER,
    RECORD,
    adapter_fingerprint,
    fingerprint,
    locate,
    model_fingerprint,
    recorded,
    same,
    tokenizer_digest,
    tokenizer_folder,
)

__all__ = [
    "ADAPTER", "RECORD",
    "adapter_fingerprint", "fingerprint", "locate", "model_fingerprint", "recorded",
    "same", "tokenizer_digest", "tokenizer_folder",
]  # fmt: skip
