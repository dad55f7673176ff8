"""Tables → LaTeX, HTML and plain text. Pure: text in, text out.

Two Jinja environments; both escape whatever they print unless it is marked as source.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports import latex
from reports.latex import Tex
from reports.table import DAGGER, Cell, Table

TEMPLATES = Path(__file__).parent / "templates"


@cache
def _html() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["svg"] = _svg
    return environment


def _svg(drawn: str) -> Markup:
    """Return a figure as source; whoever drew it has escaped the labels."""
    return Markup(drawn)  # noqa: S704 - see above


@cache
def _tex() -> Environment:
    environment = Environment(  # noqa: S701 - HTML's escape is wrong here; finalize is LaTeX's
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        finalize=latex.escape,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["tex_label"] = latex.label
    environment.filters["alignment"] = _alignment
    environment.filters["has_daggers"] = has_daggers
    return environment


def _alignment(table: Table) -> Tex:
    return Tex("l" * len(table.stubs) + "r" * len(table.heads))


def has_daggers(table: Table) -> bool:
    """Tell whether a difference in *table* is marked."""
    return any(c.mark == "dagger" for g in table.groups for row in g.rows for c in row.cells)


def fragment(tables: Sequence[Table]) -> str:
    r"""Return LaTeX that a paper can ``\input``; needs booktabs and graphicx."""
    return _tex().get_template("table.tex.j2").render(tables=tables)


def standalone(fragment_name: str, stamp: str) -> str:
    """Return a document that compiles alone and holds nothing but the fragment."""
    template = _tex().get_template("standalone.tex.j2")
    return template.render(fragment=Tex(fragment_name), stamp=stamp)


def table_page(tables: Sequence[Table], title: str, stamp: str) -> str:
    """Return one self-contained HTML page with nothing but the tables."""
    template = _html().get_template("table.html.j2")
    finetuned = any(table.tight for table in tables)
    return template.render(tables=tables, title=title, stamp=stamp, anchor="", finetuned=finetuned)


def page(context: Mapping[str, object]) -> str:
    """Return the self-contained HTML page of a whole report; ``page.context`` makes *context*."""
    return _html().get_template("index.html.j2").render(**context)


def diagnosis(context: Mapping[str, object]) -> str:
    """Return the self-contained page of a diagnosis; ``diagnosis_page.page`` makes *context*."""
    return _html().get_template("diagnosis.html.j2").render(**context)


def text(table: Table) -> str:
    """Return a table for the terminal: ``*`` follows the best of a column, ``+`` the second."""
    heads = _stacked(table) if table.tight else [_joined(table)]
    lines = [[*(table.stubs if i == len(heads) - 1 else [""] * len(table.stubs)), *of]
             for i, of in enumerate(heads)]  # fmt: skip
    for group in table.groups:
        for i, row in enumerate(group.rows):
            name = "" if i else group.label
            lines.append([name, *row.stubs, *map(_marked, row.cells)])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    n_stubs = len(table.stubs)
    grid = [
        "  ".join(
            word.ljust(w) if i < n_stubs else word.rjust(w)
            for i, (word, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    marked = any(
        c.mark in ("best", "second") for g in table.groups for row in g.rows for c in row.cells
    )
    legend = ["", "* best, + second among models"] if marked else []
    caption = " ".join(filter(None, (table.words.caption, table.words.stamp)))
    rule = "-" * max(map(len, grid))
    return "\n".join([caption, "", *grid[: len(heads)], rule, *grid[len(heads) :], *legend])


def _joined(table: Table) -> list[str]:
    """Return the headings in one line each, the span before the head."""
    heads = [" ".join(head.lines) for head in table.heads]
    for span in table.spans:
        for i in range(span.first, span.last + 1) if span.label else ():
            at = i - len(table.stubs) - 1
            heads[at] = f"{span.label} {heads[at]}"
    return [f"{head} " for head in heads]


def _stacked(table: Table) -> list[list[str]]:
    """Return lines of headings: the spans, each over its last column, then the heads'."""
    spans = [""] * len(table.heads)
    for span in table.spans:
        spans[span.last - len(table.stubs) - 1] = span.label
    height = max(len(head.lines) for head in table.heads)
    filled = [("",) * (height - len(head.lines)) + head.lines for head in table.heads]
    lines = [spans, *map(list, zip(*filled, strict=True))]
    return [[f"{word} " for word in line] for line in lines]


def _marked(cell: Cell) -> str:
    return cell.text + {"best": "*", "second": "+", "dagger": DAGGER, "": " "}[cell.mark]
