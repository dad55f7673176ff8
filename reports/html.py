"""Tables and pages → self-contained HTML. Pure; whatever is printed is escaped."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports.table import Table

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
