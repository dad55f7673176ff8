"""Tables → LaTeX. Pure: text in, text out; whatever is printed is escaped unless it is source."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reports import latex
from reports.latex import Tex
from reports.table import Table

TEMPLATES = Path(__file__).parent / "templates"


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
    return any(c.dagger for g in table.groups for row in g.rows for c in row.cells)


def fragment(tables: Sequence[Table]) -> str:
    r"""Return LaTeX that a paper can ``\input``; needs booktabs and graphicx."""
    return _tex().get_template("table.tex.j2").render(tables=tables)


def standalone(fragment_name: str, stamp: str) -> str:
    """Return a document that compiles alone and holds nothing but the fragment."""
    template = _tex().get_template("standalone.tex.j2")
    return template.render(fragment=Tex(fragment_name), stamp=stamp)
