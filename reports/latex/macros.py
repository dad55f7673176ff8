r"""Results → ``macros.tex``: prose that cites a number by its key cannot drift from it. Pure.

``\res{llama.prompt2.rouge1}`` is a value as the tables print it. The commands expand to plain text,
so that a title, its bookmark and an entry in the list of tables hold the number itself.
"""

from collections.abc import Sequence

from reports.labels import (
    NOTHING,
    count,
)
from reports.latex.escape import Tex, escape
from reports.latex.table import source
from reports.numbers.results import Result

EXAMPLE = "llama3_8b.prompt2.rouge1"
_ANYWHERE = {
    "$-$": r"\ensuremath{-}",
    "$+$": "+",
    r"\textless{}": r"\ensuremath{<}",
    r"$\leq$": r"\ensuremath{\leq}",
    r"$\geq$": r"\ensuremath{\geq}",
    ",": "{,}",
    "--": r"\mbox{--}",
}
"""What escaped numbers hold → the same for text, math and bookmarks alike."""


def macros(results: Sequence[Result], stamp: str, title: str = "") -> str:
    r"""Return LaTeX that defines ``\res``, ``\resci``, ``\resn``, ``\resp`` and ``\resfull``.

    An unknown key is an error that names the nearest; so is the p of a score. What is null prints
    as in the tables. With *stamp* every number bears it in print, and the log ends with it.
    """
    mark = rf"\textsuperscript{{\textbf{{[{escape(stamp)}]}}}}" if stamp else ""
    lines = [Tex(_line(result, mark)) for result in results]
    example = Tex(results[0].key if results else EXAMPLE)
    return source("macros.tex.j2", lines=lines, stamp=stamp, title=title, example=example)


def _line(result: Result, mark: str) -> str:
    """Return the definition of a number: key, value, interval, n, p, mark."""
    interval = f"[{_plain(result.low_text)},~{_plain(result.high_text)}]" if result.low_text else ""
    if result.one_sided:
        interval = _plain(result.interval_text)
    parts = (
        result.key, _plain(result.text), interval, _plain(f"{count(result.n)}"), _p(result), mark,
    )  # fmt: skip
    return r"\report@number" + "".join(f"{{{part}}}" for part in parts)


def _p(result: Result) -> str:
    """Return p with its relation; a dash where there is no test, nothing where there is no p."""
    if result.kind in ("score", "agreement"):
        return ""
    p = result.p_text or NOTHING
    return _plain(p if p.startswith("<") or p == NOTHING else f"= {p}")


def _plain(text: str) -> str:
    """Return a number's text as source that can stand anywhere."""
    source_text = escape(text)
    for spelled, anywhere in _ANYWHERE.items():
        source_text = source_text.replace(spelled, anywhere)
    return source_text
