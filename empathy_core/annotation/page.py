"""A packet as one HTML file that works offline: on a memory stick, on a phone, without a server.

Its policy lets nothing be fetched and nothing run but the page's own script; ratings stay in the
browser until they are downloaded (``answers``). Texts are put in as text, never as markup.
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from empathy_core.annotation.answers import FORMAT, VERSION
from empathy_core.annotation.asked import AskedDimension
from empathy_core.annotation.packets import Packet
from empathy_core.rubrics.spec import NOT_APPLICABLE

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstPage:
    """What raters are told before they begin.

    Attributes:
        helpline: What they can turn to.
        consent: What they agree to; empty: they are not asked.
        contact: Whom they can ask; empty: nobody is named.
        may_train: ``ask``, ``yes`` or ``no``.
        crisis_per_sitting: Answers to messages about suicide that are shown in eight hours.
    """

    helpline: str
    consent: str = ""
    contact: str = ""
    may_train: str = "ask"
    crisis_per_sitting: int = 30


def packet_page(packet: Packet, asked: list[AskedDimension], first: FirstPage) -> str:
    """Return the page of one rater."""
    style, script = _source("packet.css"), _source("packet.js")
    policy = (
        f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    page: str = _template().render(
        policy=policy, style=style, script=script, rater=packet.rater, helpline=first.helpline,
        data=_embedded(_content(packet, asked, first)),
    )  # fmt: skip
    return page


def _content(packet: Packet, asked: list[AskedDimension], first: FirstPage) -> dict[str, Any]:
    """Return what the script is told: nothing says who wrote an answer, or what kind it is."""
    names = dict.fromkeys(one.rubric.name for one in asked)
    return {
        "format": FORMAT, "version": VERSION, "packet": packet.id, "rater": packet.rater,
        "outside": NOT_APPLICABLE, "helpline": first.helpline, "consent": first.consent,
        "contact": first.contact, "may_train": first.may_train,
        "crisis_per_sitting": first.crisis_per_sitting,
        "rubrics": [_rubric([one for one in asked if one.rubric.name == name]) for name in names],
        "pages": [
            {
                "question": page.question.context,
                "crisis": page.question.at_risk,
                "asked": [i for i, one in enumerate(asked) if page.asks(one)],
                "items": [{"id": item.id, "text": item.answer.text} for item in page.items],
            }
            for page in packet.pages
        ],
    }  # fmt: skip


def _rubric(asked: list[AskedDimension]) -> dict[str, Any]:
    return {
        "name": asked[0].rubric.name,
        "instruction": asked[0].rubric.instruction,
        "dimensions": [
            {
                "name": one.dimension.name,
                "question": one.dimension.question,
                "levels": one.levels,
                "points": one.points,
            }
            for one in asked
        ],
    }


def _embedded(content: dict[str, Any]) -> Markup:
    """Return JSON that no text in it can leave: without ``<`` no element ends or begins."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return Markup(text)  # noqa: S704  see above


@cache
def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(_HERE), undefined=StrictUndefined, autoescape=True
    )
    return environment.get_template("packet.html.j2")


@cache
def _source(name: str) -> Markup:
    """Return a file that ships as the content of one element."""
    return Markup("\n" + (_HERE / name).read_text(encoding="utf-8"))  # noqa: S704  it is ours


def _digest(source: str) -> str:
    sha = hashlib.sha256(source.encode()).digest()
    return f"'sha256-{base64.b64encode(sha).decode()}'"
