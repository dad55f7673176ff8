"""BERTScore: greedy matching of token embeddings, by ``bert_score``'s own functions.

Zhang et al. (2020), https://arxiv.org/abs/1904.09675. References are embedded once and serve
all conditions; ``bert_score`` would embed them anew at each call.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import polars as pl

from empathy_core import weights
from empathy_core.metrics import _encoders as encoders
from empathy_core.metrics._bert_score_tables import baseline, tuned_layer
from empathy_core.metrics._parts import (
    Remark,
    as_means,
    chunks,
    means,
    row_share,
    signature,
    version,
)
from empathy_core.metrics._several import Choice, greatest, of_rows
from empathy_core.types import Column, digest
from empathy_core.visible import NORM, as_read

GROUP = "BERTScore"


@dataclass(frozen=True, slots=True)
class _EmbeddedText:
    """An embedded text.

    Attributes:
        vectors: Of shape (tokens, dimensions); null if the text has no token of its own, or none
            that weighs anything.
        weights: Of shape (tokens,); 0 for special tokens, else 1 or the idf.
        cut: The text was longer than the encoder takes.
    """

    vectors: Any = None
    weights: Any = None
    cut: bool = False


@dataclass(frozen=True)
class Metric:
    """Precision, recall and F1 of an answer's tokens against its reference's.

    An answer without a token has raw scores of 0 and is counted: one of which nothing is visible,
    one of special tokens alone, and one all of whose tokens have weight 0 (under idf: each stands
    in every reference). A row whose reference is such a text is unscored.

    Attributes:
        model: Encoder: Hub id, folder, or ``pypi:<distribution>/<path>``.
        revision: Of a Hub id; null means ``main``.
        layer: Whose output is compared; null takes ``bert_score``'s choice for models it knows.
        idf: Weigh tokens by how few references of the run have them.
        rescale: Put unrelated English sentences at 0, by ``bert_score``'s table.
        batch_size: Texts a batch; scores differ by rounding (1e-7) under another.
        references: Of several references the ``best`` precision, recall and F1 count, each on its
            own (as in ``bert_score``), or the ``mean`` of them.
    """

    model: str = "google-bert/bert-base-uncased"
    revision: str | None = None
    layer: int | None = None
    idf: bool = False
    rescale: bool = False
    batch_size: int = 64
    references: Choice = "best"

    why_unscored: ClassVar[Remark] = Remark(
        "no token that counts in the reference, or no finite number"
    )

    def __post_init__(self) -> None:
        if self.layer is None:
            object.__setattr__(self, "layer", tuned_layer(self.model))
        if self.rescale:
            baseline(self.model, self._layer)  # refused now rather than in the score task

    @property
    def columns(self) -> tuple[Column, ...]:
        """Precision, recall, F1; shares of rows with a text that was cut, and with no answer."""
        parts = (("precision", "Precision"), ("recall", "Recall"), ("f1", "F1"))
        # of cosines; F1 leaves this range only where precision and recall differ in sign
        least = self._rescaled(np.full(len(parts), -1.0))
        main = [
            Column(f"bertscore_{n}", label, main=True, group=GROUP, least=float(low), most=1)
            for (n, label), low in zip(parts, least, strict=True)
        ]
        counts = (("truncated", "Cut by the encoder"), ("empty", "Scored 0 as empty"))
        return as_means(
            [*main, *(row_share(f"bertscore_{n}", label, GROUP) for n, label in counts)]
        )

    @property
    def statistics(self) -> tuple[str, ...]:
        """The columns of one row, and 1."""
        return ("precision", "recall", "f1", "truncated", "empty", "n")

    def signature(self) -> str:
        """Return the settings, the encoder's content, and the versions of the libraries."""
        return signature(
            nrefs=1, model=encoders.short_name(self.model), layer=self.layer,
            idf=self._idf_name(), rescale="en-baseline" if self.rescale else "no",
            match="unpadded", empty="0", norm=NORM, prefix_space="yes", dtype="float32",
            batch=self.batch_size,
            weights=encoders.fingerprint(self.model, self.revision),
            bert_score=version("bert-score"), transformers=version("transformers"),
        )  # fmt: skip

    def prepare(self, references: Sequence[str]) -> "Metric":
        """Return itself, or under idf a metric that knows the weights of the run's tokens."""
        if not self.idf:
            return self
        from bert_score.utils import get_idf_dict

        texts = [as_read(text) for text in references]
        counts = get_idf_dict(texts, self._encoder.tokenizer, nthreads=0)
        settings = {f.name: getattr(self, f.name) for f in fields(Metric)}
        known = tuple(sorted(counts.items()))
        return _WithIdf(**settings, known=known, unseen=math.log(len(references) + 1))

    def reference_state(self, references: Sequence[str]) -> list[_EmbeddedText]:
        """Embed the references."""
        return self._embedded(references)

    def measure(self, rows: pl.DataFrame, state: Any) -> np.ndarray:
        """Return scores of each row; batches are formed within the texts given, by length."""
        answers, references = self._embedded(rows["text"].to_list()), list(state)
        found = np.zeros((rows.height, len(self.statistics)))
        pairs = list(zip(answers, references, strict=True))
        found[:, 3] = [answer.cut or reference.cut for answer, reference in pairs]
        found[:, 4] = [answer.vectors is None for answer in answers]
        found[:, 5] = 1
        for i, pair in enumerate(pairs):
            if pair[1].vectors is None:
                found[i] = np.nan
            elif pair[0].vectors is not None:
                found[i, :3] = _matched(*pair)
        found[:, :3] = self._rescaled(found[:, :3])
        found[~np.isfinite(found).all(axis=1)] = np.nan
        return found

    def score(self, sums: np.ndarray) -> np.ndarray:
        """Reduce sums to means."""
        return means(sums, len(self.columns))

    def united(self, statistics: np.ndarray) -> np.ndarray:
        """Return the greatest precision, recall and F1, whichever references they are against."""
        return greatest(statistics)

    def recheck(self, rows: pl.DataFrame) -> np.ndarray:
        """Score each row alone by ``bert_score``, its own loading and layer dropping included.

        Its known faults are kept out: texts without a token that counts never reach it, its
        tokenizer gets a limit of length and a space before the first word. The shares are not its
        business: NaN.
        """
        from bert_score.utils import bert_cos_score_idf

        model, encoder, table = self._reference_model(), self._encoder, self._weights()
        found = np.full((rows.height, len(self.columns)), np.nan)
        for i, (text, references) in enumerate(of_rows(rows)):
            there = [of for of in references if self._comparable(encoder.ids(of), table)]
            if not there:
                continue
            if not self._comparable(encoder.ids(text), table):
                found[i, :3] = 0
                continue
            each = [
                bert_cos_score_idf(
                    model, [of], [text], encoder.tokenizer, table, batch_size=1,
                    device=encoder.device,
                )[0].numpy()
                for of in there
            ]  # fmt: skip
            found[i, :3] = np.max(each, axis=0)
        found[:, :3] = self._rescaled(found[:, :3])
        return found

    @property
    def _layer(self) -> int:
        return int(self.layer or 0)

    @property
    def _encoder(self) -> encoders.TokenEncoder:
        return encoders.token_encoder(self.model, self.revision, self._layer)

    def _reference_model(self) -> Any:
        from bert_score.utils import get_model

        folder = str(weights.locate(self.model, self.revision))
        ours = self._encoder.model
        if ("t5" in folder) != (ours.config.model_type == "t5"):
            return ours  # bert_score tells a T5 by these letters, and would load the wrong class
        with encoders.loading(self.model):
            return get_model(folder, self._layer).float().to(self._encoder.device)

    def _idf_name(self) -> str:
        return "unprepared" if self.idf else "no"

    def _weights(self) -> defaultdict[int, float]:
        """Return token → weight; the special tokens around a text weigh nothing."""
        tokenizer = self._encoder.tokenizer
        table: defaultdict[int, float] = defaultdict(lambda: 1.0)
        return table | {tokenizer.sep_token_id: 0.0, tokenizer.cls_token_id: 0.0}

    def _rescaled(self, scores: np.ndarray) -> np.ndarray:
        if not self.rescale:
            return scores
        zero = np.array(baseline(self.model, self._layer))
        rescaled: np.ndarray = (scores - zero) / (1 - zero)
        return rescaled

    def _comparable(self, ids: Sequence[int], table: Mapping[int, float]) -> bool:
        """Tell whether any of a text's tokens but special ones weighs something."""
        special = self._encoder.special
        return any(table[token] > 0 for token in ids if token not in special)

    def _embedded(self, texts: Sequence[str]) -> list[_EmbeddedText]:
        """Embed texts, equal ones once, in batches of like length."""
        encoder, table = self._encoder, self._weights()
        texts = [as_read(text) for text in texts]
        ids = {text: encoder.ids(text) for text in dict.fromkeys(texts)}
        order = [text for text in ids if self._comparable(ids[text], table)]
        order.sort(key=lambda text: (-len(ids[text]), text))
        found = {text: _EmbeddedText() for text in ids}
        for batch in chunks(order, self.batch_size):
            vectors = encoder.vectors([ids[text] for text in batch])
            for text, rows in zip(batch, vectors, strict=True):
                own = rows.new_tensor([table[token] for token in ids[text]])
                found[text] = _EmbeddedText(rows, own, encoder.cuts(text, ids[text]))
        return [found[text] for text in texts]


@dataclass(frozen=True)
class _WithIdf(Metric):
    """The metric with the inverse document frequencies of one run's references.

    Attributes:
        known: (token, weight) of every token that some reference has.
        unseen: Weight of any other token.
    """

    known: tuple[tuple[int, float], ...] = ()
    unseen: float = 0.0

    def _idf_name(self) -> str:
        return digest([self.known, self.unseen], 12)

    def _weights(self) -> defaultdict[int, float]:
        return defaultdict(lambda: self.unseen, self.known)


def _matched(answer: _EmbeddedText, reference: _EmbeddedText) -> np.ndarray:
    """Match one row as a batch of its own; return precision, recall, F1.

    In a padded batch ``bert_score`` takes 0 for the best match of a token whose similarities
    are all negative, so that a row's score depends on its neighbours (seen: by 2e-3 for an
    answer of one word, by 1e-4 for one of 40).
    """
    import torch
    from bert_score.utils import greedy_cos_idf

    def alone(text: _EmbeddedText) -> tuple[Any, Any, Any]:
        mask = torch.ones(1, len(text.weights), dtype=torch.bool, device=text.vectors.device)
        return text.vectors[None].clone(), mask, text.weights[None].clone()  # changed in place

    with torch.no_grad():
        parts = greedy_cos_idf(*alone(reference), *alone(answer))
    return np.array([float(part) for part in parts])
