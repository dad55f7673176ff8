"""The small language of claims: text → statement. Pure.

Case and blanks do not matter. A and B are conditions: a key (``llama.prompt2``), or a model's
name, label or the beginning of its label, then the prompt's name or label; B may leave out the
model, which is then A's; without a prompt each prompt is meant. After ``on`` stand columns by name
or label, joined by commas, or ``all``, ``all but …``, ``most``. ``significantly`` may stand where
the forms show it in brackets.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from empathy_core.errors import ConfigError
from reports.claims.statements import (
    PATTERN,
    Alike,
    Amount,
    Change,
    Compare,
    Digits,
    Extreme,
    Relation,
    Sensitive,
    Statement,
    Varies,
    Within,
)

RELATIONS: Mapping[str, Relation] = {
    ">": ">", "higher than": ">", "greater than": ">", "above": ">",
    "<": "<", "lower than": "<", "less than": "<", "below": "<",
    ">=": ">=", "at least": ">=", "<=": "<=", "at most": "<=",
    "better than": "better", "beats": "better", "outperforms": "better",
    "worse than": "worse", "lags behind": "worse",
}  # fmt: skip
DIRECTIONS: Mapping[str, Relation] = {
    "increases": ">", "rises": ">", "decreases": "<", "falls": "<",
    "improves": "better", "worsens": "worse",
}  # fmt: skip


def _any(words: Mapping[str, object]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_ON = r" on (?P<on>.+)"
_SAME = r"(?P<same> under (?:each|the same) prompt)?"
_NUMBER = PATTERN.replace(r"\s?", "")
_TYPED = rf"(?: ?\((?P<x>{_NUMBER})\))?", rf"(?: ?\((?P<y>{_NUMBER})\))?"
_TAIL = rf"(?:,? from (?P<from>{_NUMBER}) to (?P<to>{_NUMBER}))?"


@dataclass(frozen=True, slots=True)
class Form:
    """One form of a claim.

    Attributes:
        shown: With ``[significantly]`` where that word may stand.
        means: When it holds.
        pattern: Of the text without that word.
        read: Parts → statement.
    """

    shown: str
    means: str
    pattern: str
    read: Callable[[Mapping[str, Any]], Statement]


def _compare(part: Mapping[str, Any]) -> Statement:
    word, right = part["relation"].lower(), part["right"]
    same = bool(part["same"])
    if not re.fullmatch(PATTERN, right):
        if word == "=":
            msg = "'=' needs a number; that two conditions are alike is 'A within 0.01 of B on m'"
            raise ConfigError(msg)
        return Compare(part["left"], RELATIONS[word], right, part["on"], same)
    relation: Any = "=" if word == "=" else RELATIONS[word]
    if relation in ("better", "worse") or same:
        msg = f"a number after '{word}' needs one of = < > <= >=, and no 'under'"
        raise ConfigError(msg)
    return Amount(part["left"], relation, Digits.of(right), part["on"])


def _change(part: Mapping[str, Any]) -> Statement:
    twice = any(part[a] and part[b] for a, b in (("x", "from"), ("y", "to")))
    if twice:
        msg = "the numbers stand twice: either in brackets or after 'from … to …'"
        raise ConfigError(msg)
    typed = part["x"] or part["from"], part["y"] or part["to"]
    one, two = (Digits.of(text) if text else None for text in typed)
    verb = DIRECTIONS[part["verb"].lower()]
    return Change(verb, part["first"], part["second"], (one, two), part["on"])


def _varies(part: Mapping[str, Any]) -> Statement:
    more = (part.get("than") or "less").lower() == "more"
    return Varies(part["left"], ">" if more else "<", Digits.of(part["bound"]), part["on"])


def _sensitive(part: Mapping[str, Any]) -> Statement:
    sides = part["left"], part["right"]
    left, right = sides if part["than"].lower() == "more" else sides[::-1]
    return Sensitive(left, right, part["on"])


FORMS = (
    Form(
        "m increases [significantly] from A to B, from 0.61 to 0.63",
        "or rises, falls, decreases, improves, worsens; without the numbers if you like",
        rf"(?P<on>.+?) (?P<verb>{_any(DIRECTIONS)}) from (?P<first>.+?){_TYPED[0]}"
        rf" to (?P<second>.+?){_TYPED[1]}{_TAIL}",
        _change,
    ),
    Form(
        "A is not significantly different from B on m",
        "the test finds nothing, which does not show that there is nothing",
        rf"(?P<left>.+?) (?:is )?not different from (?P<right>.+?){_SAME}{_ON}",
        lambda part: Alike(part["left"], part["right"], part["on"], bool(part["same"])),
    ),
    Form(
        "A is [significantly] more sensitive than B on m",
        "or less sensitive: the range over the prompts of one is larger",
        r"(?P<left>.+?) (?:is )?(?P<than>more|less) (?:prompt[- ])?sensitive than (?P<right>.+?)"
        + _ON,
        _sensitive,
    ),
    Form(
        "A varies by less than 0.01 on m",
        "or by more than; or 'is prompt-agnostic within 0.01': the range over A's prompts",
        r"(?P<left>.+?) varies (?:little )?\(?by (?P<than>less|more) than "
        rf"(?P<bound>{PATTERN})\)?{_ON}",
        _varies,
    ),
    Form(
        "A is prompt-agnostic within 0.01 on m",
        "",
        rf"(?P<left>.+?) (?:is )?prompt-agnostic within (?P<bound>{PATTERN}){_ON}",
        _varies,
    ),
    Form(
        "A is within 0.05 of B on m",
        "or 'comparable to B within 0.05': they differ by no more",
        rf"(?P<left>.+?) (?:is )?(?:within (?P<bound>{PATTERN}) of (?P<right>.+?)"
        rf"|comparable to (?P<other>.+?) within (?P<limit>{PATTERN})){_SAME}{_ON}",
        lambda part: Within(
            part["left"],
            Digits.of(part["bound"] or part["limit"]),
            part["right"] or part["other"],
            part["on"],
            bool(part["same"]),
        ),
    ),
    Form(
        "A is [significantly] best among B on m",
        "or worst, highest, lowest; without 'among B' among all models",
        r"(?P<left>.+?) (?:is )?(?:the )?(?P<which>best|worst|highest|lowest)"
        r"(?: among (?P<among>.+?))?" + _ON,
        lambda part: Extreme(
            part["left"], part["which"].lower(), part["among"] or "", part["on"]
        ),
    ),
    Form(
        "A [significantly] > B on m",
        "or < >= <=, higher than, lower than, better than, worse than;\n"
        "      'under each prompt' before 'on' compares like with like",
        rf"(?P<left>.+?) (?:is )?(?P<relation>=|{_any(RELATIONS)}) (?P<right>.+?){_SAME}{_ON}",
        _compare,
    ),
    Form(
        "A = 0.2675 on m",
        "or < > <= >=; equal means: rounded to the digits that are typed",
        "",
        _compare,
    ),
)  # fmt: skip
"""In the order in which they are tried; the last is a case of the one before, for the reader."""

_WITHOUT_BOUND = (
    (r"\bprompt-agnostic\b|\bvaries little\b|\bconsistent\b", "A varies by less than 0.01 on m"),
    (r"\bcomparable\b|\bsimilar\b|\bclose to\b", "A is within 0.05 of B on m"),
)
_WORDS = {
    **dict.fromkeys(("increases", "rises", "decreases", "falls", "improves", "worsens"), 0),
    "different": 1,
    "sensitive": 2,
    "varies": 3,
    "prompt-agnostic": 4,
    **dict.fromkeys(("within", "comparable"), 5),
    **dict.fromkeys(("best", "worst", "highest", "lowest"), 6),
    **dict.fromkeys(("above", "below", "higher", "lower", "better", "beats", "outperforms"), 7),
}
"""Word that tells a form → its place in ``FORMS``."""


def parse(text: str) -> Statement:
    """Return what *text* states.

    Raises:
        ConfigError: It fits no form; the nearest one is told.
    """
    plain = _plain(text)
    bare, times = re.subn(r" significantly(?= )", "", plain, flags=re.IGNORECASE)
    for form in FORMS:
        if form.pattern and (found := re.fullmatch(form.pattern, bare, flags=re.IGNORECASE)):
            return _marked(form.read(_stripped(found)), times)
    raise ConfigError(f"'{text}' fits no form of a claim; {_advice(plain)}")


def forms() -> str:
    """Return all forms with their meanings, for a person."""
    return "\n".join(
        f"  {form.shown}" + (f"\n      {form.means}" if form.means else "") for form in FORMS
    )


def _plain(text: str) -> str:
    """Return *text* with single blanks and plain signs, the column last."""
    signs = {"\N{GREATER-THAN OR EQUAL TO}": ">=", "\N{LESS-THAN OR EQUAL TO}": "<=",
             "\N{MINUS SIGN}": "-", "~": " "}  # fmt: skip
    for sign, plain in signs.items():
        text = text.replace(sign, plain)
    text = re.sub(r"\\([%_&])", r"\1", text).replace("$", "")
    text = " ".join(text.split()).rstrip(".;")
    pattern = r"(.+?) on (.+?) ((?:significantly )?(?:[<>]=?|=)) (.+)"
    turned = re.fullmatch(pattern, text, re.IGNORECASE)
    if turned and " on " not in turned[4].lower():
        text = f"{turned[1]} {turned[3]} {turned[4]} on {turned[2]}"
    return text


def _stripped(found: re.Match[str]) -> dict[str, Any]:
    return {k: v.strip(" ,") if v and k != "same" else v for k, v in found.groupdict().items()}


def _marked(statement: Statement, times: int) -> Statement:
    """Return *statement* as claimed to be significant if that word stood in it."""
    if isinstance(statement, Alike):
        if times != 1:
            msg = "that two are not different can only be claimed as 'not significantly different'"
            raise ConfigError(msg)
        return statement
    if not times:
        return statement
    if times > 1 or isinstance(statement, Amount | Varies | Within):
        msg = "'significantly' may stand once, and where a test is made: not beside a bound"
        raise ConfigError(msg)
    return _significant(statement)


def _significant(statement: Compare | Change | Extreme | Sensitive) -> Statement:
    return replace(statement, significant=True)


def _advice(text: str) -> str:
    for pattern, shown in _WITHOUT_BOUND:
        if re.search(pattern, text, re.IGNORECASE):
            return f"say how much is meant: {shown}"
    if re.search(r"\S[<>=]|[<>=][^\s=]", text):
        return "set blanks around the sign: A > B on m"
    words = [word for word in re.findall(r"[\w-]+", text.lower()) if len(word) > 3]
    for word in words:
        if near := get_close_matches(word, _WORDS, n=1, cutoff=0.75):
            said = "" if near[0] == word else f"did you mean '{near[0]}'? "
            return f"{said}expected: {FORMS[_WORDS[near[0]]].shown}"
    if re.search(r" (?:=|[<>]=?) ", text) and " on " not in text.lower():
        return "say on which column: A > B on rouge1"
    return "expected for example: A > B on rouge1"
