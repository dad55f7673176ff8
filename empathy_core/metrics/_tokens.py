"""How texts become tokens, by sacreBLEU's tokenizers; and which scripts a tokenizer misreads."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

import regex  # type: ignore[import-untyped]  # has no stubs

BySacrebleu = Literal["13a", "intl", "zh", "char"]
"""``13a`` and ``intl`` split at spaces and punctuation (ASCII's, Unicode's), ``zh`` between Chinese
characters as well, ``char`` everywhere."""

Tokenizer = BySacrebleu | Literal["rouge_score"]
"""``rouge_score``'s own keeps runs of a-z and 0-9, and drops all else."""

Tokenize = Callable[[str], list[str]]

LATIN_WORDS = re.compile("[a-z0-9]+")
_CHINESE = r"\p{Han}"
_UNSPACED = r"\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
_LETTERS = r"[\p{L}\p{N}]"
_STRANGE: dict[str, Any] = {
    name: regex.compile(letters, regex.VERSION1)
    for name, letters in (
        ("rouge_score", rf"[{_LETTERS}--[A-Za-z0-9]]"),
        ("13a", rf"[{_LETTERS}&&[{_CHINESE}{_UNSPACED}]]"),
        ("intl", rf"[{_LETTERS}&&[{_CHINESE}{_UNSPACED}]]"),
        ("zh", rf"[{_LETTERS}&&[{_UNSPACED}]]"),
    )
}
"""Letters and digits that a tokenizer drops, or finds no words in. ``char`` reads all."""
_LETTER = regex.compile(_LETTERS)


@lru_cache(maxsize=8)
def sacrebleu_tokenizer(name: BySacrebleu) -> Any:
    """Return what turns a text into tokens joined by spaces."""
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(tokenize=name).tokenizer


def misread(text: str, tokenizer: Tokenizer) -> bool:
    """Tell whether most letters and digits of *text* are of scripts *tokenizer* is not made for.

    It drops them, or takes whole sentences of a script without spaces for one word.
    """
    if tokenizer == "char" or text.isascii():
        return False
    strange = len(_STRANGE[tokenizer].findall(text))
    return strange > 0 and 2 * strange > len(_LETTER.findall(text))


def advice(metric: str) -> str:
    """Return what to set where texts are misread."""
    return (
        f"For such texts set metrics.{metric}.tokenizer: zh for Chinese, char for Japanese or "
        "Thai, intl for other scripts."
    )
