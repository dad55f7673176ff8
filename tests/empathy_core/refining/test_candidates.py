"""What becomes of instructions: candidates, or dropped with a reason."""

import json
from pathlib import Path

import pytest

from empathy_core import prompts
from empathy_core.errors import ConfigError
from empathy_core.prompts.instructions import instruction_of
from empathy_core.refining import candidates, proposing
from empathy_core.refining.candidates import PromptCandidate, ProposalOrigin
from empathy_core.refining.proposing import WorstRow

PARENT = prompts.prompt("prompt2")


def proposed(reply: str, number: int = 1) -> PromptCandidate:
    """Return the candidate that a reply is."""
    origin = ProposalOrigin(("a", "b"), "echo.proposer-0000", 7, "proposer_1")
    return candidates.proposed(reply, number, PARENT, origin)


@pytest.mark.parametrize(
    "reply",
    [
        "Listen first.",
        "<instruction>Listen first.</instruction> I hope this helps!",
        "<Instruction>\nListen first.",
        '"Listen first."',
        "```text\nListen first.\n```",
        "Listen first.\n\nMessage 3: I am sad.\nReply 3: Oh.",
        "\N{LEFT DOUBLE QUOTATION MARK}Listen first.\N{RIGHT DOUBLE QUOTATION MARK}\n",
    ],
)
def test_an_instruction_is_found_in_what_models_write(reply: str) -> None:
    """Tags, fences and quotation marks around it are no part of it."""
    one = proposed(reply)

    assert (one.dropped, one.said) == ("", "Listen first.")
    assert one.prompt is not None
    assert one.prompt.plain("Q?") == "Listen first.\n\nUser: Q?\n\nTherapist:"


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ("", "it is empty"),
        ("<instruction> </instruction>", "it is empty"),
        ("Answer {context} well.", "it holds {context}"),
        ("word " * 401, "it has 401 words, and 400 are the most"),
    ],
)
def test_what_cannot_be_used_is_dropped_with_its_reason(reply: str, why: str) -> None:
    """And what was returned is kept, with all that led to it."""
    one = proposed(reply)

    assert one.dropped.startswith(why)
    assert one.prompt is None
    assert (one.said, one.shown, one.seed, one.parent) == (reply, ("a", "b"), 7, "prompt2")
    assert json.loads(json.dumps(one.record()))["proposer"] == "echo.proposer-0000"


def test_what_says_the_same_takes_part_once() -> None:
    """As the parent, or as an earlier candidate, by words and not by name."""
    made = [
        *candidates.by_hand([prompts.prompt("prompt1"), PARENT], PARENT),
        proposed(instruction_of(prompts.prompt("prompt1"))),
        proposed(instruction_of(PARENT), 2),
        proposed("Listen first.", 3),
    ]
    told = [one.dropped for one in candidates.told_apart(made, PARENT)]

    assert told == [
        "",
        "it says what the parent prompt says",
        "it says what candidate 'prompt1' says",
        "it says what the parent prompt says",
        "",
    ]


def test_a_file_as_dspy_saves_it_is_read(tmp_path: Path) -> None:
    """A line of our own, and a program whose predictors have signatures."""
    lines = [
        {"instructions": "One.", "name": "first"},
        {"predict": {"signature": {"instructions": "Two.", "fields": []}, "demos": []}},
    ]
    path = tmp_path / "c.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    made = candidates.from_instructions(candidates.read_instructions(path), PARENT, "c.jsonl")

    assert [(one.name, one.said, one.made) for one in made] == [
        ("first", "One.", "file"),
        ("file-02", "Two.", "file"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no instruction: expected"),
        ("{", "line 1 is no JSON"),
        ('{"text": "x"}', 'holds no text under "instructions"'),
        ('{"instructions": "x", "name": "../x"}', "cannot be the name of a prompt"),
    ],
)
def test_a_file_that_holds_none_is_refused(text: str, said: str, tmp_path: Path) -> None:
    """With its line, what was expected and what to do."""
    path = tmp_path / "c.jsonl"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        candidates.read_instructions(path)


def test_two_prompts_of_one_name_are_refused() -> None:
    """Rows of tables are called by it."""
    made = candidates.from_instructions([("prompt2", "One.")], PARENT, "c.jsonl")
    with pytest.raises(ConfigError, match="two prompts of the refinement are called 'prompt2'"):
        candidates.require_names(made, PARENT)


def test_each_proposal_sees_other_worst_replies_until_they_are_used_up() -> None:
    """And no two briefs are equal, so that a greedy proposer writes several."""
    worst = [WorstRow(f"v{i}", f"message {i}", "long " * 200, "0.10") for i in range(4)]
    dealt = proposing.dealt(worst, 3, 2)
    briefs = [proposing.brief(PARENT, rows, i, "Warmth") for i, rows in enumerate(dealt)]

    assert [[row.example for row in rows] for rows in dealt] == [
        ["v0", "v1"], ["v2", "v3"], ["v0", "v1"],
    ]  # fmt: skip
    assert len(set(briefs)) == 3
    assert instruction_of(PARENT) in briefs[0]
    assert "message 0" in briefs[0]
    assert "message 2" not in briefs[0]
    assert all(len(brief.split()) < 300 for brief in briefs)


def test_the_proposers_template_is_a_prompt() -> None:
    """In both forms the brief stands in it once."""
    template = prompts.read(proposing.TEMPLATE)

    assert template.plain("BRIEF").count("BRIEF") == 1
    assert [message.role for message in template.chat("BRIEF")] == ["system", "user"]
