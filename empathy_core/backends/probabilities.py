"""How probable each of a few given answers is, as a model's continuation of a prompt.

Prompts and labels are token ids. The probability of a label is that of its tokens, one after
another; nothing of the model's generation settings is applied, neither penalties nor tokens that
it is made to begin with (see ``decoder_input``).
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import signature
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from empathy_core.backends.generation_settings import ALONE
from empathy_core.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

Ids = tuple[int, ...]
Following = Callable[[Ids], "Tensor"]
"""From tokens after each prompt to the logits of what comes next, of shape (prompts, tokens + 1,
vocabulary): before the first of them, and after each."""

SHARED_TOKENS = 32
"""A beginning that the prompts of a batch share is computed once from this length on; a shorter one
costs less than another call of the model."""


@dataclass(frozen=True, slots=True)
class LabelProbabilities:
    """What a model makes of one prompt's labels.

    Attributes:
        labels: Their token ids.
        probabilities: One a label, normalised so that they sum to 1. Not a number (NaN) if no
            label is possible at all.
        mass: Their sum before that: how much of the model's probability the labels have together,
            from 0 to 1. 0 where it is less than the smallest number there is; the probabilities
            are sound even then.
    """

    labels: tuple[Ids, ...]
    probabilities: tuple[float, ...]
    mass: float

    @classmethod
    def of(cls, labels: Sequence[Ids], logs: Sequence[float]) -> "LabelProbabilities":
        """Normalise the logarithms of probabilities (log-sum-exp).

        Args:
            labels: Distinct, none the beginning of another; see ``check_labels``.
            logs: Natural logarithm of each one's probability; ``-inf`` for an impossible one.

        Raises:
            ModelError: One is not a number.
        """
        if any(map(math.isnan, logs)):
            msg = (
                "the model's scores of labels are not numbers (NaN); expected finite ones; use "
                "bfloat16 or float32"
            )
            raise ModelError(msg)
        most = max(logs)
        if most == -math.inf:
            return cls(tuple(labels), (math.nan,) * len(labels), 0.0)
        shares = [math.exp(log - most) for log in logs]
        total = math.fsum(shares)
        # the last digit of a sum of probabilities may be above 1
        mass = min(math.exp(most + math.log(total)), 1.0)
        return cls(tuple(labels), tuple(share / total for share in shares), mass)


def check_labels(labels: Sequence[Ids], n_tokens: int | None = None) -> None:
    """Refuse labels whose probabilities could not be told apart.

    If one label is the beginning of another ("1" and "10"), every answer that begins with the
    second begins with the first too, and their probabilities would count it twice. With the token
    that ends a turn at the end of each, the labels are answers as a whole.

    Args:
        labels: Their token ids.
        n_tokens: How many tokens the model knows; null if that is not known.

    Raises:
        ModelError: There is none; one is empty, there twice, or the beginning of another; or a
            token is none of the model's.
    """
    if not labels or not all(labels):
        msg = f"a label has no tokens: {list(labels)}; expected one or more each; leave it out"
        raise ModelError(msg)
    for i, one in enumerate(labels):
        for other in (*labels[:i], *labels[i + 1 :]):
            if other[: len(one)] == one:
                how = "is there twice" if other == one else f"is the beginning of {list(other)}"
                msg = (
                    f"the label with tokens {list(one)} {how}; expected labels of which each "
                    "answer can be only one; leave one out, or put the token that ends an answer "
                    "at the end of each"
                )
                raise ModelError(msg)
    known = math.inf if n_tokens is None else n_tokens
    wrong = [token for label in labels for token in label if not 0 <= token < known]
    if wrong:
        msg = (
            f"a label has token {wrong[0]}, but the model knows {n_tokens}; expected ids below "
            "that; encode labels with the model's own tokenizer"
        )
        raise ModelError(msg)


def label_probabilities(
    model: Any,
    prompts: Sequence[Sequence[int]],
    labels: Sequence[Sequence[int]],
    *,
    decoder_input: Sequence[int] = (),
) -> list[LabelProbabilities]:
    """Return the probabilities of *labels* after each prompt, in the order of the prompts.

    A decoder reads each distinct prompt once, and a beginning that all of them share once for all;
    each distinct beginning of a label is one more call with the keys and values kept. An encoder
    reads each distinct prompt once, and its decoder what comes before a label's last token. In
    float32 a row's numbers are the same in every batch up to rounding.

    Args:
        model: A loaded transformers model, in evaluation mode; a decoder or an encoder-decoder.
        prompts: Token ids of one batch, one or more each.
        labels: Token ids, one or more each; two may begin alike. See ``check_labels``.
        decoder_input: Ids that an encoder-decoder's answer begins with: its start token, and the
            token that it is made to begin with if there is one. Empty for a decoder.

    Raises:
        ModelError: The labels cannot be told apart, or a score is not a number.
    """
    import torch

    wanted = [tuple(label) for label in labels]
    check_labels(wanted, model.get_output_embeddings().weight.shape[0])
    rows = [tuple(prompt) for prompt in prompts]
    distinct = list(dict.fromkeys(rows))
    if not distinct:
        return []
    with torch.inference_mode():
        following = _following(model, distinct, tuple(decoder_input))
        logs = _log_probabilities(following, wanted).tolist()
    made = {
        prompt: LabelProbabilities.of(wanted, of_row)
        for prompt, of_row in zip(distinct, logs, strict=True)
    }
    return [made[row] for row in rows]


def _log_probabilities(following: Following, labels: Sequence[Ids]) -> "Tensor":
    """Return the sums over each label's tokens, of shape (prompts, labels), in float64."""
    import torch

    of_last: dict[Ids, Tensor] = {}  # beginning of a label → log-probabilities of its last token
    for stem in _longest({label[:-1] for label in labels}):
        scores = following(stem).double().log_softmax(-1)
        beginnings = {label[: k + 1] for label in labels for k in range(len(label))}
        for path in beginnings - of_last.keys():
            if path[:-1] == stem[: len(path) - 1]:
                of_last[path] = scores[:, len(path) - 1, path[-1]]
    steps = [[of_last[label[: k + 1]] for k in range(len(label))] for label in labels]
    return torch.stack([torch.stack(of_label).sum(0) for of_label in steps], 1)


def _longest(stems: set[Ids]) -> list[Ids]:
    """Return those that are not the beginning of another."""
    return sorted(s for s in stems if not any(o != s and o[: len(s)] == s for o in stems))


def _following(model: Any, prompts: list[Ids], decoder_input: Ids) -> Following:
    if model.config.is_encoder_decoder:
        return _after_encoder(model, prompts, decoder_input)
    return _Cached(model, prompts) if _keeps_keys(model) else _one_by_one(model, prompts)


def _keeps_keys(model: Any) -> bool:
    """Tell whether all that a decoder keeps of a prompt are keys and values, and padding is none.

    A recurrent state (Mamba) cannot be moved from one row to another with other padding.
    """
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    if model.config.model_type in ALONE or not _takes(model, "past_key_values"):
        return False
    layers = DynamicCache(config=model.config).layers
    return all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers)


def _takes(model: Any, name: str) -> bool:
    return name in signature(model.forward).parameters


class _Cached:
    """A decoder that has read its prompts; padding stands on the left."""

    def __init__(self, model: Any, prompts: list[Ids]) -> None:
        import torch

        self._model = model
        width = max(map(len, prompts))
        n_padding = torch.tensor([width - len(prompt) for prompt in prompts]).to(model.device)
        ids = torch.tensor([[0] * (width - len(p)) + list(p) for p in prompts]).to(model.device)
        self._mask = (torch.arange(width, device=model.device) >= n_padding[:, None]).long()
        columns = zip(*(prompt[:-1] for prompt in prompts), strict=False)
        n_shared = len(list(takewhile(lambda tokens: len(set(tokens)) == 1, columns)))
        if len(prompts) > 1 and n_shared >= SHARED_TOKENS:
            self._cache = self._read_once(prompts[0][:n_shared], n_padding)
        else:
            n_shared, self._cache = 0, _new_cache()
        self._last = self._logits(ids[:, n_shared:], self._mask, self._cache, keep=1)

    def __call__(self, stem: Ids) -> "Tensor":
        """Return the logits after the prompts and each token of *stem*; see ``Following``."""
        import torch

        if not stem:
            return self._last
        ids = torch.tensor([stem] * len(self._mask)).to(self._mask.device)
        mask = torch.cat([self._mask, torch.ones_like(ids)], 1)
        logits = self._logits(ids, mask, copy.deepcopy(self._cache), keep=len(stem))
        return torch.cat([self._last, logits], 1)

    def _read_once(self, shared: Ids, n_padding: "Tensor") -> Any:
        """Return the keys and values of what all prompts begin with, behind each row's padding.

        Columns of the result are those of the padded batch: as many as *shared* has tokens. Where
        a row is padded, its last tokens of these find no room, and are read again with the rest.
        """
        import torch

        cache = _new_cache()
        ids = torch.tensor([shared]).to(n_padding.device)
        self._logits(ids, torch.ones_like(ids), cache, keep=1)
        columns = torch.arange(len(shared), device=n_padding.device) - n_padding[:, None]
        for layer in cache.layers:
            if layer.is_initialized:  # some layers use another's
                for name in ("keys", "values"):
                    kept = getattr(layer, name)[0]  # (heads, tokens, size)
                    moved = kept[:, columns.clamp(min=0)].transpose(0, 1)
                    setattr(layer, name, moved.contiguous())
        return cache

    def _logits(self, ids: "Tensor", mask: "Tensor", cache: Any, *, keep: int) -> "Tensor":
        """Return those of the last *keep* tokens, of shape (rows, keep, vocabulary)."""
        given: dict[str, Any] = {}
        if _takes(self._model, "position_ids"):
            given["position_ids"] = (mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        if _takes(self._model, "logits_to_keep"):
            given["logits_to_keep"] = keep
        output = self._model(
            input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True, **given
        )
        return output.logits[:, -keep:]  # type: ignore[no-any-return]  # transformers' are untyped


def _new_cache() -> Any:
    from transformers import DynamicCache

    # without a configuration it keeps all tokens of a layer with a sliding window, too; what that
    # sees is for its mask to say
    return DynamicCache()


def _one_by_one(model: Any, prompts: list[Ids]) -> Following:
    """Return a reader of each prompt alone, all of it each time, without padding."""
    import torch

    def following(stem: Ids) -> "Tensor":
        keep = len(stem) + 1
        rows = [torch.tensor([[*prompt, *stem]]).to(model.device) for prompt in prompts]
        return torch.cat([model(input_ids=ids).logits[:, -keep:] for ids in rows])

    return following


def _after_encoder(model: Any, prompts: list[Ids], decoder_input: Ids) -> Following:
    """Return a reader by a decoder, whose encoder has read the prompts; padding on the right."""
    import torch

    width = max(map(len, prompts))
    ids = torch.tensor([list(p) + [0] * (width - len(p)) for p in prompts]).to(model.device)
    lengths = torch.tensor([len(p) for p in prompts]).to(model.device)
    mask = (torch.arange(width, device=model.device) < lengths[:, None]).long()
    read = model.get_encoder()(input_ids=ids, attention_mask=mask, return_dict=True)

    def following(stem: Ids) -> "Tensor":
        given = torch.tensor([[*decoder_input, *stem]] * len(prompts)).to(model.device)
        output = model(encoder_outputs=read, attention_mask=mask, decoder_input_ids=given)
        return output.logits[:, -len(stem) - 1 :]  # type: ignore[no-any-return]  # untyped

    return following
