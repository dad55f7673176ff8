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

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports.tables.table import Table

TEMPLATES = Path(__file__).parent
STYLE = "style.css"
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
    environment.filters["svg"] = _svg
    return environment


def table_page(tables: Sequence[Table], title: str, stamp: str) -> str:
    """Return one self-contained HTML page with nothing but the tables."""
    context = {"tables": tables, "title": title, "stamp": stamp, "anchor": "", "place": "1"}
    return _render("table.html.j2", context, TABLES)


def page(context: Mapping[str, object]) -> str:
    """Return the self-contained HTML page of a whole report; ``page.context`` makes *context*."""
    return _render("index.html.j2", context, (*TABLES, *BROWSER))


def diagnosis(context: Mapping[str, object]) -> str:
    """Return the self-contained page of a diagnosis; ``diagnosis_page.page`` makes *context*."""
    return _render("diagnosis.html.j2", context, ())


def _render(template: str, context: Mapping[str, object], script: tuple[str, ...]) -> str:
    """Return a page that holds the style, and the script of these parts."""
    style, run = _source(STYLE), _source(*script)
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


_TAG = re.compile(r"<[a-z][^<>]*>")  # in a text these signs are escaped
_STYLED = re.compile(r' style="([^"]*)"')


def _svg(drawn: str) -> Markup:
    """Return a figure as source, without styles of its own: the page's policy allows none.

    Whoever drew it has escaped the labels.
    """
    plain = re.sub(r"\n? *<defs>\s*<style[^>]*>.*?</style>\s*</defs>", "", drawn, flags=re.DOTALL)
    plain = _TAG.sub(lambda tag: _STYLED.sub(lambda found: _attributes(found[1]), tag[0]), plain)
    return Markup(plain)  # noqa: S704 - see above


def _attributes(style: str) -> str:
    """Return declarations as SVG's attributes of the same names."""
    pairs = (part.partition(":") for part in style.split(";") if part.strip())
    found: dict[str, str] = {}
    for name, _, value in pairs:
        found |= _font(value.strip()) if name.strip() == "font" else {name.strip(): value.strip()}
    return "".join(f' {name}="{value}"' for name, value in found.items())


def _font(value: str) -> dict[str, str]:
    """Return the parts of a short ``font``, e.g. ``700 8.5px 'DejaVu Sans', sans-serif``."""
    size = re.search(r"([\d.]+px)\s+(.*)", value)
    weight = re.match(r"(\d{3}|bold)\b", value)
    named = {"font-size": size[1], "font-family": size[2]} if size else {}
    return named | ({"font-weight": weight[1]} if weight else {})
