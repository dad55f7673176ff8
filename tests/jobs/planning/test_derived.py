"""Which condition was made of which is known from the configuration."""

from dataclasses import replace

import pytest

from empathy_core.choice import SampleChoice
from empathy_core.errors import ConfigError
from empathy_core.prompts import prompt, read
from empathy_core.types import Condition, Decoding, ModelSpec
from jobs.planning.derived import derived
from jobs.planning.plan import Plan, PlanNotes
from reports.spec import Derived

ECHO = ModelSpec("echo", "Echo", "echo")
SAMPLED = Decoding(sample=True, samples=4, name="sampled")


def plan_of(*conditions: Condition) -> Plan:
    """Return a plan of conditions alone."""
    return Plan(conditions, "d", 1, {}, 1, "error", (), PlanNotes())


def test_a_refined_prompt_is_compared_with_its_parent_under_the_same_decoding():
    """A prompt without a parent, or whose parent is not asked, is compared with nothing."""
    refined = replace(prompt("prompt2"), name="better", label="Better", parent="prompt1")
    lone = replace(prompt("prompt2"), name="lone", parent="nowhere")
    parent, child = (
        Condition(ECHO, prompt("prompt1"), Decoding()),
        Condition(ECHO, refined, Decoding()),
    )
    others = (Condition(ECHO, lone, Decoding()), Condition(ECHO, refined, SAMPLED))

    assert derived(plan_of(parent, child, *others)) == (
        Derived(child.id, parent.id, "Refined prompt", "Better"),
    )


def test_chosen_answers_are_compared_with_the_samples():
    """One sample is the baseline of equal cost; who chose is told."""
    samples = Condition(ECHO, prompt("none"), SAMPLED)
    choice = SampleChoice(samples.id, 4, "k", ("k",), "c", "Warmth", "Judge One", "higher")
    best = replace(samples, decoding=replace(SAMPLED, name="best", samples=1), choice=choice)

    assert derived(plan_of(samples, best)) == (
        Derived(best.id, samples.id, "Best of 4", "by Warmth by Judge One"),
    )


def test_the_parent_is_read_from_the_file_and_moves_no_id(tmp_path):
    """It says where a prompt comes from, as ``origin`` does, and changes no text."""
    text = 'text = "{context}"\nmessages = [{ role = "user", content = "{context}" }]\n'
    (tmp_path / "a.toml").write_text(text)
    plain = read(tmp_path / "a.toml")
    (tmp_path / "a.toml").write_text(f'parent = "prompt2"\n{text}')
    child = read(tmp_path / "a.toml")
    (tmp_path / "b.toml").write_text(f"parent = 2\n{text}")

    assert child.parent == "prompt2"
    assert Condition(ECHO, child, Decoding()).id == Condition(ECHO, plain, Decoding()).id
    with pytest.raises(ConfigError, match="'parent' is not a string"):
        read(tmp_path / "b.toml")
