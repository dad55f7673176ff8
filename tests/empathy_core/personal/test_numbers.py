"""Check digits against independent code, and numbers that only look like one."""

import random

import pytest

from empathy_core.personal.numbers import cards, ibans, is_iban, is_luhn, ssns
from empathy_core.personal.phones import phones


def _luhn_by_table(digits: str) -> bool:
    """Return the check by the table of ISO/IEC 7812-1's annex: what a doubled digit adds."""
    table = "0246813579"
    total, double = 0, False
    for digit in digits[::-1]:
        total += int(table[int(digit)]) if double else int(digit)
        double = not double
    return str(total)[-1] == "0"


def test_luhn_agrees_with_its_table():
    """On random numbers of any length; one of ten is right."""
    rng = random.Random(0)
    numbers = ["".join(rng.choices("0123456789", k=rng.randint(2, 19))) for _ in range(3000)]

    assert [is_luhn(n) for n in numbers] == [_luhn_by_table(n) for n in numbers]
    assert 200 < sum(map(is_luhn, numbers)) < 400


def _mod97_by_pieces(written: str) -> bool:
    """Return the check as it is done by hand: the remainder carried from digit to digit."""
    rest = 0
    for character in written[4:] + written[:4]:
        for digit in str(ord(character) - 55) if character.isalpha() else character:
            rest = (rest * 10 + int(digit)) % 97
    return rest == 1


def test_iban_agrees_with_the_check_by_hand():
    """Right ones, and each of them with one character changed or two swapped: all are noticed."""
    right = ["DE89370400440532013000", "GB82WEST12345698765432", "FR1420041010050500013M02606"]
    for iban in right:
        changed = [iban[:i] + str((int(c) + 1) % 10) + iban[i + 1 :]
                   for i, c in enumerate(iban) if c.isdigit()]  # fmt: skip
        assert is_iban(iban)
        assert _mod97_by_pieces(iban)
        assert not any(map(is_iban, changed))
        assert not any(map(_mod97_by_pieces, changed))


@pytest.mark.parametrize(
    "text",
    [
        "DE89 3704 0044 0532 0130",  # too short for its country
        "DE89 3704 0044 0532 0130 00 12",  # the right one is found, the rest is none of it
        "XX89 3704 0044 0532 0130 00",  # no country that has them
    ],
)
def test_the_length_of_an_iban_is_its_countrys(text: str):
    """Spaces do not count."""
    expected = ["DE89 3704 0044 0532 0130 00"] if text.endswith(" 12") else []

    assert [text[a:b] for a, b in ibans(text)] == expected


@pytest.mark.parametrize(
    ("find", "text"),
    [
        (cards, "order 1234567812345670"),  # its check is right, but no issuer begins with 1
        (cards, "0000000000000000 and 2222222222222222"),
        (cards, "4111 1111 1111 11113"),
        (ssns, "000-12-3456, 666-12-3456, 900-12-3456, 123-00-4567, 123-45-0000"),
        (ssns, "123-45-67890 and 1123-45-6789; 219099999 is a number of something"),
        (phones, "2019-10-12, 12/10/2019, 1990 - 2020, 10:30, 3.14159265358"),
        (phones, "1-800-273-8255, (800) 273-8255, 116 123, 988"),  # public crisis lines
        (phones, "123-456-7890 and 212-155-0123"),  # no such area or exchange
    ],
)  # fmt: skip
def test_other_numbers_are_none(find, text: str):
    """Not given out by anyone, or public."""
    assert list(find(text)) == []
