"""Cleaning: what is repaired, what is left alone, what is dropped; on small and on real texts."""

import random
import re
import time

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from empathy_core.data import cleaning, normal
from empathy_core.data.reading import RawRow
from tests.runs.command_line import SHARED

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"no folder {SHARED}")

REPAIRED = [
    ("out with.Seriously, you", "out with. Seriously, you"),
    ("Really?I mean it!Yes", "Really? I mean it! Yes"),
    ("fine with.I\u2019m glad", "fine with. I\u2019m glad"),
    ("breathe\u00a0 \u2003deeply", "breathe deeply"),
    ("soft\u00adly zero\u200bwidth", "softly zerowidth"),
    ("one\r\n\r\n\r\n \r\ntwo\rthree", "one\n\ntwo\nthree"),
    ("bell\x07 rings\x00", "bell rings"),
    ("cut \udcff off", "cut \ufffd off"),
    ("<p>First<br>line.</p><p>Second &amp; last.</p>", "First\nline.\n\nSecond & last."),
    ("<ul><li>walk</li><li>rest</li></ul>", "walk\nrest"),
    ("<p>In one\r\nparagraph</p>", "In one paragraph"),
    ("plain &#34;quotes&#34;&nbsp;here", 'plain "quotes" here'),
    ("<p>a<!--[if gte mso 9]><xml><w:View>Normal</w:View></xml><![endif]-->b</p>", "ab"),
    ("<p>if x < y & z<o:p></o:p></p>", "if x < y & z"),
    ("one&amp;nbsp;space, R&amp;amp;amp;D", "one space, R&D"),
    ("&lt;p&gt;escaped&lt;br&gt;markup&amp;lt;/p&amp;gt;", "escaped\nmarkup"),
    ("it&amp;#39;s &#38;#38;quot;so&#x26;quot;", 'it\'s "so"'),
]
KEPT = [
    "see https://example.org/Some.Page or www.MarkCounsel.Com today",
    "(www.LivingYes.org) e.g.This i.e.That a.m.The U.S.A",
    "mail Someone.Name@Example.Org or ask Mrs.Jones and Prof.Smith",
    "I love you <3 and 2 < 3 > 1, <sad> AT&T R&D",
    "Dr.Smith said Ph.D. students wait... and wait",
    "two\n\nparagraphs, na\u00efve caf\u00e9 \U0001f642",
]


@pytest.mark.parametrize(("raw", "expected"), REPAIRED)
def test_damage_is_repaired(raw: str, expected: str):
    """Run-together sentences, odd spaces, markup and broken bytes come out as plain text."""
    text, repairs = cleaning.clean(raw)

    assert text == expected
    assert repairs


@pytest.mark.parametrize("text", KEPT)
def test_what_only_looks_like_damage_is_left_alone(text: str):
    """Addresses, abbreviations, comparisons and accents stay; nothing is counted."""
    assert cleaning.clean(text) == (text, frozenset())


@pytest.mark.slow
@given(st.text(max_size=300))
def test_clean_text_holds_nothing_that_breaks_a_file_or_a_page(raw: str):
    """No control character, surrogate, odd or double space or run of blank lines is left."""
    text, _ = cleaning.clean(raw)

    text.encode()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u00a0\u200b]|  |\n{3}| \n|\n ", text)
    assert text == text.strip()


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="<&"), max_size=300))
def test_cleaning_twice_changes_nothing(raw: str):
    """A clean text without markup stays as it is."""
    text, _ = cleaning.clean(raw)

    assert cleaning.clean(text)[0] == text


ESCAPES = [
    "&",
    "<",
    "&amp;",
    "&lt;",
    "&gt;",
    "&#38;",
    "&#x26;",
    "amp;",
    "lt;",
    "p>",
    "nbsp;",
    "a",
    " ",
]


@given(st.lists(st.sampled_from(ESCAPES), max_size=12).map("".join))
def test_text_that_was_escaped_several_times_is_unescaped_until_it_stands_still(raw: str):
    """Cleaning it once more changes nothing."""
    text, _ = cleaning.clean(raw)

    assert cleaning.clean(text)[0] == text


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "-" * 99_999,
        "a." * 49_999,
        "<p>" * 33_000,
        "<p" * 49_000,
        "&" * 99_999,
        "a'" * 49_000,
        "&" + "amp;" * 24_999,
        "&amp;" * 19_999,
        "&#38;" * 19_999,
        "<b" * 16_000 + ">b" * 16_000,
        "1." * 49_999,
        "1 " * 49_999,
        "." * 99_999 + "1",
    ],
)
def test_hostile_texts_take_no_long_time(text: str):
    """No pattern needs time that grows with the square of the text: 16 times that of a quarter."""
    quarter = max(_cpu_s(text[: len(text) // 4]), 0.02)  # shorter times are noise

    assert _cpu_s(text) < 10 * quarter


def _cpu_s(text: str) -> float:
    """Return the least processor time of three calls: what else runs here does not count."""
    taken = []
    for _ in range(3):
        started = time.process_time()
        normal.normalised(cleaning.clean(text)[0])
        taken.append(time.process_time() - started)
    return min(taken)


def test_rows_without_a_usable_text_are_dropped_and_counted():
    """Empty, NUL-only, punctuation-only and 100,000-character texts are reasons, not rows."""
    rows = [
        RawRow(0, "Why?", "Because."),
        RawRow(1, None, "Because."),
        RawRow(2, "\x00\x00", "Because."),
        RawRow(3, "Why?", "<p><br></p>"),
        RawRow(4, "Why?", "..."),
        RawRow(5, "Why?", "x" * 100_000),
        RawRow(6, "Why?", "x" * 99_999),
    ]

    cleaned = cleaning.clean_rows(rows, "s")

    assert cleaned.frame["id"].to_list() == ["s-00000", "s-00006"]
    assert cleaned.dropped == {
        "empty context": 2,
        "empty response": 2,
        "text of 100,000 characters or more": 1,
    }


def test_rows_of_which_nothing_is_visible_are_dropped_as_empty():
    """A Hangul filler is a letter to Unicode, and the letters of [SEP] are no answer."""
    shown = "\U0001f468\u200d\U0001f469 \u0645\u06cc\u200c\u0631\u0648\u0645"
    rows = [
        RawRow(0, "Why?", "\u3164"),
        RawRow(1, "Why?", "[SEP]</s>"),
        RawRow(2, "\u200b\u2060", "Because."),
        RawRow(3, "Why?", shown),
    ]

    cleaned = cleaning.clean_rows(rows, "s")

    assert cleaned.dropped == {"empty response": 2, "empty context": 1}
    assert cleaned.frame["response"].to_list() == [shown]  # its joiners are kept


def test_a_row_keeps_what_it_was_made_from():
    """Source, row number and the digest of the raw text stand beside the clean text."""
    rows = [RawRow(7, "why&nbsp;", "a\u00a0b", "  "), RawRow(8, "why", "a b", "Ann")]

    frame = cleaning.clean_rows(rows, "s").frame

    assert frame.select("id", "row", "source", "author").rows() == [
        ("s-00007", 7, "s", None),
        ("s-00008", 8, "s", "Ann"),
    ]
    assert frame["raw_sha256"].n_unique() == 2
    assert frame["pair"].n_unique() == 1  # equal once clean


@needs_shared
def test_the_html_of_counselchat_becomes_plain_text():
    """All 1,466 answers that hold markup lose it and keep every word a browser would show."""
    frame = pl.read_csv(SHARED / "counsel-chat" / "counselchat-data.csv", infer_schema=False)
    answers = frame["answerText"].to_list()

    cleaned = [cleaning.clean(answer) for answer in answers]

    with_tags = [bool(re.search(r"<[a-zA-Z/!]", answer)) for answer in answers]
    assert sum(with_tags) == 1466
    assert all(
        "HTML" in repairs for (_, repairs), tag in zip(cleaned, with_tags, strict=True) if tag
    )
    assert not [
        text for text, _ in cleaned if re.search(r"</?[a-zA-Z][^>]*>|&\w+;|mso-|\[endif", text)
    ]
    assert sum(not text for text, _ in cleaned) == 5


def test_many_texts_are_cleaned_as_one_by_one():
    """What is not looked at needs no repair: every character that a step knows, and lone ones."""
    rng = random.Random(0)
    signs = [*map(chr, range(0x180)), *"\u00ad\u1680\u2003\u200b\u2028\u202f\u2060\u3000\ufeff",
             "a.B", "  ", " \n", "\n\n\n", "&amp;", "<b>", "word", "\u2019"]  # fmt: skip
    texts = ["".join(rng.choices(signs, k=rng.randrange(6))) for _ in range(5_000)]
    texts += ["plain words", *signs, *(f"a{sign}b" for sign in signs)]

    assert cleaning.clean_many(texts) == [cleaning.clean(text) for text in texts]
    broken = [*texts[:50], "\ud800 lone"]
    assert cleaning.clean_many(broken) == [cleaning.clean(text) for text in broken]


PIECES = (
    "<p>", "</p>", "<br>", "<br/>", "<br />", "<div>", "</div>", "<b>", "</b>", "<ul>", "<li>",
    "</li>", "</ul>", "<h2>", "</h2>", "</blockquote>", "&amp;", "&lt;", "&nbsp;", "&rsquo;",
    "&#39;", "&hellip;", " ", "\n", "\n\n", "\t", "word", "a < b", "R&D", "x > y", "<3",
    "&amp;lt;p&amp;gt;", "</br>", "\f",
    '<a href="x">', "</a>", "<hr>", "&bogus;", "&#150;", "<pre>",
    "</pre>", "<!-- c -->", "<P>",
)  # fmt: skip


def test_simple_markup_is_taken_off_as_the_parser_takes_it_off(monkeypatch: pytest.MonkeyPatch):
    """Texts with and without what needs the parser; white space between tags as it makes it."""
    rng, parsed = random.Random(0), []
    texts = ["".join(rng.choices(PIECES[:30], k=rng.randrange(1, 9))) for _ in range(1_500)]
    texts += ["".join(rng.choices(PIECES, k=rng.randrange(1, 9))) for _ in range(500)]
    soup = cleaning._soup_text
    monkeypatch.setattr(cleaning, "_soup_text", lambda text: (parsed.append(text), soup(text))[1])
    quick = [cleaning.clean(text) for text in texts]
    n = len(parsed)

    monkeypatch.setattr(cleaning, "_SIMPLE_TAG", re.compile(r"(?!)"))
    assert quick == [cleaning.clean(text) for text in texts]
    assert n < 0.5 * (len(parsed) - n)
