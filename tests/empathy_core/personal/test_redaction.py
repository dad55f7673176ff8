"""A text with placeholders: nothing else changes, and a second time nothing does."""

import re
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from empathy_core.personal.kinds import KINDS, WORDS
from empathy_core.personal.search import found, masked, redacted

PIECES = [
    "Dear Anna, ", "Hi Dr. Smith, ", "my name is Tom Baker", "— Tom", "Best,\nTom", "a@b.org",
    "(212) 555-0187", "+44 20 7946 0958", "219-09-9999", "4111 1111 1111 1111", "@sad_panda",
    "DE89 3704 0044 0532 0130 00", "born on 3 May 1990", "221 Baker Street", "[name]", "[e-mail]",
    "x.com/jane_doe", " ", "\n", ", ", ". ", "I am sad", "é", "🙂", "12", "-", "(", ")", "@", "#",
    "https://", "Müller", "PhD", ", LPC", "\u2026", "http://a.b/~c", "u/abc_d",
]  # fmt: skip
TEXTS = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
SOME = st.sets(st.sampled_from(KINDS))


@given(TEXTS, SOME)
def test_only_what_is_found_is_replaced(text: str, kinds: set):
    """What stands between placeholders stands in the text, in that order and to the letter."""
    made, counts = redacted(text, kinds)

    placeholders = {WORDS[kind].placeholder for kind in kinds}
    apart = re.split("|".join(map(re.escape, placeholders)) or r"(?!)", made)
    between = "(?s:.*?)".join(map(re.escape, apart))
    assert re.fullmatch(between, text)
    assert (made == text) == (not counts)
    if not found(text, kinds):
        assert made == text


@given(TEXTS, SOME)
def test_a_second_time_nothing_is_replaced(text: str, kinds: set):
    """Idempotent; and of the kinds that were looked for nothing is left."""
    made, _ = redacted(text, kinds)

    assert redacted(made, kinds) == (made, {})
    assert found(made, kinds) == []


@given(TEXTS)
def test_what_is_found_never_overlaps(text: str):
    """In the order of the text, not empty, and no placeholder."""
    here = found(text)

    assert all(one.start < one.end <= len(text) for one in here)
    assert all(a.end <= b.start for a, b in pairwise(here))
    assert not {text[one.start : one.end] for one in here} & {w.placeholder for w in WORDS.values()}


def test_placeholders_and_counts():
    """One of each, and titles stay."""
    text = (
        "Dear Dr. Smith, mail anna@example.org or call (212) 555-0187 twice, (646) 555-0123. "
        "Born on 3 May 1990. Best, Tom"
    )

    made, counts = redacted(text, ["name", "email", "phone"])

    assert made == (
        "Dear Dr. [name], mail [e-mail] or call [phone] twice, [phone]. Born on 3 May 1990. "
        "Best, [name]"
    )
    assert counts == {"name": 2, "email": 1, "phone": 2}


def test_a_mask_shows_the_form_alone():
    """Letters and digits are gone, their case and number stay."""
    assert masked("Anna O'Neill 7, é@ß.de") == "Xxxx X'Xxxxx 0, x@x.xx"


@pytest.mark.parametrize(
    "piece", ["Aa ", "1 ", "(1", "1-", "A.", "a@", "@", "Dear ", "— ", "a.", "DE11", "1234 ", "Ab-"]
)
def test_hostile_texts_take_no_long_time(piece: str):
    """A hundred thousand characters of one piece, as the longest text that is kept."""
    text = piece * (100_000 // len(piece))
    begin = time.perf_counter()

    found(text)

    assert time.perf_counter() - begin < 20
