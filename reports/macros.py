r"""Results → ``macros.tex``: prose that cites a number by its key cannot drift from it. Pure."""

from collections.abc import Sequence

from reports import latex
from reports.latex import Tex
from reports.results import Result
from reports.tex import source

_IN_MATH = {
    "$-$": r"\ensuremath{-}", r"\textless{}": r"\ensuremath{<}", r"$\pm$": r"\ensuremath{\pm}",
}  # fmt: skip


def macros(results: Sequence[Result], title: str, stamp: str) -> str:
    r"""Return LaTeX that defines ``\res``, ``\resci``, ``\resn``, ``\resp`` and ``\resfull``.

    A key that does not exist stops LaTeX and names the nearest that do; so does the p of a number
    without a test, and the interval of one without. With *stamp* every number bears it.
    """
    lines = [Tex("".join(f"{{{part}}}" for part in _parts(result))) for result in results]
    return source("macros.tex.j2", results=lines, title=title, stamp=stamp)


def _parts(result: Result) -> tuple[str, ...]:
    """Return key, value, interval, n, and p with its relation; what is not there is empty."""
    interval = f"[{result.low_text}, {result.high_text}]" if result.low_text else ""
    p = result.p_text
    p = f"= {p}" if p and not p.startswith("<") else p
    return result.key, *map(_safe, (result.text, interval, f"{result.n:,}", p))


def _safe(text: str) -> str:
    """Return *text* escaped so that it can stand in math as well."""
    found = latex.escape(text)
    for plain, anywhere in _IN_MATH.items():
        found = found.replace(plain, anywhere)
    return found
