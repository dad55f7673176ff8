"""Text → LaTeX source that pdflatex, lualatex and xelatex set alike: plain ASCII, no package."""

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
    "\N{HYPHEN}": "-",
    "\N{NON-BREAKING HYPHEN}": "-",
    "\N{SOFT HYPHEN}": r"\-",
    "\N{LEFT SINGLE QUOTATION MARK}": "`",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": "``",
    "\N{RIGHT DOUBLE QUOTATION MARK}": "''",
    "\N{SINGLE LOW-9 QUOTATION MARK}": ",",
    "\N{DOUBLE LOW-9 QUOTATION MARK}": ",,",
    "\N{INVERTED QUESTION MARK}": r"\textquestiondown{}",
    "\N{INVERTED EXCLAMATION MARK}": r"\textexclamdown{}",
    "\N{HORIZONTAL ELLIPSIS}": r"\ldots{}",
    "\N{BULLET}": r"\textbullet{}",
    "\N{MIDDLE DOT}": r"$\cdot$",
    "\N{MINUS SIGN}": "$-$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{DIVISION SIGN}": r"$\div$",
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "\N{LESS-THAN OR EQUAL TO}": r"$\leq$",
    "\N{GREATER-THAN OR EQUAL TO}": r"$\geq$",
    "\N{NOT EQUAL TO}": r"$\neq$",
    "\N{ALMOST EQUAL TO}": r"$\approx$",
    "\N{INFINITY}": r"$\infty$",
    "\N{NOT SIGN}": r"$\neg$",
    "\N{LEFT-POINTING DOUBLE ANGLE QUOTATION MARK}": r"$\ll$",
    "\N{RIGHT-POINTING DOUBLE ANGLE QUOTATION MARK}": r"$\gg$",
    "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}": r"$\langle$",
    "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}": r"$\rangle$",
    "\N{VULGAR FRACTION ONE HALF}": r"$\frac12$",
    "\N{VULGAR FRACTION ONE QUARTER}": r"$\frac14$",
    "\N{VULGAR FRACTION THREE QUARTERS}": r"$\frac34$",
    "\N{PILCROW SIGN}": r"\P{}",
    "\N{UPWARDS ARROW}": r"$\uparrow$",
    "\N{DOWNWARDS ARROW}": r"$\downarrow$",
    "\N{RIGHTWARDS ARROW}": r"$\rightarrow$",
    "\N{LEFTWARDS ARROW}": r"$\leftarrow$",
    "\N{DAGGER}": r"$\dagger$",
    "\N{DOUBLE DAGGER}": r"$\ddagger$",
    "\N{DEGREE SIGN}": r"$^\circ$",
    "\N{MICRO SIGN}": r"$\mu$",
    "\N{SUPERSCRIPT ONE}": "$^1$",
    "\N{SUPERSCRIPT TWO}": "$^2$",
    "\N{SUPERSCRIPT THREE}": "$^3$",
    "\N{SECTION SIGN}": r"\S{}",
    "\N{COPYRIGHT SIGN}": r"\copyright{}",
    "\N{REGISTERED SIGN}": r"\textregistered{}",
    "\N{TRADE MARK SIGN}": r"\texttrademark{}",
    "\N{POUND SIGN}": r"\pounds{}",
    "\N{EURO SIGN}": r"\texteuro{}",
    "\N{NO-BREAK SPACE}": "~",
    "\N{NARROW NO-BREAK SPACE}": r"\,",
    "\N{THIN SPACE}": r"\,",
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
    **dict.fromkeys("\n\r\t\f\v\N{NEXT LINE}\N{LINE SEPARATOR}\N{PARAGRAPH SEPARATOR}", " "),
}
_SMALL_GREEK = (
    "ALPHA", "BETA", "GAMMA", "DELTA", "EPSILON", "ZETA", "ETA", "THETA", "IOTA", "KAPPA", "LAMDA",
    "MU", "NU", "XI", "PI", "RHO", "SIGMA", "TAU", "UPSILON", "PHI", "CHI", "PSI", "OMEGA",
)  # fmt: skip
_CAPITAL_GREEK = (
    "GAMMA", "DELTA", "THETA", "LAMDA", "XI", "PI", "SIGMA", "UPSILON", "PHI", "PSI", "OMEGA",
)  # fmt: skip
_SYMBOLS |= {
    unicodedata.lookup(f"GREEK {size} LETTER {name}"): rf"$\{tex.replace('amda', 'ambda')}$"
    for size, names, cased in (
        ("SMALL", _SMALL_GREEK, str.lower), ("CAPITAL", _CAPITAL_GREEK, str.capitalize),
    )
    for name in names
    for tex in [cased(name)]
}  # fmt: skip
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
    "\N{COMBINING DOT BELOW}": "d",
    "\N{COMBINING MACRON BELOW}": "b",
}
_BELOW = ("\N{COMBINING CEDILLA}", "\N{COMBINING DOT BELOW}", "\N{COMBINING MACRON BELOW}")
_DOTLESS = {"i": r"\i", "j": r"\j"}
_SPECIAL = re.compile(r"[^ !#-Z^-~]|[#$%&*^_`{|}~<>]|-(?=-)|,(?=,)|'(?=')|\+(?=[0-9])")
"""Whatever needs another spelling; of ``--``, ``,,`` and ``''``, which TeX joins, the first.

The plus of a number is mathematics, as is its minus: some fonts have a narrower one for text.
"""


def escape(value: object) -> str:
    """Return *value* as LaTeX source; ``Tex`` is returned as it is.

    One pass over the text, each special character replaced as a whole, so that nothing is
    replaced twice. A character that pdflatex's standard fonts lack becomes ``[U+1F600]``.
    """
    if isinstance(value, Tex):
        return value
    composed = unicodedata.normalize("NFC", str(value))
    return _SPECIAL.sub(lambda match: _spelled(match[0]), composed)


def _spelled(char: str) -> str:
    if char in "-,'":
        return f"{char}{{}}"
    if char == "+":
        return "$+$"
    known = _ASCII.get(char) or _SYMBOLS.get(char)
    return known if known is not None else _accented(char)


def _accented(char: str) -> str:
    """Return a Latin letter under its accents, or the number of the character."""
    letter, *accents = tuple(unicodedata.normalize("NFD", char))
    if not (accents and set(accents) <= _ACCENTS.keys() and letter.isascii() and letter.isalpha()):
        return f"{{[}}U+{ord(char):04X}{{]}}"
    if any(accent not in _BELOW for accent in accents):
        letter = _DOTLESS.get(letter, letter)
    for accent in accents:
        letter = f"\\{_ACCENTS[accent]}{{{letter}}}"
    return letter


def label(text: str) -> Tex:
    """Return *text* as a label, of characters that are safe in one; ``Tex`` is as it is."""
    if isinstance(text, Tex):
        return text
    return Tex(re.sub(r"[^A-Za-z0-9:._-]+", "-", text))
