"""The rubrics that ship: they load, and have the scales of their instruments."""

import pytest

from empathy_core import rubrics
from empathy_core.errors import ConfigError, UnknownName
from empathy_core.rubrics import rendering
from empathy_core.rubrics.spec import Rubric

ASKED = [name for name in rubrics.names() if rubrics.rubric(name).single_reply]
FIVE = ("1", "2", "3", "4", "5")
THREE = ("0", "1", "2")
FAULT = ("No", "Yes")
SCALES = {
    "emotionqueen": {
        "Key Event": THREE,
        "Mixed Event": (*THREE, "X"),
        "Implicit Emotion": THREE,
        "Intention Recognition": THREE,
    },
    "counselbench": {
        "Overall": FIVE,
        "Empathy": FIVE,
        "Specificity": FIVE,
        "Medical advice": ("No", "Yes", "X"),
        "Factual consistency": ("1", "2", "3", "4", "X"),
        "Toxicity": FIVE,
    },
    "mentalalign": dict.fromkeys(
        (
            "Guidance", "Informativeness", "Relevance", "Safety",
            "Empathy", "Helpfulness", "Understanding",
        ),
        FIVE,
    ),
    "epitome": dict.fromkeys(("Emotional Reactions", "Interpretations", "Explorations"), THREE),
}  # fmt: skip


def _dimensions(name: str) -> dict[str, tuple[str, ...]]:
    return {d.label: d.labels for d in rubrics.rubric(name).dimensions}


@pytest.mark.parametrize("name", SCALES)
def test_scales_are_those_of_the_instrument(name: str):
    """Dimensions and what may be answered are those that the instruments' sources state."""
    assert _dimensions(name) == SCALES[name]


@pytest.mark.parametrize("name", ASKED)
def test_labels_that_are_numbers_count_as_these_numbers(name: str):
    """A label "2" counts as 2, No as 0 and Yes as 1."""
    counted = {"No": 0, "Yes": 1} | {str(number): number for number in range(10)}
    for dimension in rubrics.rubric(name).dimensions:
        assert [a.value for a in dimension.anchors] == [counted[a.label] for a in dimension.anchors]


@pytest.mark.parametrize("name", ASKED)
def test_a_rater_reads_question_every_anchor_and_the_pair(name: str):
    """Nothing of what a rating rests on is left out of the text."""
    asked = rubrics.rubric(name)
    for dimension in asked.dimensions:
        text = rendering.rating_text(asked, dimension, "I cannot sleep.", "That is hard.")
        lines = text.splitlines()

        assert text.startswith(rendering.question_text(asked, dimension))
        assert lines[0] == asked.instruction
        assert f"Question: {dimension.question}" in lines
        for anchor in dimension.anchors:
            assert lines.count(f"{anchor.label}: {anchor.text}") == 1
        assert (f"X: {dimension.not_applicable}" in lines) == ("X" in dimension.labels)
        assert lines.index("> I cannot sleep.") < lines.index("> That is hard.")
        assert lines[-2].endswith(f": {', '.join(dimension.labels)}")
        assert text.endswith("\nAnswer:")
        assert all(t.text in text for t in asked.tiers if t.name in dimension.tiers)


@pytest.mark.parametrize("name", ASKED)
def test_anchors_and_questions_differ_within_a_rubric(name: str):
    """No text was copied to a second place by mistake."""
    asked = rubrics.rubric(name)
    questions = [d.question for d in asked.dimensions]

    assert len(set(questions)) == len(questions)
    for dimension in asked.dimensions:
        assert len({anchor.text for anchor in dimension.anchors}) == len(dimension.anchors)


def test_toxicity_alone_of_counselbench_is_better_when_lower():
    """Whether medical advice is good or bad is not stated, so it is a profile."""
    found = {d.name: d.direction for d in rubrics.rubric("counselbench").dimensions}

    assert [name for name, direction in found.items() if direction == "lower"] == ["toxicity"]
    assert [name for name, direction in found.items() if direction is None] == ["medical_advice"]


def test_behaviours_are_thirteen_and_never_ranked():
    """A profile has no better end."""
    found = rubrics.rubric("behaviours").dimensions

    assert len(found) == 13
    assert {d.direction for d in found} == {None}


def test_emotionqueen_says_how_pass_and_win_are_inferred():
    """The note of tables has both, in every wording."""
    for wording in rubrics.wordings("emotionqueen"):
        assert "PASS counts scores of 1 and 2, WIN counts scores of 2" in wording.note
        assert "inferred" in wording.note


def test_three_wordings_differ_in_their_words_alone():
    """Names, values, labels and directions are the same; no sentence is."""

    def scales(asked: Rubric) -> list[object]:
        return [
            (d.name, d.label, d.direction, d.labels, [a.value for a in d.anchors])
            for d in asked.dimensions
        ]

    def sentences(asked: Rubric) -> set[str]:
        found = {asked.instruction}
        for d in asked.dimensions:
            found |= {d.question, d.not_applicable, *(a.text for a in d.anchors)}
        return found - {""}

    wordings = rubrics.wordings("emotionqueen")

    assert [w.name for w in wordings] == ["emotionqueen", "emotionqueen_2", "emotionqueen_3"]
    assert scales(wordings[0]) == scales(wordings[1]) == scales(wordings[2])
    assert len(set.union(*map(sentences, wordings))) == sum(len(sentences(w)) for w in wordings)
    digests = {rendering.dimension_digest(w, asked) for w in wordings for asked in w.dimensions}
    assert len(digests) == sum(len(w.dimensions) for w in wordings)


def test_every_fault_in_a_crisis_has_a_severity_and_no_is_the_good_answer():
    """Four levels of risk; a false alarm is asked of messages without risk alone."""
    crisis = rubrics.rubric("crisis")
    tiers = {d.name: d.tiers for d in crisis.dimensions}

    assert [t.name for t in crisis.tiers] == ["none", "passive", "active", "immediate"]
    assert {d.severity for d in crisis.dimensions} == {"red", "yellow"}
    assert {(d.direction, d.labels[:2]) for d in crisis.dimensions} == {("lower", FAULT)}
    assert [name for name, at in tiers.items() if "none" in at] == ["false_alarm"]
    assert [name for name, at in tiers.items() if at == ("immediate",)] == [
        "no_urgent_help",
        "not_with_someone",
        "no_distance_from_means",
    ]
    assert [d.name for d in crisis.dimensions if d.severity == "yellow"] == [
        "false_alarm", "heap", "barriers", "jargon", "many_questions",
    ]  # fmt: skip


def test_a_rubric_for_sessions_is_refused_with_its_reason():
    """The CTRS may not be asked of one reply; the others may."""
    with pytest.raises(ConfigError, match=r"'ctrs' cannot .* whole session of therapy .* choose"):
        rubrics.require_single_reply(rubrics.rubric("ctrs"))
    for name in ASKED:
        rubrics.require_single_reply(rubrics.rubric(name))

    assert set(rubrics.names()) - set(ASKED) == {"ctrs", "emrank"}
    assert rubrics.rubric("emrank").pairwise


def test_an_unknown_name_gets_the_closest():
    """The message lists all and says how to give one's own."""
    with pytest.raises(UnknownName, match=r"Did you mean 'epitome'\? Known: .*\.toml file"):
        rubrics.rubric("epitom")
