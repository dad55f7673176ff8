"""The normal form: what makes two texts the same, and what does not."""

import itertools
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from empathy_core.data import DataSpec, EvaluateSpec, Source, normal, prepare

DIFFERENT = [
    ("Take 1.5 mg.", "Take 15 mg."),
    ("Take .5 mg.", "Take 5 mg."),
    ("Breathe 2-3 times.", "Breathe 23 times."),
    ("Take 1 5 times", "Take 15 times"),
    ("at -5 degrees", "at 5 degrees"),
    ("(-5)", "(5)"),
    ("at 12:30", "at 1230"),
    ("on 1/2", "on 12"),
    ("10\u00b2 steps", "102 steps"),
    ("\u00bd a pill", "12 a pill"),
    ("\u0e40\u0e02\u0e49\u0e32", "\u0e40\u0e02\u0e32"),  # Thai: to enter, knee
    ("\u0928\u093f", "\u0928\u0940"),  # Hindi: short i, long i
    (
        "\u0643\u064f\u062a\u0650\u0628",
        "\u0643\u064e\u062a\u064e\u0628",
    ),  # Arabic: was written, wrote
    ("\U0001f600", "\U0001f622"),
    ("thanks \U0001f44d", "thanks"),
    ("C++", "C#"),
    ("C++", "C"),
    ("C#", "C"),
    ("5 %", "5"),
    ("$5", "\u20ac5"),
    ("a < b", "a > b"),
    ("R&D", "RD"),
]
EQUAL = [
    ("Why am I sad?", "why am i SAD"),
    ("Don't worry.", "Don\u2019t worry"),
    ("Don't worry.", "Don`t  worry\u2026"),
    ("2-3 times", "2 \u2013 3 times"),
    ("12:30", "12 : 30"),
    ("caf\u00e9", "cafe\u0301"),
    ("\uff11\uff10\u3000times", "10 times"),
    ("\ufb01ne", "fine"),
    ("\u2764\ufe0f", "\u2764"),
    ("Stra\u00dfe", "STRASSE"),
    ("one.Two", "one.\n\nTwo"),
    ("\u2022 rest \u00b7 sleep", "- rest, sleep"),
]


@pytest.mark.parametrize(("one", "two"), DIFFERENT)
def test_texts_that_say_something_else_are_different(one: str, two: str):
    """Signs at digits, marks and symbols tell texts apart, in the pairs and among the words."""
    assert normal.normalised(one) != normal.normalised(two)
    assert normal.words(one) != normal.words(two)


@pytest.mark.parametrize(("one", "two"), EQUAL)
def test_copies_of_a_text_are_the_same(one: str, two: str):
    """Case, spaces, sentence punctuation and spellings of a sign do not tell texts apart."""
    assert normal.normalised(one) == normal.normalised(two)


@given(st.text(max_size=200))
def test_spaces_and_an_end_mark_change_nothing(text: str):
    """Of any text."""
    form = normal.normalised(text)

    assert normal.normalised(f" {text}!\n") == form


KEPT = [chr(i) for i in range(0x3000) if unicodedata.category(chr(i)) in ("Mn", "Mc", "Lo", "So")]


@given(st.lists(st.sampled_from(KEPT), min_size=2, max_size=6).map("".join), st.data())
def test_no_letter_mark_or_symbol_can_be_left_out(text: str, data: st.DataObject):
    """Of any script: without one of its characters a text has another normal form."""
    composed = unicodedata.normalize("NFKC", text)
    # what is left of a letter in brackets are a letter and brackets, which do not count
    said = [i for i, c in enumerate(composed) if unicodedata.category(c)[0] not in "PZ"]
    i = data.draw(st.sampled_from(said))
    shorter = composed[:i] + composed[i + 1 :]

    assert normal.normalised(composed) != normal.normalised(shorter)


@given(st.from_regex(r"[0-9]{1,3}[-.,:/+*=][0-9]{1,3}", fullmatch=True))
def test_numbers_keep_their_signs(text: str):
    """Two numbers and a sign are neither one number nor the same numbers with another sign."""
    digits = "".join(filter(str.isdigit, text))
    others = {
        text.translate({ord(sign): other})
        for sign, other in itertools.product(text, "-.,:/+*=")
        if not sign.isdigit()
    }

    forms = {normal.normalised(other) for other in others}

    assert normal.normalised(digits) not in forms
    assert len(forms) == len(others) == 8


def test_no_row_is_dropped_for_a_dose_or_a_sign(tmp_path):
    """Pairs and questions go by the normal form: seven rows are seven, and an echo is dropped."""
    answers = [
        "Take 1.5 mg.",
        "Take 15 mg.",
        "Take 2-3.",
        "Take 23.",
        "Use C++.",
        "Use C#.",
        "\u0e02\u0e49\u0e32 a",
    ]
    rows = "".join(
        f'Question {i % 2}?,"{a}"\n' for i, a in enumerate([*answers, answers[1].upper()])
    )
    (tmp_path / "d.csv").write_text("q,a\n" + rows, encoding="utf-8")
    source = Source("own", path=str(tmp_path / "d.csv"), context=("q",), response="a")

    prepared = prepare(DataSpec((source,)), EvaluateSpec(split="all"))

    assert prepared.examples.sort("id")["response"].to_list() == answers
    assert prepared.audit["sources"][0]["dropped"] == {"duplicate of an earlier row": 1}
