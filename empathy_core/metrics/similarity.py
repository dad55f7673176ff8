"""Sentence similarity: the cosine of two texts' embeddings, by ``sentence-transformers``.

Reimers and Gurevych (2019), https://aclanthology.org/D19-1410. References are embedded once and
serve all conditions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from empathy_core.metrics import _encoders as encoders
from empathy_core.metrics._parts import Remark, as_means, means, row_share, signature, version
from empathy_core.metrics._several import Choice, greatest, of_rows
from empathy_core.types import Column
from empathy_core.visible import NORM


@dataclass(frozen=True)
class Metric:
    """Cosine between answer and reference.

    An encoder gives an empty text some vector, whose cosine means nothing: such an answer scores 0
    and is counted, whether nothing of it is visible or it consists of the encoder's special
    tokens. A row whose reference is such a text is unscored.

    Attributes:
        model: Encoder: Hub id, folder, or ``pypi:<distribution>/<path>``.
        revision: Of a Hub id; null means ``main``.
        batch_size: Texts a batch; scores differ by rounding (1e-7) under another.
        references: Of several references the ``best`` cosine counts, or the ``mean``.
        label: What tables call the encoder; null takes the last part of *model*.
    """

    model: str = "sentence-transformers/all-mpnet-base-v2"
    revision: str | None = None
    batch_size: int = 64
    label: str | None = None
    references: Choice = "best"

    why_unscored: ClassVar[Remark] = Remark(
        "no token that counts in the reference, or no finite number"
    )

    @property
    def columns(self) -> tuple[Column, ...]:
        """The cosine; shares of rows with a text that was cut, and with no answer."""
        label = f"Sentence Transformer ({self.label or encoders.short_name(self.model)})"
        return as_means(
            [
                Column("similarity", label, main=True, least=-1, most=1),
                row_share("similarity_truncated", "Cut by the encoder", "Similarity"),
                row_share("similarity_empty", "Scored 0 as empty", "Similarity"),
            ]
        )

    @property
    def statistics(self) -> tuple[str, ...]:
        """The columns of one row, and 1."""
        return ("similarity", "truncated", "empty", "n")

    def signature(self) -> str:
        """Return the settings, the encoder's content, and the versions of the libraries."""
        return signature(
            nrefs=1, model=encoders.short_name(self.model), sim="cosine", empty="0", norm=NORM,
            dtype="float32", batch=self.batch_size,
            weights=encoders.fingerprint(self.model, self.revision),
            sentence_transformers=version("sentence-transformers"),
            transformers=version("transformers"),
        )  # fmt: skip

    def prepare(self, references: Sequence[str]) -> "Metric":  # noqa: ARG002 - the protocol's
        """Return itself: a cosine needs nothing of the other references."""
        return self

    def reference_state(self, references: Sequence[str]) -> encoders.Embedded:
        """Embed the references."""
        return self._embedded(references)

    def measure(self, rows: pl.DataFrame, state: Any) -> np.ndarray:
        """Return the cosine of each row; batches are formed within *rows*, by length."""
        vectors, cut, empty = self._embedded(rows["text"].to_list())
        references, reference_cut, reference_empty = state
        cosine = (vectors * references).sum(axis=1)
        found = np.column_stack([cosine, cut | reference_cut, empty, np.ones(len(cosine))])
        found[reference_empty | ~np.isfinite(cosine)] = np.nan
        return found

    def score(self, sums: np.ndarray) -> np.ndarray:
        """Reduce sums to means."""
        return means(sums, len(self.columns))

    def united(self, statistics: np.ndarray) -> np.ndarray:
        """Return the cosine with the most similar reference."""
        return greatest(statistics)

    def recheck(self, rows: pl.DataFrame) -> np.ndarray:
        """Score each row alone by ``SentenceTransformer.encode`` and ``util.cos_sim``."""
        from sentence_transformers.util import cos_sim

        found = np.full((rows.height, len(self.columns)), np.nan)
        for i, (text, references) in enumerate(of_rows(rows)):
            own, *others = encoders.text_ids(self._encoder, [text, *references])
            there = [of for of, ids in zip(references, others, strict=True) if ids]
            if not own or not there:
                found[i, 0] = 0 if there else np.nan
                continue
            each = [self._encoder.encode(of, show_progress_bar=False) for of in (text, *there)]
            found[i, 0] = max(float(cos_sim(each[0], other)[0, 0]) for other in each[1:])
        return found

    @property
    def _encoder(self) -> Any:
        return encoders.sentence_encoder(self.model, self.revision)

    def _embedded(self, texts: Sequence[str]) -> encoders.Embedded:
        return encoders.embedded(self._encoder, texts, self.batch_size)
