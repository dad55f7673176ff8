"""Normal forms of many texts at once: to the byte those of one text at a time."""

import random

import polars as pl

from empathy_core.data import normal, normal_bytes

PLAIN = (
    "abzABZ019 \n.,-:;!?'\"#%&@$+<=>^|~`_()[]{}/\\*"
    "\u2019\u2018\u201c\u201d\u2013\u2014\u2026ÀÖØÞàöøÿé"
)
OTHER = "\u00d7÷ßµ²½\ufb01\u017f\u0130\u0131\u03a3\u03c2日本ไทย\u0301\u200d\u00a0\ufe0f\u0663Å"


def words_of(texts: pl.Series) -> list[list[str]]:
    """Return the words of each text."""
    found = normal_bytes.words(texts)
    made: list[list[str]] = [[] for _ in texts]
    for text, begin, end in zip(found.texts, found.begins, found.ends, strict=True):
        made[text].append(found.data[begin:end].tobytes().decode())
    return made


def test_they_are_those_of_one_text_at_a_time():
    """Of texts of plain characters, of others, and of both, in the order of the texts."""
    rng = random.Random(0)
    texts = [
        "",
        " ",
        "…",
        "Don\u2019t.",
        "1.5 mg is not 15 mg",
        "I\u2019m \u201cfine\u201d \u2013 really…",
        "日本語 1.5",
    ]
    for signs in ("ab .-,\u20191\n\u2014", PLAIN, PLAIN + OTHER):
        texts += ["".join(rng.choices(signs, k=rng.randrange(12))) for _ in range(3_000)]
    series = pl.Series(texts)

    joined = normal_bytes.normalised(series).whole()
    words = words_of(series)

    assert [text.decode() for text in joined] == [normal.normalised(text) for text in texts]
    assert words == [normal.words(text) for text in texts]


def test_a_part_of_a_series_is_read_from_its_own_beginning():
    """Sliced texts have offsets that do not begin at 0."""
    series = pl.Series(["One thing.", "Two Things.", "日本", "Three."])[1:]

    assert words_of(series) == [["two", "things"], ["日本"], ["three"]]
    assert words_of(series[:0]) == []
    assert normal_bytes.normalised(series[:0]).whole() == []
