"""Tables and pages → self-contained HTML. Pure; whatever is printed is escaped.

A page holds its style and scripts, and its policy names them by digest: no other style or script
is applied, whatever a text holds, and nothing is fetched.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports.tables.table import Table

TEMPLATES = Path(__file__).parent
STYLE, GREY = "style.css", "grey.css"
TABLES = ("dom.js", "tables.js")
BROWSER = ("examples.js", "browser.js")
"""Parts of one script: they share what the first of them define."""


@cache
def _html() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["address"] = _address
    return environment


def table_page(tables: Sequence[Table], title: str, stamp: str) -> str:
    """Return one self-contained HTML page with nothing but the tables."""
    context = {"tables": tables, "title": title, "stamp": stamp, "anchor": "", "place": "1"}
    return _render("table.html.j2", context, TABLES, _styles(tables))


def page(context: Mapping[str, object]) -> str:
    """Return the self-contained HTML page of a whole report; ``page.context`` makes *context*."""
    sections: Any = context["sections"]
    styles = _styles([table for section in sections for table in section["tables"]])
    return _render("index.html.j2", context, (*TABLES, *BROWSER), styles)


def diagnosis(context: Mapping[str, object]) -> str:
    """Return the self-contained page of a diagnosis; ``diagnosis_page.page`` makes *context*."""
    return _render("diagnosis.html.j2", context, ())


def _styles(tables: Sequence[Table]) -> tuple[str, ...]:
    """Return the styles of a page: that of what is printed in grey only where something is."""
    return (STYLE, GREY) if any(table.has_grey for table in tables) else (STYLE,)


def _render(
    template: str,
    context: Mapping[str, object],
    script: tuple[str, ...],
    styles: tuple[str, ...] = (STYLE,),
) -> str:
    """Return a page that holds the *styles*, and the script of these parts."""
    style, run = _source(*styles), _source(*script)
    may_run = _digest(run) if script else "'none'"
    policy = (
        f"default-src 'none'; script-src {may_run}; style-src {_digest(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    found = _html().get_template(template)
    return found.render(**context, style=style, script=run, policy=policy)


@cache
def _source(*names: str) -> Markup:
    """Return files that ship as the content of one element."""
    texts = ((TEMPLATES / name).read_text(encoding="utf-8") for name in names)
    return Markup("\n" + "\n".join(texts))  # noqa: S704 - they are ours


def _digest(source: str) -> str:
    sha = hashlib.sha256(source.encode()).digest()
    return f"'sha256-{base64.b64encode(sha).decode()}'"


# ---------------------------------------------------------------------------- signs


_UNSEEN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
    r"|[\U0001fffe\U0001ffff\U0010fffe\U0010ffff]"
)
_PICTURES = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "\N{SYMBOL FOR DELETE}"}


def visible(value: object) -> object:
    """Return a text with the signs that HTML may not hold replaced by signs that can be seen.

    Markup, and what is no text, is returned as it is.
    """
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return _UNSEEN.sub(
        lambda found: _PICTURES.get(ord(found[0]), "\N{REPLACEMENT CHARACTER}"), value
    )


# ---------------------------------------------------------------------------- figures


_KEPT = " !$()*+,-./:;=?@_~[]|"
"""Signs that mean nothing in an address, nor in HTML: the fewer are replaced the shorter it is."""


def _address(svg: str) -> str:
    """Return a figure as the address of an image: it has its own style, and nothing it may run."""
    return "data:image/svg+xml," + quote(re.sub(r" *\n *", " ", svg), safe=_KEPT)
