"""Text → LaTeX source that any pdflatex document can set: plain ASCII, no package needed."""

import re
import unicodedata


class Tex(str):
    """LaTeX source: not escaped again."""

    __slots__ = ()


_ASCII = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "`": r"\textasciigrave{}",
    '"': "''",
    "[": "{[}",  # would be the argument of a line break before it
    "]": "{]}",
    "*": "{*}",
    **{c: f"\\{c}" for c in "{}$&#_%"},
}
_SYMBOLS = {
    "\N{EN DASH}": "--",
    "\N{EM DASH}": "---",
    "\N{LEFT SINGLE QUOTATION MARK}": "`",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": "``",
    "\N{RIGHT DOUBLE QUOTATION MARK}": "''",
    "\N{HORIZONTAL ELLIPSIS}": r"\ldots{}",
    "\N{BULLET}": r"\textbullet{}",
    "\N{MIDDLE DOT}": r"$\cdot$",
    "\N{MINUS SIGN}": "$-$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "\N{LESS-THAN OR EQUAL TO}": r"$\leq$",
    "\N{GREATER-THAN OR EQUAL TO}": r"$\geq$",
    "\N{UPWARDS ARROW}": r"$\uparrow$",
    "\N{DOWNWARDS ARROW}": r"$\downarrow$",
    "\N{RIGHTWARDS ARROW}": r"$\rightarrow$",
    "\N{LEFTWARDS ARROW}": r"$\leftarrow$",
    "\N{DAGGER}": r"$\dagger$",
    "\N{DOUBLE DAGGER}": r"$\ddagger$",
    "\N{DEGREE SIGN}": r"$^\circ$",
    "\N{MICRO SIGN}": r"$\mu$",
    "\N{SECTION SIGN}": r"\S{}",
    "\N{COPYRIGHT SIGN}": r"\copyright{}",
    "\N{POUND SIGN}": r"\pounds{}",
    "\N{NO-BREAK SPACE}": "~",
    "\N{LATIN SMALL LETTER SHARP S}": r"\ss{}",
    "\N{LATIN SMALL LETTER AE}": r"\ae{}",
    "\N{LATIN CAPITAL LETTER AE}": r"\AE{}",
    "\N{LATIN SMALL LIGATURE OE}": r"\oe{}",
    "\N{LATIN CAPITAL LIGATURE OE}": r"\OE{}",
    "\N{LATIN SMALL LETTER O WITH STROKE}": r"\o{}",
    "\N{LATIN CAPITAL LETTER O WITH STROKE}": r"\O{}",
    "\N{LATIN SMALL LETTER L WITH STROKE}": r"\l{}",
    "\N{LATIN CAPITAL LETTER L WITH STROKE}": r"\L{}",
    "\N{LATIN SMALL LETTER DOTLESS I}": r"\i{}",
    **dict.fromkeys("\n\r\t\f\v", " "),
}
_GREEK = {
    name: f"$\\{name.lower()}$"
    for name in ("ALPHA", "BETA", "GAMMA", "DELTA", "EPSILON", "LAMDA", "MU", "PI", "RHO", "SIGMA",
                 "TAU", "CHI", "OMEGA")
}  # fmt: skip
_SYMBOLS |= {
    unicodedata.lookup(f"GREEK SMALL LETTER {name}"): tex.replace("lamda", "lambda")
    for name, tex in _GREEK.items()
}
_ACCENTS = {
    "\N{COMBINING GRAVE ACCENT}": "`",
    "\N{COMBINING ACUTE ACCENT}": "'",
    "\N{COMBINING CIRCUMFLEX ACCENT}": "^",
    "\N{COMBINING TILDE}": "~",
    "\N{COMBINING DIAERESIS}": '"',
    "\N{COMBINING MACRON}": "=",
    "\N{COMBINING DOT ABOVE}": ".",
    "\N{COMBINING BREVE}": "u",
    "\N{COMBINING CARON}": "v",
    "\N{COMBINING DOUBLE ACUTE ACCENT}": "H",
    "\N{COMBINING RING ABOVE}": "r",
    "\N{COMBINING CEDILLA}": "c",
}
_SPECIAL = re.compile(r"[^ !#-Z^-~]|[#$%&*^_`{|}~<>]|-(?=-)|,(?=,)|'(?=')")
"""Whatever needs another spelling; of ``--``, ``,,`` and ``''``, which TeX joins, the first."""


def escape(value: object) -> str:
    """Return *value* as LaTeX source; ``Tex`` is returned as it is.

    One pass over the text, each special character replaced as a whole, so that nothing is
    replaced twice. A character that pdflatex's standard fonts lack becomes ``[U+1F600]``.
    """
    if isinstance(value, Tex):
        return value
    return _SPECIAL.sub(lambda match: _spelled(match[0]), str(value))


def _spelled(char: str) -> str:
    if char in "-,'":
        return f"{char}{{}}"
    known = _ASCII.get(char) or _SYMBOLS.get(char)
    if known is not None:
        return known
    parts = unicodedata.normalize("NFD", char)
    if len(parts) == 2 and parts[1] in _ACCENTS and parts[0].isascii() and parts[0].isalpha():
        return f"\\{_ACCENTS[parts[1]]}{{{parts[0]}}}"
    return f"{{[}}U+{ord(char):04X}{{]}}"


def label(text: str) -> Tex:
    """Return *text* as the name of a label, of characters that are safe in one."""
    return Tex(re.sub(r"[^A-Za-z0-9:._-]+", "-", text))
