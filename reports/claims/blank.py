"""LaTeX without what holds no result: pictures, lengths, keys, references, formulas. Pure."""

import re

from reports.claims.expand import closed
from reports.claims.manuscript import MARKER, TexFile

_SETTING = re.compile(
    r"(?:learning[ -]rates?|weight[ -]decay|dropout|temperatures?|top[-_ ]?\$?[pk]|"
    r"warm-?up(?: ratio)?|momentum|penalty|thresholds?|patience|margin|tolerance|clip\w*|"
    r"gradient norm|smoothing|"
    r"\\(?:alpha|beta|gamma|lambda|epsilon|varepsilon|eta|delta|sigma|mu|theta|omega)"
    r"(?:_(?:\w|\{[^{}]*\}))?)"
    r"(?:[\s~$({:=\d.^}-]|\\times|\\approx|\\in\b|\b(?:of|is|was|to|set|at|by|a|or|and)\b)*$"
)
_ALPHA = re.compile(r"Krippendorff[^.;]{0,30}\\alpha[^.;]{0,20}$", re.IGNORECASE)


def is_setting(before: str) -> bool:
    """Tell whether a number behind *before* is a setting of a training, or of sampling.

    Krippendorff's alpha is a result.
    """
    return bool(_SETTING.search(before)) and not _ALPHA.search(before)


_COMMANDS: dict[str, int] = {
    **dict.fromkeys(("res", "resci", "resn", "resp", "resfull"), 1),
    **dict.fromkeys(("ref", "eqref", "pageref", "autoref", "cref", "Cref", "nameref", "label"), 1),
    **dict.fromkeys(("url", "path", "doi", "arxiv", "href", "bibitem", "bibliography"), 1),
    **dict.fromkeys(("includegraphics", "input", "include", "usepackage", "documentclass"), 1),
    **dict.fromkeys(("vspace", "hspace", "color", "textcolor", "geometry", "hypersetup"), 1),
    **dict.fromkeys(("scalebox", "raisebox", "linespread", "cmidrule", "cline", "parbox"), 1),
    **dict.fromkeys(("cellcolor", "rowcolor", "sisetup", "date", "phantom", "hphantom"), 1),
    **dict.fromkeys(("setlength", "addtolength", "rule", "resizebox", "setcounter"), 2),
    **dict.fromkeys(("fontsize", "addtocounter"), 2),
    "definecolor": 3,
}
"""Commands → arguments of theirs that hold no result."""
_WITH_TEXT = ("caption", "captionof", "section", "subsection", "subsubsection", "paragraph", "item",
              "chapter", "footnotetext", "pm", "approx")  # fmt: skip
"""Commands whose argument in square brackets is prose; or that have none."""
_SPACED = ("spacing", "minipage", "subfigure", "subtable", "wrapfigure", "adjustbox", "multicols",
           "tabular", "tabular*", "tabularx", "tabulary", "longtable", "column")  # fmt: skip
_APART = re.compile(
    r"\\begin\{(?P<env>(?:tikzpicture|axis|thebibliography)\*?)\}.*?\\end\{(?P=env)\}"
    r"|\\iffalse\b.*?\\fi\b"
    r"|\\renewcommand\*?\{?\\(?:arraystretch|baselinestretch)\}?\{[^{}]*\}"
    r"|\b\d{4}\.\d{4,5}(?:v\d+)?\b|\b10\.\d{4,}/\S+"
    r"|\\end\{document\}.*",
    re.DOTALL,
)
"""Pictures, references and what is not printed; arXiv and DOI."""
_DISPLAY = re.compile(
    r"\\begin\{(?P<env>(?:equation|align|alignat|gather|multline|eqnarray|displaymath|math)\*?)\}"
    r".*?\\end\{(?P=env)\}|(?<!\\)\\\[.*?\\\]|(?<!\\)\$\$.*?\$\$",
    re.DOTALL,
)
_RESULT_OF_FORMULA = re.compile(
    r"(?:=|\\approx|\\simeq|<|>|\\leq?|\\geq?)[\s&]*[-\N{MINUS SIGN}]?(\d*\.\d{3,})"
    r"(?![\s]*(?:\\(?!end|q?quad|text|nonumber|label|tag|[\\,;:! \]])|[\dA-Za-z(]))"
)
_ROOM = re.compile(r"\\\\\*?(\[[^\]\n]*\])")
_GENERATED_END = re.compile(r"\\end\{(?:table\*?|longtable)\}")


def without_generated(file: TexFile) -> str:
    """Return the prose without the fragments of the suite's own that were pasted into it."""
    text = list(file.prose)
    for comment in file.comments:
        if MARKER.match(f"%{comment.text}"):
            start = _start_of(file, comment.place.line)
            end = _GENERATED_END.search(file.prose, start)
            _blank(text, start, end.end() if end else len(text))
    return "".join(text)


def blanked(prose: str) -> str:
    """Return *prose* with everything blanked out that holds no result; places stay."""
    text = list(prose)
    for found in _APART.finditer(prose):
        _blank(text, *found.span())
    for found in _DISPLAY.finditer(prose):
        _blank_formula(text, found)
    for found in _ROOM.finditer(prose):
        _blank(text, *found.span(1))
    for found in re.finditer(r"\\([A-Za-z]+)\*?", prose):
        _blank(text, found.end(), _end_of_arguments(prose, found.end(), found[1]))
    return "".join(text)


def _blank(text: list[str], start: int, end: int) -> None:
    for i in range(start, end):
        if text[i] != "\n":
            text[i] = " "


def _blank_formula(text: list[str], found: re.Match[str]) -> None:
    """Blank a formula set apart, but for the numbers that it comes to."""
    kept = []
    for result in _RESULT_OF_FORMULA.finditer(found[0]):
        left = found[0][: result.start()]
        if not is_setting(left):
            kept += [result.span(1)]
    at = found.start()
    for start, end in kept:
        _blank(text, at, found.start() + start)
        at = found.start() + end
    _blank(text, at, found.end())


def _start_of(file: TexFile, line: int) -> int:
    return sum(len(of) for of in file.text.splitlines(keepends=True)[: line - 1])


def _end_of_arguments(text: str, at: int, command: str) -> int:
    """Return where the arguments of *command* end that hold no result."""
    left = 1 if command == "begin" or "cite" in command.lower() else _COMMANDS.get(command, 0)
    while at < len(text):
        takes = text[at] == "[" or (text[at] == "(" and command == "cmidrule")
        if (not takes and not (text[at] == "{" and left)) or (takes and command in _WITH_TEXT):
            break
        end = closed(text, at)
        if text[at] == "{":
            spaced = command == "begin" and text[at + 1 : end - 1] in _SPACED
            left += 9 if spaced else -1
        if end == at:
            break
        at = end
    return at
