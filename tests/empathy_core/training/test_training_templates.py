"""Training rows under chat templates as models ship them: the ids of the whole conversation."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from empathy_core.backends.generation_settings import delimiters
from empathy_core.prompts import prompt, reasoning
from empathy_core.prompts.rendering import Renderer
from empathy_core.prompts.stops import end_tokens, turn_end
from empathy_core.training.loop.batches import collate, pad_token
from empathy_core.training.preflight.run import RowsToCheck, check_rows
from empathy_core.training.rows.encode import Encoder
from empathy_core.training.spec import IGNORED, FinetuneSpec, Pair, TrainingRow
from empathy_core.types import Condition, Decoding, Message
from tests.empathy_core.prompts.test_chat_templates import (
    NO_SYSTEM_ROLE,
    SPEC,
    TEMPLATES,
    WRITTEN_OTHERWISE,
    own,
    tokenizer_of,  # noqa: F401 - a fixture
)

PAIRS = [
    Pair("a-0", "I feel sad.", "You are not alone with this."),
    Pair("a-1", "How can I sleep better?\n\nI am afraid — of work…", " Thank you for writing.\n"),
    Pair("a-2", "My partner left me", "It takes courage to ask.\n\nHow do you feel — today? 😀"),
    Pair("a-3", "Whom can I tell?", "Me."),
]
SPELLING = Pair("s-0", "Whom can I tell?", "Write <|im_end|> or </s>, or <|eot|>.")
MAKER = Callable[[str], Any]


def spec_of(name: str, which: str) -> FinetuneSpec:
    fold = name in NO_SYSTEM_ROLE
    base = replace(SPEC, template_default="keep", fold_system=fold)
    return FinetuneSpec("tune", "Tune", base, prompt(which), True, max_tokens=8192)


def asked(spec: FinetuneSpec) -> Condition:
    return Condition(spec.base, spec.prompt, Decoding(), chat=True)


def rows_of(spec: FinetuneSpec, tokenizer: Any, pairs: list[Pair]) -> list[TrainingRow]:
    """Encode with the stops that the evaluation will have."""
    return Encoder(spec, tokenizer, 8192, stops_of(spec, tokenizer)).encode(pairs)


def stops_of(spec: FinetuneSpec, tokenizer: Any) -> tuple[int, ...]:
    generation = type("Named", (), {"eos_token_id": 1})
    return end_tokens(generation, generation, tokenizer, turn_end(tokenizer, spec.base)[0])


def conversation(spec: FinetuneSpec, pair: Pair) -> tuple[Message, ...]:
    """Return the whole of it, a system message put before the user's where it has no role."""
    first, *later = spec.prompt.chat(pair.context)
    if spec.base.fold_system and first.role == "system":
        [user] = later
        first, later = Message("user", f"{first.content}\n\n{user.content}"), []
    return (first, *later, Message("assistant", pair.response.strip()))


@pytest.mark.parametrize("which", ["none", "prompt1"])
@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_rows_are_the_templates_own_conversation(
    name: str,
    which: str,
    tokenizer_of: MAKER,  # noqa: F811
) -> None:
    """To the id, up to the end token; but for two kinds that open a thought which they then drop.

    There the row is what is asked for, with the thought closed.
    """
    tokenizer = tokenizer_of(TEMPLATES[name])
    spec = spec_of(name, which)

    for row, pair in zip(rows_of(spec, tokenizer, PAIRS), PAIRS, strict=True):
        whole = own(tokenizer, conversation(spec, pair), answer=False)
        if name.removesuffix("_training") in WRITTEN_OTHERWISE:
            said = pair.response.strip()
            whole = whole.replace(said, f"<think>\n\n</think>\n\n{said}")
        elif name.startswith("nemotron"):
            whole = whole.replace("<think></think>", "<think>\n</think>")
        ids = tokenizer(whole, add_special_tokens=False)["input_ids"]
        if name == "glm4moe":  # writes nothing behind an answer: the tokenizer's end does
            ids.append(tokenizer.eos_token_id)
        assert list(row.input_ids) == ids[: len(row.input_ids)]
        rest = tokenizer.decode(ids[len(row.input_ids) :])
        assert rest.strip() in ("", tokenizer.eos_token, "<|END_OF_TURN_TOKEN|>")


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_trained_is_what_the_evaluation_reads_as_the_answer(
    name: str,
    tokenizer_of: MAKER,  # noqa: F811
) -> None:
    """The labels begin behind its prompt, and without a thought they are the answer alone.

    That holds for an answer that spells special tokens, too.
    """
    tokenizer = tokenizer_of(TEMPLATES[name])
    spec = spec_of(name, "none")
    pairs = [*PAIRS, SPELLING]
    prompts = Renderer(asked(spec), tokenizer, None, "error").prompts([p.context for p in pairs])
    of = delimiters(asked(spec), tokenizer)

    for row, pair, rendered in zip(rows_of(spec, tokenizer, pairs), pairs, prompts, strict=True):
        assert row.input_ids[: row.n_prompt] == rendered.ids
        assert set(row.labels[: row.n_prompt]) == {IGNORED}
        trained = row.labels[row.n_prompt : -1]
        begun = of is not None and reasoning.opened(tokenizer.decode(rendered.ids), of)
        parts = reasoning.parts(trained, tokenizer.decode, of, inside=begun)
        assert parts.text.strip() == pair.response.strip()
        assert parts.thought == ""


@pytest.mark.parametrize("labels", ["response", "all"])
@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_the_preflight_finds_nothing_wrong_with_a_templates_own_rows(
    name: str,
    labels: Any,
    tokenizer_of: MAKER,  # noqa: F811
) -> None:
    """Thoughts and special tokens that open an answer are the template's, and stand once."""
    tokenizer = tokenizer_of(TEMPLATES[name])
    spec = replace(spec_of(name, "prompt1"), labels=labels, batch_size=1, micro_batch=1)
    pairs = [*PAIRS, SPELLING]
    found = check_rows(checked(spec, tokenizer, pairs, rows_of(spec, tokenizer, pairs)))
    assert [f for f in found if not f.ok] == []


def test_the_preflight_finds_an_opening_that_is_not_the_templates(
    tokenizer_of: MAKER,  # noqa: F811
) -> None:
    """A special token at the answer's beginning that the template does not write there."""
    tokenizer = tokenizer_of(TEMPLATES["qwen2_5"])
    spec = replace(spec_of("qwen2_5", "none"), batch_size=1, micro_batch=1)
    rows = rows_of(spec, tokenizer, PAIRS)
    mark = tokenizer.convert_tokens_to_ids("<|im_start|>")
    at = rows[0].n_prompt
    twice = [
        replace(r, input_ids=(*r.input_ids[:at], mark, *r.input_ids[at:]),
                labels=(*r.labels[:at], mark, *r.labels[at:]))
        for r in rows[:1]
    ]  # fmt: skip
    found = check_rows(checked(spec, tokenizer, PAIRS, [*twice, *rows[1:]]))
    assert "special-tokens-doubled" in {f.name for f in found if not f.ok}


def checked(
    spec: FinetuneSpec, tokenizer: Any, pairs: list[Pair], rows: list[TrainingRow]
) -> RowsToCheck:
    stops = stops_of(spec, tokenizer)
    pad = pad_token(tokenizer, stops, len(tokenizer))
    prompts = Renderer(asked(spec), tokenizer, None, "error").prompts([p.context for p in pairs])
    return RowsToCheck(
        spec=spec, tokenizer=tokenizer, stops=stops, pad=pad, pairs=pairs, rows=rows,
        collate=partial(collate, pad=pad, encoder_decoder=False),
        evaluated=[p.ids for p in prompts],
    )  # fmt: skip


QWEN = [
    ({}, "", "<think>\n\n</think>\n\nMe.<|im_end|>"),
    ({"enable_thinking": False}, "<think>\n\n</think>\n\n", "Me.<|im_end|>"),
    ({"enable_thinking": True}, "", "<think>\n\n</think>\n\nMe.<|im_end|>"),
]


@pytest.mark.parametrize(("arguments", "asked_for", "trained"), QWEN)
def test_qwens_empty_thought_is_asked_for_or_trained(
    arguments: dict[str, bool],
    asked_for: str,
    trained: str,
    tokenizer_of: MAKER,  # noqa: F811
) -> None:
    """Without thinking the prompt holds it, else the answer begins with it: by eye."""
    tokenizer = tokenizer_of(TEMPLATES["qwen3"])
    spec = spec_of("qwen3", "none")
    base = replace(spec.base, template_arguments=tuple(arguments.items()))
    [row] = rows_of(replace(spec, base=base), tokenizer, [PAIRS[-1]])

    head = tokenizer.decode(row.input_ids[: row.n_prompt])
    assert head.endswith(f"<|im_start|>assistant\n{asked_for}")
    assert tokenizer.decode(row.input_ids[row.n_prompt :]) == trained
