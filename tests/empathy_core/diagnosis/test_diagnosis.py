"""Causes from what was seen: each rule fits where it should, and nowhere else."""

from dataclasses import replace
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from empathy_core.diagnosis import (
    CAUSES,
    Answered,
    Facts,
    Observation,
    Reference,
    Step,
    Stop,
    Token,
    causes,
    diagnose,
    end_after,
    first_difference,
    repeating_tail,
)
from empathy_core.prompts import prompt
from empathy_core.types import Condition, Decoding, ModelSpec
from reports.page.diagnosis import Shown, chosen, page, text

END, PAD, WORD = Stop(2, "</s>", "end of text"), Stop(0, "<pad>", "pad"), Stop(9, " I", "word")
VOCABULARY = 1000
QUESTION = "How can I sleep better when my partner snores and my work begins at five?"


def condition(**settings: object) -> Condition:
    """Return a greedy condition of 8 new tokens without a chat template."""
    model = ModelSpec("tiny", "Tiny", "hf", "decoder", "weights")
    decoding = Decoding(**{"max_new_tokens": 8, **settings})  # type: ignore[arg-type]
    return Condition(model, prompt("none"), decoding)


def step(number: int, taken: int, p_end: float = 1e-6, **changes: object) -> Step:
    """Return a confident step that takes *taken*; the end is second where it is not first."""
    first = Token(taken, f" w{taken}", 0.9, 1)
    end = Token(2, "</s>", p_end, 1 if p_end > 0.5 else 30)
    top = (end, replace(first, probability=0.1, rank=2)) if p_end > 0.5 else (first, end)
    of_taken = end if taken == 2 else top[1] if p_end > 0.5 else first
    return replace(Step(number, of_taken, top, 0.4, (end,)), **changes)  # type: ignore[arg-type]


def answered(ids: tuple[int, ...], words: str, stop: str = "eos", **changes: object) -> Answered:
    """Return an answer whose ids decode to its text."""
    tokens = tuple(f" w{i}" for i in ids)
    plain = Answered(words, stop, ids, tokens, words, words, "prompt")
    return replace(plain, **changes)  # type: ignore[arg-type]


def seen(
    ids: tuple[int, ...] = (5, 6, 7, 2), words: str = "All is well.", **changes: object
) -> Observation:
    """Return a row whose re-run equals what is stored."""
    stop = "eos" if ids and ids[-1] in (0, 2, 9) else "length"
    answer = answered(ids, words, stop)
    steps = tuple(step(n, i, 0.95 if i == 2 else 1e-6) for n, i in enumerate(ids, 1))
    row = Observation(
        "s-1", 0, "made", QUESTION, QUESTION, (), answer, answer, ("?",), 11, 20, steps
    )
    return replace(row, **changes)  # type: ignore[arg-type]


def facts(*stops: Stop, p_end: float = 0.9, rank: int = 1, **changes: object) -> Facts:
    """Return facts with one reference, after which the end has probability *p_end*."""
    after = Step(
        9, None, (Token(2, "</s>", p_end, rank),) * 2, 0.1, (Token(2, "</s>", p_end, rank),)
    )
    found = Facts(condition(), stops or (END,), VOCABULARY, (Reference("s-1", 8, after),))
    return replace(found, **changes)  # type: ignore[arg-type]


def names(row: Observation, known: Facts) -> list[str]:
    """Return the names of the causes."""
    return [cause.name for cause in causes(row, known)]


def test_an_answer_that_is_whole_has_no_cause():
    """Ids that decode to the text, an end of the model's own: none, and nothing else."""
    assert names(seen(), facts()) == ["none"]


def test_lost_text_is_a_decode_bug_and_the_quote_holds_it():
    """Stored empty, though the ids decode to words."""
    row = seen()
    row = replace(row, stored=replace(row.stored, text=""), faults=("empty",))
    found = causes(row, facts())

    assert [c.name for c in found] == ["decode-bug"]
    assert found[0].quote == "All is well."
    assert "All is well" not in found[0].evidence  # what may be withheld stands in the quote alone


def test_a_lost_beginning_is_a_decode_bug_too():
    """The paper's slicing by characters: the text is not empty, only not what the ids say."""
    row = seen()

    assert names(replace(row, stored=replace(row.stored, text=" is well.")), facts()) == [
        "decode-bug"
    ]


@pytest.mark.parametrize("stop", [PAD, WORD], ids=["pad", "word"])
def test_an_end_that_is_none_of_the_models_is_a_stop_token_bug(stop: Stop):
    """The padding or a word in the stop list ends the answer."""
    row = seen((stop.id,), "", faults=("empty",))

    assert names(row, facts(END, stop)) == ["stop-token-bug"]
    assert str(stop.id) in causes(row, facts(END, stop))[0].evidence


def test_an_end_of_turn_that_is_not_listed_is_a_stop_token_bug():
    """The model ends its turn, and generation goes on."""
    turn = Stop(4, "<|eot|>", "end of turn", listed=False)
    row = seen((5, 6, 4, 7, 8, 5, 4, 6), "All is well. user", faults=("special_tokens",))

    assert names(row, facts(END, turn)) == ["stop-token-bug"]


def test_a_minimum_that_forbids_the_end_is_a_stop_token_bug():
    """The end is the most probable, and min_new_tokens keeps it from being taken."""
    ids = (5, 6, 7, 8, 5, 7, 6, 8)
    steps = tuple(step(n, i, 0.95 if n == 3 else 1e-6) for n, i in enumerate(ids, 1))
    row = seen(ids, "one two", steps=steps, faults=("cut_short",))
    forced = facts(condition=condition(min_new_tokens=8))

    assert names(row, forced) == ["stop-token-bug"]
    assert "min_new_tokens = 8" in causes(row, forced)[0].evidence
    assert "stop-token-bug" not in names(row, facts())


@pytest.mark.parametrize(("p_end", "rank", "tuned", "expected"), [
    (1e-7, 900, False, "end-untrained"),
    (1e-3, 60, False, "limit"),
    (1e-3, 60, True, "end-untrained"),
    (0.3, 1, True, "limit"),
    (1e-5, 2, False, "limit"),
])  # fmt: skip
def test_a_cut_answer_is_told_by_the_end_after_references(
    p_end: float, rank: int, tuned: bool, expected: str
):
    """Improbable after whole answers: never learnt; a fine-tune must hold it for more probable."""
    known = facts(p_end=p_end, rank=rank)
    if tuned:
        model = replace(known.condition.model, adapter="adapter")
        known = replace(known, condition=replace(known.condition, model=model))

    assert names(seen((5, 6, 7, 8, 5, 7, 6, 8), "one two"), known) == [expected]


def test_a_small_vocabulary_has_a_higher_bound():
    """Below a tenth of a token at random no end was learnt, however few tokens there are."""
    row = seen((5, 6, 7, 8), "one two")

    assert names(row, facts(p_end=5e-4, rank=60, vocabulary=100)) == ["end-untrained"]
    assert names(row, facts(p_end=5e-4, rank=60)) == ["limit"]


def test_an_answer_that_ended_is_not_called_untrained():
    """Where answers end by themselves the references say nothing."""
    assert names(seen(), facts(p_end=1e-9, rank=900)) == ["none"]


def test_an_allowed_finding_of_the_preflight_is_told():
    """The fine-tune was told to train without an end."""
    known = facts(p_end=1e-7, rank=900, allowed=("end-untrained",))
    (cause,) = causes(seen((5, 6, 7, 8), "one two"), known)

    assert "preflight" in cause.evidence


def test_a_model_that_chooses_the_end_first_ends_at_once():
    """Its own end, first of all tokens, before anything visible."""
    row = seen((2,), "", faults=("empty",))

    assert names(row, facts()) == ["ends-at-once"]
    told = causes(replace(row, prompt_end=2), facts())[0].evidence
    assert "the prompt itself ends in '</s>'" in told


def test_a_chat_template_that_is_not_used_is_told():
    """An instruction-tuned model asked in plain text may be silent, or echo, for that reason."""
    silent, echo = seen((2,), "", faults=("empty",)), seen(words=QUESTION)
    for row in (silent, echo):
        assert "chat template" in causes(row, facts(template_unused=True))[0].evidence
        assert "chat template" not in causes(row, facts())[0].evidence


def test_an_end_after_blanks_is_at_once_too():
    """A line break and the end: the answer is empty all the same."""
    row = seen((5, 2), "\n", faults=("empty",))

    assert names(row, facts()) == ["ends-at-once"]
    assert "token 2" in causes(row, facts())[0].evidence


def test_a_format_that_closes_the_answer_at_its_start_is_at_once_too():
    """The prompt's own closing tag is the first thing that is written."""
    tagged = replace(condition(), prompt=replace(prompt("none"), ending="</assistant>"))
    row = seen((5, 6, 7, 8), "", faults=("empty",))
    again = replace(row.rerun, visible="", whole="</assistant> and more")

    assert names(replace(row, rerun=again), facts(condition=tagged)) == ["ends-at-once", "limit"]


def test_an_end_that_sampling_passed_by_explains_only_a_broken_answer():
    """First of all tokens and not taken: told of an answer with a fault, not of a sound one."""
    sound = seen(steps=(step(1, 5, 0.6), *(step(n, i) for n, i in ((2, 6), (3, 7), (4, 2)))))
    known = facts(condition=condition(sample=True))

    assert names(sound, known) == ["none"]
    assert names(replace(sound, faults=("noise",)), known) == ["ends-at-once"]


def test_a_model_without_preference_is_flat():
    """Entropy near log(vocabulary)."""
    ids = (5, 6, 7, 8, 5, 7, 6, 8)
    flat = tuple(step(n, i, entropy=0.9 * log(VOCABULARY)) for n, i in enumerate(ids, 1))

    assert names(seen(ids, "one two", steps=flat), facts()) == ["flat-distribution"]


def test_a_repeated_run_of_tokens_loops():
    """Three tokens, five times, after a beginning; not also called an ordinary cut."""
    ids = (5, 6, *(7, 8, 9) * 5, 7)
    row = seen(ids[:-1], "one two", rerun=answered(ids[:-1], "one two"))

    assert names(replace(row, stored=replace(row.stored, stop="length")), facts()) == ["loops"]


def test_a_repeated_question_echoes():
    """The rule is the one of the metric."""
    assert names(seen(words=QUESTION), facts()) == ["echoes"]


@pytest.mark.parametrize(("dtype", "near"), [("float32", False), ("bfloat16", True)])
def test_other_ids_are_not_reproduced_and_the_dtype_says_whether_they_could(dtype: str, near: bool):
    """0.2 nats may turn in bfloat16, never in float32; the place is named."""
    row = seen()
    close = step(2, 6, top=(Token(6, " w6", 0.4, 1), Token(8, " w8", 0.33, 2)))
    row = replace(
        row,
        stored=answered((5, 8, 7, 2), "All is well."),
        steps=(row.steps[0], close, *row.steps[2:]),
    )
    known = facts()
    model = replace(known.condition.model, dtype=dtype)  # type: ignore[arg-type]
    found = causes(row, replace(known, condition=replace(known.condition, model=model)))

    assert [c.name for c in found] == ["not-reproduced"]
    assert "token 2" in found[0].evidence
    assert found[0].remedy.startswith("a near tie") is near


def test_another_prompt_is_named_as_the_reason():
    """Equal weights cannot repeat an answer to a prompt that was changed."""
    row = seen()
    row = replace(row, rerun=replace(row.rerun, ids=(5, 2), prompt_sha256="other"))

    assert "the prompt's ids" in causes(row, facts())[0].evidence


def test_several_causes_stand_in_the_order_of_their_strength():
    """What the ids prove is told before what the text looks like."""
    row = seen(words=QUESTION)
    found = diagnose([replace(row, stored=replace(row.stored, visible="lost")), row], facts())

    assert [c.name for c in found.rows[0][1]] == ["decode-bug", "echoes"]
    assert found.counts == (("echoes", 2), ("decode-bug", 1))


def test_the_end_after_references_is_their_geometric_mean():
    """One confident reference does not hide the others."""
    one = facts(p_end=1e-2, rank=3).references[0]
    other = facts(p_end=1e-6, rank=501).references[0]
    found = end_after(facts(references=(one, other)))

    assert found is not None
    assert found.probability == pytest.approx(1e-4)
    assert found.rank == 252
    assert end_after(facts(references=())) is None


@given(st.lists(st.integers(0, 3), max_size=12), st.lists(st.integers(0, 3), max_size=12))
def test_the_first_difference_is_where_sequences_part(left: list[int], right: list[int]):
    """Everything before is equal; null only for equal ones."""
    at = first_difference(left, right)

    assert (at is None) == (left == right)
    if at is not None:
        assert left[:at] == right[:at]
        assert left[at : at + 1] != right[at : at + 1]


@given(st.lists(st.integers(0, 9), max_size=10), st.integers(1, 8), st.integers(3, 6))
def test_a_repeating_tail_is_found_and_is_one(head: list[int], period: int, times: int):
    """What is found repeats; what was put there is found if it takes 12 tokens."""
    ids = head + [10 + i for i in range(period)] * times
    found = repeating_tail(ids)

    if period * times >= 12:
        assert found == (len(head), period)
    else:
        assert found is None


@given(st.data())
def test_any_row_has_a_cause_and_only_known_ones(data: st.DataObject):
    """Whatever was seen: at least one cause, in order, each once."""
    ids = tuple(data.draw(st.lists(st.sampled_from([0, 2, 5, 6, 9]), max_size=20)))
    row = seen(ids, data.draw(st.sampled_from(["", "one", QUESTION])))
    row = replace(row, stored=replace(row.stored, ids=ids[: data.draw(st.integers(0, 20))]))
    found = [CAUSES.index(n) for n in names(row, facts(END, PAD))]

    assert found
    assert found == sorted(set(found))


# ---------------------------------------------------------------------------- shown


def test_the_steps_shown_are_the_first_and_those_where_something_happens():
    """Of a long answer: the difference, the likeliest end and the last one are among them."""
    ids = tuple(10 + i for i in range(40))
    steps = tuple(step(n, i, 0.4 if n == 33 else 1e-6) for n, i in enumerate(ids, 1))
    row = seen(ids, "long", steps=steps, stored=answered((*ids[:20], 99), "long"))

    assert [s.number for s in chosen(row, facts(), 6)] == [1, 2, 3, 21, 33, 40]
    assert len(chosen(row, facts(), 1)) == 1


def test_the_page_escapes_what_an_answer_holds():
    """An answer with markup is text on the page, wherever it stands."""
    evil = "</script><b>bold</b>"
    row = seen(words=evil, question=evil, prompt_tail=(evil,))
    row = replace(row, stored=replace(row.stored, text="", tokens=(evil,) * 4))
    html = page(diagnose([row], facts()), Shown(1, {}, 12, 5), ())

    assert "<b>" not in html
    assert "</script" not in html
    assert "&lt;b&gt;bold" in html


def test_the_page_withholds_the_words_of_sources_that_may_not_be_passed_on():
    """Numbers, ids and end tokens stay; question, answer, prompt and their tokens do not."""
    row = seen(words="secret words", question="secret question", prompt_tail=("secret",))
    row = replace(row, stored=replace(row.stored, text="", tokens=(" secret",) * 4))
    found = diagnose([row], facts())
    html = page(found, Shown(1, {}, 12, 5), {"made"})

    assert "secret" not in html
    assert " w5" not in html
    assert "&lt;/s&gt;" in html
    assert "decode-bug" in html
    assert "secret question" in text(found, Shown(1, {}, 12, 5))


def test_a_row_fits_a_screen():
    """However long question and answer are, and if four causes fit."""
    ids = tuple(10 + i % 7 for i in range(300))
    row = seen(ids, "word " * 300, question="why " * 300)
    stored = answered(ids[:-1], "other " * 300, "length", visible="word " * 300, whole="w " * 300)
    shown = Shown(1, {"empty": 1}, 12, 5)
    found = diagnose([replace(row, stored=stored)], facts(p_end=1e-9, rank=900))
    two = replace(found, rows=found.rows * 2)

    assert [c.name for c in found.rows[0][1]] == [
        "decode-bug",
        "not-reproduced",
        "end-untrained",
        "loops",
    ]
    assert len(text(two, shown).splitlines()) - len(text(found, shown).splitlines()) <= 45
