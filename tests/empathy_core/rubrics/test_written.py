"""What a rater writes is read strictly: exactly one rating, or none."""

import json

import pytest

from empathy_core import rubrics
from empathy_core.rubrics import written

MIXED = next(d for d in rubrics.rubric("emotionqueen").dimensions if d.not_applicable)
LABELS = ("0", "1", "2", "X")

READ = {
    "a label": ('{"answer": "2"}', "2"),
    "its digits as a number": ('{"answer": 2}', "2"),
    "blanks around": ('\n  {"answer":"1"} \n', "1"),
    "several lines": ('{\n  "answer": "0"\n}', "0"),
    "a code fence": ('```json\n{"answer": "X"}\n```', "X"),
    "nothing": ("", None),
    "prose alone": ("I would say 2.", None),
    "the label alone": ("2", None),
    "prose before": ('Here you are: {"answer": "2"}', None),
    "prose after": ('{"answer": "2"}\nI hope this helps.', None),
    "truncated": ('{"answer": "2', None),
    "truncated behind the label": ('{"answer": "2"', None),
    "out of range": ('{"answer": "3"}', None),
    "out of range, a number": ('{"answer": -1}', None),
    "between two labels": ('{"answer": 1.5}', None),
    "a number that is a label but for its form": ('{"answer": 2.0}', None),
    "true, which is 1 in Python": ('{"answer": true}', None),
    "null": ('{"answer": null}', None),
    "a list": ('{"answer": ["2"]}', None),
    "a label with words": ('{"answer": "2: Warm."}', None),
    "two scores in one object": ('{"answer": "2", "answer": "0"}', None),
    "two objects": ('{"answer": "2"}\n{"answer": "0"}', None),
    "another key": ('{"score": "2"}', None),
    "a key too many": ('{"answer": "2", "certain": "yes"}', None),
    "a reason that nobody asked for": ('{"reason": "Warm.", "answer": "2"}', None),
    "a list of ratings": ('[{"answer": "2"}]', None),
    "not a number at all": ('{"answer": NaN}', None),
    "braces without end": ("[" * 100_000, None),
}


@pytest.mark.parametrize("case", READ)
def test_an_answer_is_exactly_one_rating_or_none(case: str):
    """Nothing is guessed, and no middle value stands in."""
    text, wanted = READ[case]

    assert written.label_in(text, LABELS, reason=False) == wanted


def test_a_reason_that_was_asked_for_must_be_there_as_a_text():
    """In any order; else the judge did not do what it was asked."""
    whole = {"reason": 'It is {cold}: "2".', "answer": "0"}

    assert written.label_in(json.dumps(whole), LABELS, reason=True) == "0"
    assert written.label_in('{"answer": "0", "reason": ""}', LABELS, reason=True) == "0"
    assert written.label_in('{"answer": "0"}', LABELS, reason=True) is None
    assert written.label_in('{"reason": 3, "answer": "0"}', LABELS, reason=True) is None


def test_labels_that_are_words_are_read_as_they_are_spelled():
    """Yes is not yes, and not true."""
    words = ("No", "Yes")

    assert written.label_in('{"answer": "Yes"}', words, reason=False) == "Yes"
    assert written.label_in('{"answer": "yes"}', words, reason=False) is None


@pytest.mark.parametrize("reason", [False, True])
def test_the_schema_allows_what_is_read_and_nothing_else(reason: bool):
    """Each label, under the asked keys, none of which may be left out or added to."""
    schema = json.loads(written.schema(MIXED, reason=reason))
    why = {"reason": "So."} if reason else {}

    assert schema["properties"]["answer"] == {"type": "string", "enum": list(LABELS)}
    assert schema["required"] == list(schema["properties"]) == [*why, "answer"]
    assert schema["additionalProperties"] is False
    for label in schema["properties"]["answer"]["enum"]:
        text = json.dumps({**why, "answer": label})
        assert written.label_in(text, MIXED.labels, reason=reason) == label


def test_what_is_asked_for_names_the_labels_and_the_form():
    """The reason stands before the answer, so that the answer can depend on it."""
    short, long = (written.request(MIXED, reason=reason) for reason in (False, True))

    assert "one of these and nothing else: 0, 1, 2, X\n" in short
    assert '{"answer": "..."}' in short
    assert "reason" not in short
    assert long.index('"reason"') < long.index('"answer"')
    assert short.endswith("\nAnswer:")
    assert long.endswith("\nAnswer:")
