"""Raw texts into clean ones; every change has a name, so that the audit can count it. Pure.

Raise ``CLEANING_VERSION`` whenever a text may come out differently: it is part of a run's identity.
"""

import hashlib
import html
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import polars as pl

from empathy_core.conversation import Conversation, Message
from empathy_core.data import normal_bytes
from empathy_core.data.mojibake import MAYBE_MISREAD, misread
from empathy_core.data.normal import LETTER_OR_DIGIT
from empathy_core.data.reading import Raw, RawRow
from empathy_core.data.redaction import QUESTION, REFERENCE, Redaction
from empathy_core.data.turns import alternating
from empathy_core.store import TURNS
from empathy_core.visible import nothing_visible

CLEANING_VERSION = 2
LONGEST_CHARACTERS = 100_000
"""Texts this long or longer are dropped: no question or answer is, a broken quote may be."""

# ---------------------------------------------------------------------------- HTML

_ENTITY = r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});"
_TAG_NAMES = (
    "a|abbr|b|big|blockquote|body|br|center|code|dd|div|dl|dt|em|font|h[1-6]|hr|html|i|img|li|ol|p|"
    "pre|s|script|small|span|strike|strong|style|sub|sup|table|tbody|td|th|thead|tr|u|ul|xml|"
    r"(?:o|v|w|m|st1):\w+"  # what a word processor leaves behind
)
_TAG = re.compile(rf"</?(?:{_TAG_NAMES})(?=[\s/>])[^<>]*>|<!--|<!\[(?:if|endif)", re.IGNORECASE)
_NO_TAG = re.compile(rf"<(?!/?(?:{_TAG_NAMES})[\s/>]|!--|!\[(?:if|endif))", re.IGNORECASE)
_ESCAPED_AGAIN = re.compile(rf"&(?:(?:amp|AMP|#0{{0,5}}38|#[xX]0{{0,4}}26);)+(?={_ENTITY[1:]})")
_BARE_AMPERSAND = re.compile(rf"&(?!{_ENTITY[1:]})")
_PARAGRAPH = re.compile(r"</?(?:blockquote|d[dlt]|div|h[1-6]|p|pre|table)(?=[\s/>])", re.IGNORECASE)
_LINE = re.compile(r"<(?:br|li|tr)(?=[\s/>])|</?[ou]l(?=[\s/>])", re.IGNORECASE)


_ROUNDS = 8
"""How often markup is taken off; more layers of it are nobody's text."""


def _without_html(text: str) -> str:
    """Return what a browser would show, of text that was escaped several times, too."""
    for _ in range(_ROUNDS):
        if "<" not in text and "&" not in text:
            break
        text, before = _unescaped(_ESCAPED_AGAIN.sub("&", text)), text
        if text == before:
            break
    return text


def _unescaped(text: str) -> str:
    if _TAG.search(text):
        return _shown(text)
    return re.sub(_ENTITY, lambda match: html.unescape(match[0]), text)


def _shown(text: str) -> str:
    """Return what a browser would show, with paragraphs and lines kept."""
    text = _BARE_AMPERSAND.sub("&amp;", _NO_TAG.sub("&lt;", text))
    if _PARAGRAPH.search(text) or _LINE.search(text):
        text = re.sub(r"[\r\n\t]+", " ", text)  # a line break in HTML's source is a space
    text = _LINE.sub(r"\n\g<0>", _PARAGRAPH.sub(r"\n\n\g<0>", text))
    pieces = _SIMPLE_TAG.split(text)
    rest = _SIMPLE_ENTITY.sub("", "".join(pieces))
    return _soup_text(text) if "<" in rest or "&" in rest else "".join(map(_simple_text, pieces))


_SIMPLE_TAG = re.compile(
    r"</?(?:b|blockquote|center|div|em|font|h[1-6]|i|li|ol|p|span|strike|strong|sub|sup|u|ul)>"
    r"|<br ?/?>"
)
_SIMPLE_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|nbsp|[lr][sd]quo|[nm]dash|hellip|#39|#34);")
"""Markup of which it is known what the parser makes, which takes a millisecond a text."""


def _simple_text(piece: str) -> str:
    """Return the text between two tags; white space alone is one space or line break, if any."""
    if piece and not piece.strip(" \n\t\f\r"):
        return "\n" if "\n" in piece else " "
    return html.unescape(piece) if "&" in piece else piece


def _soup_text(text: str) -> str:
    """Return the texts of a document."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(text, "html.parser")
    for hidden in soup(("script", "style", "xml")):
        hidden.decompose()
    return soup.get_text()


# ---------------------------------------------------------------------------- characters

_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff]")
_BREAKS = re.compile("\r\n?|[\u2028\u2029\x0b\x0c\x85]")
_CONTROL = re.compile(r"[\x01-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")


def _plain_spaces(text: str) -> str:
    if not text.isascii():
        text = _INVISIBLE.sub("", _SPACES.sub(" ", text))
    return _BREAKS.sub("\n", text)


def _collapsed(text: str) -> str:
    if "\t" in text or "  " in text:
        text = re.sub(r"[ \t]{2,}|\t", " ", text)
    if " \n" in text or "\n " in text:
        text = re.sub(r" ?\n ?", "\n", text)
    if "\n\n\n" in text:
        text = re.sub(r"\n{3,}", "\n\n", text)
    return text.strip()


# ---------------------------------------------------------------------------- sentences

_RUN_TOGETHER = re.compile(
    r"(?<=[a-z]{2})"  # 'e.g.' and 'a.m.' have one letter
    r"(?<!\b[Mm]rs)(?<!\b[Pp]rof)(?<!\b[Rr]ev)(?<!\b[Gg]en)(?<!\bvs)"
    r"([.?!]+)"
    r"(?=[A-Z][a-z]|[AI](?:\s|$|['\u2019]))"  # a capital that begins a word
)
_ADDRESS = re.compile(
    r"://|www\.|@|\.(?:com|org|net|edu|gov|info|io|co|uk|us|ca|au|html?|pdf)\b", re.IGNORECASE
)


def _spaced_sentences(text: str) -> str:
    """Put a space between sentences that ran together, as in ``with.Seriously``."""
    maybe = re.search(r"[.?!][A-Z]", text)  # much faster than the whole pattern
    return re.sub(r"\S+", _spaced, text) if maybe and _RUN_TOGETHER.search(text) else text


def _spaced(match: re.Match[str]) -> str:
    word = match[0]
    return word if _ADDRESS.search(word) else _RUN_TOGETHER.sub(r"\1 ", word)


# ---------------------------------------------------------------------------- texts


def without_surrogates(text: str) -> str:
    """Return *text* with U+FFFD for each run of lone surrogates, which no file can hold."""
    return text if text.isascii() else re.sub("[\ud800-\udfff]+", "\ufffd", text)


_STEPS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("invalid UTF-8", without_surrogates),
    ("NUL bytes", lambda text: text.replace("\x00", "")),
    ("HTML", _without_html),
    ("unusual spaces", _plain_spaces),
    ("control characters", lambda text: _CONTROL.sub("", text)),
    ("sentences run together", _spaced_sentences),
    ("surplus spaces", _collapsed),
)


def clean(text: str) -> tuple[str, frozenset[str]]:
    """Return the clean text and the kinds of repair that changed it."""
    repairs = set()
    for kind, step in _STEPS:
        changed = step(text)
        if changed != text:
            repairs.add(kind)
        text = changed
    return text, frozenset(repairs)


_MAYBE_UNCLEAN = (
    r"[<&\x00-\x09\x0b-\x1f\x7f-\xa0\u00ad\u1680\u2000-\u200b\u2028\u2029\u202f\u205f\u2060\u3000\ufeff]"
    r"|[.?!][A-Z]|  | \n|\n |\n\n\n|^\s|\s$"
)
"""Where a text has none of these, no step changes it."""


def clean_many(texts: Sequence[str]) -> list[tuple[str, frozenset[str]]]:
    """Return what ``clean`` does of each text; most need no look at all."""
    try:
        maybe = pl.Series(texts, dtype=pl.String).str.contains(_MAYBE_UNCLEAN).to_list()
    except UnicodeEncodeError:  # lone surrogates
        return [clean(text) for text in texts]
    untouched = frozenset[str]()
    return [
        clean(text) if look else (text, untouched) for text, look in zip(texts, maybe, strict=True)
    ]


# ---------------------------------------------------------------------------- rows


@dataclass(frozen=True, slots=True)
class Cleaned:
    """The rows of one source after cleaning.

    Attributes:
        frame: ``store.EXAMPLES`` without ``split`` and ``block``, in raw order; ``answer`` is the
            digest of the normalised response.
        dropped: Reason → rows.
        repaired: Kind → rows that are kept.
        misread: Of each kept row with characters that were decoded wrongly before it came here:
            the first of them, and what they were.
    """

    frame: pl.DataFrame
    dropped: Mapping[str, int]
    repaired: Mapping[str, int]
    misread: Sequence[tuple[str, str]] = ()


SCHEMA = {
    "id": pl.String,
    "context": pl.String,
    "response": pl.String,
    "source": pl.String,
    "row": pl.Int64,
    "raw_sha256": pl.String,
    "question": pl.String,
    "pair": pl.String,
    "answer": pl.String,
    "author": pl.String,
}


PLACED = {"group": pl.String, "side": pl.String}
"""What a source says of a row's place in the split; columns only where it does."""


def example_id(source: str, row: int, turn: int | None = None) -> str:
    """Return the id of a source's row (0-based in the raw file), or of an answer in it.

    Args:
        source: Its name.
        row: Number of the row.
        turn: Number of the answer among the turns of a row that holds several examples.
    """
    return f"{source}-{row:05d}" + ("" if turn is None else f"-t{turn:03d}")


def clean_rows(rows: Sequence[RawRow], source: str, redaction: Redaction | None = None) -> Cleaned:
    """Clean *rows*; those without a usable question and answer are dropped and counted.

    Args:
        rows: Of one source.
        source: Its name.
        redaction: Replaces personal data in what is clean; null means that nothing is replaced.
    """
    redaction = redaction or Redaction()
    kept: list[tuple[object, ...]] = []
    dropped: Counter[str] = Counter()
    repaired: Counter[str] = Counter()
    wrong: list[tuple[str, str]] = []
    responses = clean_many([raw.response or "" for raw in rows])
    cleaned = zip(rows, _clean_contexts(rows), responses, strict=True)
    for raw, (question, repairs, turns), (answer, more) in cleaned:
        reason = _unusable(question, answer, turns)
        if reason:
            dropped[reason] += 1
            continue
        context, history = _redacted_context(question, turns, redaction)
        response = redaction.text(answer, REFERENCE)
        repaired.update(repairs | more)
        wrong += filter(None, [misread(raw.context or "") or misread(raw.response or "")])
        kept.append((
            example_id(source, raw.row, raw.turn), context, response, raw.row, _raw_sha256(raw),
            _clean_label(raw.author), *_of_conversation(raw, source, history),
            _clean_label(raw.group), raw.side,
        ))  # fmt: skip
    names = [name for name in _COLUMNS if name not in _MADE]
    values = zip(*kept, strict=True) if kept else ([] for _ in names)
    frame = pl.DataFrame(
        [pl.Series(n, v, dtype=_COLUMNS[n]) for n, v in zip(names, values, strict=True)]
    )
    return Cleaned(_finished(frame, source), dropped, repaired, wrong)


def _finished(frame: pl.DataFrame, source: str) -> pl.DataFrame:
    """Return clean rows with all their columns; those that hold nothing are left out.

    Data of earlier versions have none of them.
    """
    frame = _with_digests(frame, source)
    empty = [name for name in (*TURNS, *PLACED) if frame[name].null_count() == frame.height]
    frame = frame.drop(empty)
    return frame if "turns" in empty else _by_conversation(frame)


# ---------------------------------------------------------------------------- many rows


def clean_raw(raw: Raw, source: str, redaction: Redaction) -> Cleaned:
    """Clean the rows of a part of a source: those with turns and the like, or those of texts alone.

    Of the latter most need nothing; the others are cleaned one by one.
    """
    if raw.plain is None:
        return clean_rows(raw.rows, source, redaction)
    clean = raw.plain.select(_as_it_is("context", redaction) & _as_it_is("response", redaction))
    mask = clean.to_series().fill_null(value=False)
    others = raw.plain.filter(~mask).select("row", "context", "response", "author", "group")
    rows = [
        RawRow(row, context, response, author, group=group)
        for row, context, response, author, group in others.iter_rows()
    ]
    found = clean_rows(rows, source, redaction)
    frame = pl.concat([_of_plain(raw.plain.filter(mask), source), found.frame], how="diagonal")
    return replace(found, frame=frame.sort("row"))


_VISIBLE = "^[A-Za-z0-9]"
"""What begins so is visible, and has a letter or a digit."""


def _as_it_is(column: str, redaction: Redaction) -> pl.Expr:
    """Return which texts are kept without a change, and hold nothing to be counted."""
    text = pl.col(column)
    short = text.str.len_bytes() < LONGEST_CHARACTERS
    found = text.str.contains(rf"{_MAYBE_UNCLEAN}|{MAYBE_MISREAD}") | redaction.maybe(text)
    return text.str.contains(_VISIBLE) & short & ~found


def _of_plain(rows: pl.DataFrame, source: str) -> pl.DataFrame:
    """Return rows that are clean with all their columns."""
    both = rows.select(pl.concat_str("context", "response", separator="\x1f")).to_series()
    labels = [
        rows[name].replace_strict(
            {label: _clean_label(label) for label in rows[name].unique()}, return_dtype=pl.String
        )
        for name in ("author", "group")
    ]
    number = pl.col("row").cast(pl.String).str.zfill(5)
    frame = rows.with_columns(
        *labels,
        *(pl.lit(None, dtype).alias(name) for name, dtype in TURNS.items()),
        id=pl.concat_str(pl.lit(f"{source}-"), number),
        raw_sha256=pl.Series(normal_bytes.sha256(both), dtype=pl.String),
        side=pl.lit(None, PLACED["side"]),
    )
    return _finished(frame, source)


_COLUMNS: dict[str, Any] = {**SCHEMA, **TURNS, **PLACED}
_MADE = ("source", "question", "pair", "answer")


def _with_digests(frame: pl.DataFrame, source: str) -> pl.DataFrame:
    """Return clean rows with what makes them the same: digests of their normal forms."""
    made = normal_bytes.digests(frame["context"], frame["response"])
    return frame.with_columns(pl.lit(source).alias("source"), *made).select(*_COLUMNS)


def _clean_contexts(
    rows: Sequence[RawRow],
) -> list[tuple[str, frozenset[str], tuple[Message, ...]]]:
    """Return each row's clean context, the kinds of repair, and its turns if it has any."""
    texts = iter(clean_many([raw.context or "" for raw in rows if not raw.turns]))
    return [_clean_turns(raw) if raw.turns else (*next(texts), ()) for raw in rows]


@lru_cache(maxsize=2_000)  # a turn is in the histories of all answers behind it
def _clean_turn(text: str) -> tuple[str, frozenset[str]]:
    return clean(text)


@lru_cache(maxsize=2_000)  # few people answer many questions
def _clean_label(text: str | None) -> str | None:
    return clean(text or "")[0] or None


def _clean_turns(raw: RawRow) -> tuple[str, frozenset[str], tuple[Message, ...]]:
    cleaned = [(turn.role, _clean_turn(turn.content)) for turn in raw.turns]
    turns = alternating([(role, text) for role, (text, _) in cleaned])
    repairs = frozenset[str]().union(*(repairs for _, (_, repairs) in cleaned))
    return Conversation(turns).text if turns else "", repairs, turns


def _redacted_context(
    context: str, turns: tuple[Message, ...], redaction: Redaction
) -> tuple[str, tuple[Message, ...]]:
    if not turns:
        return redaction.text(context, QUESTION), ()
    turns = redaction.turns(turns)
    return Conversation(turns).text, turns


def _of_conversation(
    raw: RawRow, source: str, turns: Sequence[Message]
) -> tuple[str | None, list[dict[str, str]] | None]:
    """Return the values of the columns ``TURNS``; null for a row that is no conversation's."""
    if raw.conversation is None:
        return None, None
    return (
        f"{source}-{raw.conversation}",
        [{"role": turn.role, "content": turn.content} for turn in turns],
    )


def _by_conversation(frame: pl.DataFrame) -> pl.DataFrame:
    """Return rows whose ``question`` is what rows of the same conversation share.

    It is made of what was said before the last of a conversation's answers, so that copies of a
    conversation share it, too.
    """
    last = pl.col("question").last().over("conversation")
    return frame.with_columns(question=last)


def _unusable(context: str, response: str, turns: Sequence[Message] = ()) -> str | None:
    if turns and turns[-1].role != "user":
        return "nothing said by the person before the answer"
    if nothing_visible(context) or not LETTER_OR_DIGIT.search(context):
        return "empty context"
    if nothing_visible(response) or not LETTER_OR_DIGIT.search(response):
        return "empty response"
    longest = max((len(turn.content) for turn in turns), default=len(context))
    if max(longest, len(response)) >= LONGEST_CHARACTERS:
        return f"text of {LONGEST_CHARACTERS:,} characters or more"
    return None


def _raw_sha256(raw: RawRow) -> str:
    parts = f"{raw.context or ''}\x1f{raw.response or ''}"
    return hashlib.sha256(parts.encode("utf-8", errors="surrogatepass")).hexdigest()
