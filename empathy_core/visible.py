"""When a text shows nothing, and what a metric reads of a text. Pure.

There is one definition, and everything that asks whether an answer is empty asks it here. A text
shows nothing if it consists of these alone:

- white space and separators (Unicode's categories Zs, Zl, Zp) and control characters (Cc);
- format characters (Cf): joiners, direction marks, the soft hyphen, U+200B, U+2060, U+FEFF, tags;
  but not those that are seen (Prepended_Concatenation_Mark, such as U+0600 ARABIC NUMBER SIGN);
- what else Unicode has renderers show nothing for (Default_Ignorable_Code_Point): variation
  selectors, Hangul fillers, U+034F;
- U+2800 BRAILLE PATTERN BLANK, a space in all but name;
- the spellings of special tokens (``SPECIAL``), which a reader would not take for an answer.

Texts are stored as they are: the joiners inside an emoji or a Persian word stay.
"""

import re
import unicodedata

import regex  # type: ignore[import-untyped]  # has no stubs

SPECIAL = (
    r"<\|[^|<>\s]{1,40}\|>"  # <|im_end|>, <|eot_id|>, <|endoftext|>
    r"|</?s>|<(?:pad|unk|bos|eos|mask|extra_id_\d+|(?:start|end)_of_turn)>"
    r"|\[/?INST\]|<</?SYS>>|\[(?:PAD|UNK|CLS|SEP|MASK|EOS|BOS)\]"
    r"|</?(?:system|user|assistant)>"  # the format of the paper's section 5.2.2
    r"|\u2581"  # the space as SentencePiece writes it
)
"""Spellings of special tokens, whatever the model."""

NORM = "NFC,visible-1"
"""What ``as_read`` does, for the signatures of metrics; raise the number if it does another thing.
"""

_FORMAT = r"[\p{Cf}--\p{Prepended_Concatenation_Mark}]"
_INVISIBLE = rf"[\p{{Cc}}{_FORMAT}\p{{Default_Ignorable_Code_Point}}\u2800]"
_NOTHING = regex.compile(rf"(?:[\p{{Z}}{_INVISIBLE}]|{SPECIAL})*+", regex.VERSION1)
_INSIDE = regex.compile(rf"[{_INVISIBLE}--[\s\x1c-\x1f]]+", regex.VERSION1)
_PLAIN = re.compile(r"[ -~\s]*")


def nothing_visible(text: str) -> bool:
    """Tell whether a reader sees nothing of *text*."""
    return _NOTHING.fullmatch(text) is not None


def as_read(text: str) -> str:
    """Return *text* as metrics compare it: empty if nothing of it is visible, else in NFC.

    NFC since é is one character or two, which look the same: Unicode Standard Annex 15.
    """
    return "" if nothing_visible(text) else unicodedata.normalize("NFC", text)


def n_words(text: str) -> int:
    """Count what stands between blanks and is visible; a text of special tokens has none."""
    if nothing_visible(text):
        return 0
    return len((text if _PLAIN.fullmatch(text) else _INSIDE.sub("", text)).split())
