"""A concrete way to help counts only if its number or address stands in the list."""

import time
from datetime import date

import pytest

from empathy_core.crisis.resources import pointers, resource_list, resources_digest

VERIFIED = (
    "Call or text 988 any time.",
    "Please dial 9-8-8.",
    "The Lifeline is 1-800-273-8255.",
    "Call (800) 273-8255 now.",
    "Call +1 800 273 8255.",
    "Call 1-800-273-TALK (8255).",
    "Text HOME to 741741.",
    "Text HOME to 741-741 in the US.",
    "The Samaritans are there on 116 123.",
    "Ring 116123, day and night.",
    "In Australia, Lifeline is on 13 11 14.",
    "Canada: 1.833.456.4566 (Talk Suicide line)",
    "Die Nummer der TelefonSeelsorge, a free line: 0800 111 0 111",
    "Find a line in your country at https://findahelpline.com/us.",
    "Go to www.988lifeline.org for a chat.",
    "Write to jo@samaritans.org.",
    "Please call 911 right away.",
    "Call 999 or go to A&E.",
    "Call 000.",
    "Crisis lines:\n- US: 988\n- UK: 116 123",
)
UNVERIFIED = (
    "Call the crisis line at 1-800-555-0199.",
    "The Texas Crisis Hotline is 800-989-6884.",
    "Text HELLO to 54321.",
    "Call 1-800-SUICIDE.",
    "Please dial 4673.",
    "There is a suicide hotline at www.hope-for-all.org.",
    "See helpnow.com for an emergency chat.",
    "The hotline of NEDA is (800) 931-2237.",
    "Ring 0800 123 4567 now.",
)
NOT_CONCRETE = (
    "",
    "I am sorry that you feel so low.",
    "In 1988 I was 24, and in 2011 I earned $988.",
    "It happened on 9/11, in 911 ways.",
    "I slept 10,000 hours, 988.5 to be exact.",
    "Page 112 of the book says so.",
    "I call him 20 times a day.",
    "My age is 54 and I have 741,741 reasons.",
    "Read www.nytimes.com in the morning.",
    "It can feel like a crisis.In time it eases.Can you wait?",
    "Breathe in for 4, hold for 7, out for 8.",
)
GENERIC = (
    "Please ring a crisis line.",
    "Call your local emergency number.",
    "Contact the emergency services today.",
    "Go to the nearest hospital.",
    "A suicide prevention hotline is open day and night.",
    "You could talk to the Samaritans.",
    "Go to your nearest ER.",
)


@pytest.mark.parametrize("text", VERIFIED)
def test_what_stands_in_the_list_is_verified(text: str):
    """However it is written: blanks, dashes, brackets, letters of the keys, capitals."""
    assert pointers(text).verified
    assert pointers(text.upper()).verified
    assert not pointers(text).unverified


@pytest.mark.parametrize("text", UNVERIFIED)
def test_any_other_number_or_address_beside_words_of_help_is_unverified(text: str):
    """Models invent numbers; that a number is missing from the list does not make it wrong."""
    assert pointers(text).unverified
    assert not pointers(text).verified


@pytest.mark.parametrize("text", NOT_CONCRETE)
def test_other_numbers_are_no_resource(text: str):
    """Years, ages, prices, pages, counts."""
    found = pointers(text)

    assert not found.verified
    assert not found.unverified


@pytest.mark.parametrize("text", GENERIC)
def test_words_alone_are_a_generic_pointer(text: str):
    """No number, no address."""
    found = pointers(text)

    assert found.generic
    assert not found.verified
    assert not found.unverified


def test_one_digit_more_or_less_is_another_number():
    """A number inside a longer one is none of the list."""
    assert pointers("Call 1-800-273-8255.").verified
    assert not pointers("Call 1-800-273-82551.").verified
    assert not pointers("Call 1-800-273-825.").verified
    assert not pointers("Call 9881234.").verified
    assert not pointers("See findahelpline.com.example.org for the crisis line.").verified
    assert not pointers("See myfindahelpline.com for the crisis line.").verified


def test_lines_for_other_needs_are_neither_verified_nor_unverified():
    """A line against violence at home is no way to crisis help, and not invented either."""
    found = pointers("Call the National Domestic Violence Hotline, 1-800-799-7233.")

    assert not found.verified
    assert not found.unverified


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Call 988 now.", True),
        ("Please contact a crisis line.", True),
        ("Ring the crisis line on 0800 123 4567.", True),
        ("If you ever feel unsafe, call 988.", False),
        ("Should you have thoughts of dying, a crisis line is open.", False),
        ("If you are in danger:\n- call 988\n- tell a friend", False),
        ("If it rains, stay in. Call 988.", True),
        ("Call the emergency services, since he is hurt.", False),
        ("Call 911 for your husband.", False),
        ("Take care of yourself.", False),
    ],
)
def test_a_crisis_service_without_a_condition_is_told_apart(text: str, expected: bool):
    """Emergency services are left out: other emergencies need them."""
    assert pointers(text).unconditional is expected


def test_the_list_is_dated_and_says_who_must_check_it():
    """Every entry has a kind, a country and a source; no number stands under two kinds of need."""
    listed = resource_list()

    assert listed.checked >= date(2026, 11, 29)
    assert "check" in listed.advice
    assert resources_digest().startswith(str(listed.checked))
    for resource in listed.resources:
        assert resource.countries
        assert resource.source
        assert resource.numbers or resource.addresses
    other = {n for r in listed.resources if r.kind == "other" for n in r.numbers}
    assert not other & {n for r in listed.resources if r.kind != "other" for n in r.numbers}


def test_long_replies_take_no_time():
    """No pattern backtracks over a long text."""
    for piece in ("1 ", "call 9", "800-", "a.b.c.", "text to ", "crisis "):
        text = piece * (50_000 // len(piece))
        start = time.process_time()
        pointers.__wrapped__(text)
        assert time.process_time() - start < 10
