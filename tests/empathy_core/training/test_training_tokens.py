"""From examples to training rows: which rows, which ids, and what the loss is taken on."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers import models as tokenizer_models
from transformers import PreTrainedTokenizerFast

from empathy_core import backends, models, weights
from empathy_core.backends.positions import Decoder
from empathy_core.conversation import Conversation
from empathy_core.errors import ConfigError, DataError, ModelError
from empathy_core.prompts import prompt
from empathy_core.prompts.rendering import Renderer
from empathy_core.prompts.stops import stop_tokens
from empathy_core.prompts.tokenizers import load_tokenizer
from empathy_core.store.schemas import EXAMPLES
from empathy_core.training.rows.encode import Encoder
from empathy_core.training.rows.select import training_pairs, validation_pairs
from empathy_core.training.spec import IGNORED, FinetuneSpec, Pair, TrainingRow
from empathy_core.types import Condition, Decoding, Message, ModelSpec, Prompt
from tests.tiny_models import LLAMA_TEMPLATE, TEXT, bpe_tokenizer, tiny_llama, tiny_t5

SAD = Pair("a-0", "I feel sad.", "You are not alone.")
SMOLLM2 = models.model("smollm2_135m_instruct")
NONE = Prompt("none", "None", "{context}", (Message("user", "{context}"),))
EOT = (1, 5)
"""What a Llama whose turns end in ``<|eot|>`` stops at: ``</s>`` and that."""

T5_DECODER = Decoder(start=0)


def decoder(**changed: Any) -> ModelSpec:
    """Return a decoder that is never loaded."""
    return ModelSpec("tiny", "Tiny", "hf", "decoder", "nowhere", **changed)


def spec(name: str | Prompt = "prompt1", *, chat: bool = False, **changed: Any) -> FinetuneSpec:
    """Return a fine-tune of a tiny Llama."""
    wording = name if isinstance(name, Prompt) else prompt(name)
    settings = {"base": decoder(), "max_tokens": 400, "min_response_tokens": 8} | changed
    return FinetuneSpec("tune", "Tune", prompt=wording, chat=chat, **settings)


@pytest.fixture(scope="module")
def llama() -> Any:
    """The tokenizer of a tiny Llama."""
    return bpe_tokenizer()


@pytest.fixture(scope="module")
def smollm2() -> Any:
    """SmolLM2's tokenizer."""
    return load_tokenizer(weights.locate(str(SMOLLM2.weights)))


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """T5's tokenizer."""
    return load_tokenizer(tiny_t5(tmp_path_factory.mktemp("t5")))


def encode(
    of: FinetuneSpec, tokenizer: Any, pairs: Sequence[Pair] = (SAD,), window: int | None = 512
) -> list[TrainingRow]:
    """Encode with the stops of the tiny Llama."""
    return Encoder(of, tokenizer, window, EOT).encode(pairs)


def parts(row: TrainingRow, tokenizer: Any) -> tuple[str, str]:
    """Return what is ignored and what is trained, as text."""
    kept = [label != IGNORED for label in row.labels]
    assert [i for i, k in zip(row.input_ids, kept, strict=True) if k] == [
        label for label in row.labels if label != IGNORED
    ]
    ignored = [i for i, k in zip(row.input_ids, kept, strict=True) if not k]
    trained = [label for label in row.labels if label != IGNORED]
    return tokenizer.decode(ignored), tokenizer.decode(trained)


# ---------------------------------------------------------------------------- rows by eye

HEAD = "You are a licensed therapist. Respond to the user's question with empathy."
FORMATS = [
    ("none", False, "<s>I feel sad.", " You are not alone.</s>"),
    ("paper_tags", False,
     f"<s><system>{HEAD}</system>\n<user>I feel sad.</user>\n<assistant>",
     "You are not alone.</assistant></s>"),
    ("special_tokens", False,
     f"<s><system>{HEAD}</system>\n<user>I feel sad.</user>\n<assistant>",
     "You are not alone.</s>"),
    ("special_tokens", True,
     "<s><|start|>system<|stop|>\n\nCutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024"
     f"\n\n{HEAD}<|eot|><|start|>user<|stop|>\n\nI feel sad.<|eot|><|start|>assistant<|stop|>\n\n",
     "You are not alone.<|eot|>"),
]  # fmt: skip


TALK = Conversation(
    (
        Message("user", "I feel sad."),
        Message("assistant", "Since when?"),
        Message("user", "Since May."),
    )
)
TURNS = [
    ("none", False, "<s>User: I feel sad.\n\nTherapist: Since when?\n\nUser: Since May.",
     " You are not alone.</s>"),
    ("special_tokens", False,
     f"<s><system>{HEAD}</system>\n<user>I feel sad.</user>\n<assistant>Since when?</assistant>\n"
     "<user>Since May.</user>\n<assistant>",
     "You are not alone.</s>"),
    ("none", True,
     "<s><|start|>user<|stop|>\n\nI feel sad.<|eot|>"
     "<|start|>assistant<|stop|>\n\nSince when?<|eot|>"
     "<|start|>user<|stop|>\n\nSince May.<|eot|><|start|>assistant<|stop|>\n\n",
     "You are not alone.<|eot|>"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "chat", "asked", "said"), TURNS)
def test_only_the_answer_to_a_conversation_is_trained(
    llama: Any, name: str, chat: bool, asked: str, said: str
) -> None:
    """What the counsellor said before is read, as the evaluation's prompts have it."""
    row = encode(spec(name, chat=chat), llama, [Pair("a-0", TALK, "You are not alone.")])[0]

    assert parts(row, llama) == (asked, said)


@pytest.mark.parametrize(("name", "chat", "asked", "said"), FORMATS)
def test_rows_by_eye(llama: Any, name: str, chat: bool, asked: str, said: str) -> None:
    """The prompt is ignored; answer, ending and end token are trained."""
    row = encode(spec(name, chat=chat), llama)[0]
    assert parts(row, llama) == (asked, said)
    assert row.n_prompt == len(row.input_ids) - sum(label != IGNORED for label in row.labels)
    assert (row.example, row.prompt_cut, row.response_cut) == ("a-0", False, False)


def test_smollm2s_row_to_the_id(smollm2: Any) -> None:
    """All ids of a chat: one system text suppressed, ``<|im_end|>`` (2) the trained end."""
    of = spec("none", chat=True, base=SMOLLM2)
    row = Encoder(of, smollm2, 8192, (2,)).encode([SAD])[0]
    asked = (1, 4093, 198, 57, 1407, 8177, 30, 2, 198, 1, 520, 9531, 198)
    said = (2683, 359, 441, 4016, 30, 2)
    assert row.input_ids == asked + said
    assert row.labels == (IGNORED,) * len(asked) + said


def test_smollm2s_plain_row_has_the_space_inside_the_word(smollm2: Any) -> None:
    """Behind ``Therapist:`` the answer begins with the token ``Ġ`` + word, as in running text."""
    row = Encoder(spec(base=SMOLLM2), smollm2, 8192, (2,)).encode([SAD])[0]
    trained = [label for label in row.labels if label != IGNORED]
    tokens = smollm2.convert_ids_to_tokens(trained)
    assert tokens == ["ĠYou", "Ġare", "Ġnot", "Ġalone", ".", "<|im_end|>"]


def test_a_chat_ends_as_its_template_ends_it(smollm2: Any) -> None:
    """Prompt, answer and end are the tokenizer's own rendering of the whole conversation."""
    said = [{"role": "system", "content": HEAD}, {"role": "user", "content": SAD.context},
            {"role": "assistant", "content": SAD.response}]  # fmt: skip
    whole = smollm2.apply_chat_template(said)["input_ids"]
    of = spec("special_tokens", chat=True, base=SMOLLM2)
    row = Encoder(of, smollm2, 8192, (2,)).encode([SAD])[0]
    assert [*row.input_ids, 198] == whole  # the template's line break after the end is no answer


def test_the_loss_on_all_labels_every_token(llama: Any) -> None:
    """``all`` trains the prompt as well, on the same ids."""
    all_, response = (encode(spec(labels=labels), llama)[0] for labels in ("all", "response"))
    assert all_.labels == all_.input_ids == response.input_ids


def test_the_papers_first_iteration(llama: Any) -> None:
    """The question is the input, the answer's tokens its labels, whatever stands there."""
    pairs = [SAD, replace(SAD, response="You are not alone. " * 20)]
    short, long = encode(spec("none", labels="misaligned"), llama, pairs)
    plain = encode(spec("none"), llama, pairs)
    for row, right in zip((short, long), plain, strict=True):
        answer = right.input_ids[right.n_prompt : -1]
        assert row.input_ids == right.input_ids[: right.n_prompt]
        n = len(row.input_ids)
        assert row.labels == (answer + (IGNORED,) * n)[:n]
    assert (short.response_cut, long.response_cut) == (False, True)


def test_t5s_row_by_eye(t5: Any) -> None:
    """The question ends in ``</s>`` as in the evaluation; the labels are the answer and its end."""
    of = spec(base=ModelSpec("t5", "T5", "hf", "encoder-decoder", "nowhere"))
    row = Encoder(of, t5, 512, (1,), T5_DECODER).encode([SAD])[0]
    assert t5.decode(row.input_ids).endswith("User: I feel sad. Therapist:</s>")
    assert t5.decode(row.labels) == "You are not alone.</s>"
    assert row.n_prompt == len(row.input_ids)


def test_t5_leaves_out_an_ending_that_it_cannot_spell(t5: Any) -> None:
    """T5 has no ``<``: ``/assistant>`` would stay in every answer of the evaluation."""
    of = spec("paper_tags", base=ModelSpec("t5", "T5", "hf", "encoder-decoder", "nowhere"))
    row = Encoder(of, t5, 512, (1,), T5_DECODER).encode([SAD])[0]
    spelled = t5.unk_token_id not in t5("<", add_special_tokens=False)["input_ids"]
    expected = "You are not alone.</assistant></s>" if spelled else "You are not alone.</s>"
    assert t5.decode(row.labels) == expected


@pytest.mark.parametrize("labels", ["all", "misaligned"])
def test_an_encoder_decoder_has_no_labels_on_its_prompt(t5: Any, labels: Any) -> None:
    """What only a decoder can do is refused."""
    base = ModelSpec("t5", "T5", "hf", "encoder-decoder", "nowhere")
    with pytest.raises(ConfigError, match=f"labels = '{labels}'.*take a decoder"):
        Encoder(spec(base=base, labels=labels), t5, 512, (1,), T5_DECODER).encode([SAD])


# ---------------------------------------------------------------------------- prompts, ends


@pytest.mark.parametrize("chat", [True, False])
@pytest.mark.parametrize("name", ["none", "prompt2", "paper_tags"])
def test_prompts_are_the_evaluations(smollm2: Any, name: str, chat: bool) -> None:
    """Training prompts have the very ids that the evaluation renders."""
    pairs = [SAD, Pair("a-1", "Why?\n\nI <|im_end|> am — afraid…", "“So”."), replace(SAD)]
    of = spec(name, chat=chat, base=SMOLLM2)
    condition = Condition(of.base, of.prompt, Decoding(max_new_tokens=256), chat=chat)
    asked = Renderer(condition, smollm2, 8192, "error").prompts([p.context for p in pairs])
    rows = Encoder(of, smollm2, 8192, (2,)).encode(pairs)
    assert [row.input_ids[: row.n_prompt] for row in rows] == [p.ids for p in asked]


def test_stop_tokens_are_the_evaluations(tmp_path: Path) -> None:
    """They are those of the loaded model, whether it names one, several or none of its own."""
    settings: list[dict[str, Any]] = [{}, {"eos_token_id": [1, 5]}, {"eos_token_id": 5}]
    for i, generation in enumerate(settings):
        folder = tiny_llama(tmp_path / str(i), generation=generation)
        if i == 0:
            (folder / "generation_config.json").unlink()
        base = replace(decoder(), weights=str(folder))
        loaded: Any = backends.load(base)
        assert stop_tokens(folder, load_tokenizer(folder)) == loaded.text.ends(chat=False)
    assert loaded.text.ends(chat=False) == EOT


def test_a_template_that_ends_turns_in_no_stop_is_followed(llama: Any) -> None:
    """The end is what the template writes, even if the evaluation does not stop there."""
    row = Encoder(spec(chat=True), llama, 512, (1,)).encode([SAD])[0]
    assert row.input_ids[-1] == 5


def test_a_template_without_an_end_ends_in_eos() -> None:
    """A template of plain text is closed by the tokenizer's end of text."""
    template = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\\n' }}{% endfor %}"
    tokenizer = bpe_tokenizer(
        template=template + "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
    )
    row = encode(spec(NONE, chat=True), tokenizer)[0]
    assert parts(row, tokenizer) == ("user: I feel sad.\nassistant:", " You are not alone.</s>")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [("(thought)\\n", "", r"writes '\(thought\)'"), ("", " (said)", r"writes '\(said\)'")],
)
def test_a_template_that_puts_words_into_answers_is_refused(
    before: str, after: str, words: str
) -> None:
    """They would be scored as the therapist's, whether before or after the answer."""
    template = LLAMA_TEMPLATE.replace(
        "'<|stop|>\n\n' + message['content'] | trim + '<|eot|>'",
        f"'<|stop|>\n\n' + ('{before}' if message['role'] == 'assistant' else '')"
        f" + message['content'] | trim + '{after}<|eot|>'",
    )
    assert template != LLAMA_TEMPLATE
    tokenizer = bpe_tokenizer(template=template)
    with pytest.raises(ModelError, match=words):
        encode(spec(NONE, chat=True), tokenizer)


def test_a_thought_that_a_template_writes_is_trained() -> None:
    """It stands between prompt and answer, and the evaluation takes it off by its delimiters."""
    template = LLAMA_TEMPLATE.replace(
        "'<|stop|>\n\n' + message['content'] | trim",
        "'<|stop|>\n\n' + ('(none)\n\n' if message['role'] == 'assistant' else '')"
        " + message['content'] | trim",
    )
    tokenizer = bpe_tokenizer(template=template)
    base = decoder(reasoning=("(", ")"))
    row = encode(spec(NONE, chat=True, base=base), tokenizer)[0]
    assert parts(row, tokenizer)[1] == "(none)\n\nYou are not alone.<|eot|>"


def test_a_template_that_drops_the_answer_is_refused() -> None:
    """Where the conversation shows no answer, nothing can be learnt of its form."""
    template = LLAMA_TEMPLATE.replace(
        "message['content'] | trim",
        "('' if message['role'] == 'assistant' else message['content'] | trim)",
    )
    tokenizer = bpe_tokenizer(template=template)
    with pytest.raises(ModelError, match="leaves out the answer"):
        encode(spec(NONE, chat=True), tokenizer)


def test_no_end_token_at_all_is_refused(llama: Any) -> None:
    """A base that names no end could never stop."""
    tokenizer = bpe_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(ModelError, match="names an end token"):
        Encoder(spec(), tokenizer, 512, ()).encode([SAD])
    assert Encoder(spec(), tokenizer, 512, (5,)).encode([SAD])[0].input_ids[-1] == 5


def metaspace() -> Any:
    """Return a tokenizer like Llama 2's, which puts a space in front of a text."""
    tokenizer = Tokenizer(tokenizer_models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<unk>", "</s>"], show_progress=False
    )
    tokenizer.train_from_iterator([TEXT, "<assistant></assistant>"], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="</s>")


@pytest.mark.parametrize("name", ["special_tokens", "prompt1", "none"])
@pytest.mark.parametrize("which", ["metaspace", "bytes", "smollm2"])
def test_answers_are_tokenised_as_running_text(smollm2: Any, which: str, name: str) -> None:
    """Prompt and answer are the ids of their text: no token is split or begun where they meet."""
    makers = {"metaspace": metaspace, "bytes": bpe_tokenizer, "smollm2": lambda: smollm2}
    tokenizer = makers[which]()
    row = encode(spec(name), tokenizer)[0]
    between = "" if name == "special_tokens" else " "
    text = prompt(name).plain(SAD.context) + between + SAD.response
    assert list(row.input_ids[:-1]) == tokenizer(text)["input_ids"]


def test_an_answer_that_would_change_the_prompts_ids_is_tokenised_apart(smollm2: Any) -> None:
    """``>`` and ``"`` are one token in running text, but the evaluation's prompt ends in ``>``."""
    pair = replace(SAD, response='"You" are not alone.')
    of = spec("special_tokens", base=SMOLLM2)
    row = Encoder(of, smollm2, 512, (2,)).encode([pair])[0]
    text = of.prompt.plain(SAD.context)
    assert list(row.input_ids[:-1]) != smollm2(text + pair.response)["input_ids"]
    assert list(row.input_ids[: row.n_prompt]) == smollm2(text)["input_ids"]
    assert smollm2.decode(row.input_ids[row.n_prompt : -1]) == pair.response


# ---------------------------------------------------------------------------- special spellings

SPELLED = "Use </s>, <|eot|>, <|im_end|><pad> or <extra_id_3> <s>."


@pytest.mark.parametrize("chat", [True, False])
def test_answers_that_spell_special_tokens_stay_text(llama: Any, smollm2: Any, chat: bool) -> None:
    """They are trained as the letters they are, not as the end of the answer."""
    pair = replace(SAD, response=SPELLED)
    for base, tokenizer, stops in ((decoder(), llama, EOT), (SMOLLM2, smollm2, (2,))):
        of = spec("none", chat=chat, base=base)
        row = Encoder(of, tokenizer, 512, stops).encode([pair])[0]
        said = row.input_ids[row.n_prompt : -1]
        assert not set(said) & set(tokenizer.all_special_ids)
        assert tokenizer.decode(said).strip() == SPELLED


def test_t5s_answers_hold_no_special_token(t5: Any) -> None:
    """T5's vocabulary holds the spellings as words, too; they are cut in two."""
    base = ModelSpec("t5", "T5", "hf", "encoder-decoder", "nowhere")
    row = Encoder(spec(base=base), t5, 512, (1,), T5_DECODER).encode(
        [replace(SAD, response=SPELLED)]
    )[0]
    special = {i for i, t in t5.added_tokens_decoder.items() if t.special} - {t5.unk_token_id}
    assert not set(row.labels[:-1]) & special
    assert row.labels[-1] == 1
    assert "extra_id_3" in t5.decode(row.labels).replace(" ", "")


# ---------------------------------------------------------------------------- too long

WORDS = st.text(st.sampled_from("abc .\n"), min_size=1, max_size=150)


@given(
    context=WORDS, response=WORDS, max_tokens=st.integers(60, 300), least=st.integers(1, 20),
    chat=st.booleans(),
)  # fmt: skip
def test_cut_rows_keep_the_least_of_the_answer(
    context: str, response: str, max_tokens: int, least: int, chat: bool
) -> None:
    """Rows fit; the answer is cut first, but not below its least; then the question is cut."""
    tokenizer = TOKENIZER
    pair = Pair("a", "Q" + context, response)
    free = spec(NONE, chat=chat, max_tokens=10_000, min_response_tokens=least)
    whole = encode(free, tokenizer, [pair], None)[0]
    row = encode(replace(free, max_tokens=max_tokens), tokenizer, [pair], None)[0]
    said, all_said = row.input_ids[row.n_prompt :], whole.input_ids[whole.n_prompt :]
    assert len(row.input_ids) == len(row.labels) <= max_tokens
    assert row.labels == (IGNORED,) * row.n_prompt + said
    assert said == all_said[: len(said)]
    assert len(said) >= min(least, len(all_said))
    assert row.response_cut == (said != all_said)
    asked, all_asked = row.input_ids[: row.n_prompt], whole.input_ids[: whole.n_prompt]
    assert row.prompt_cut == (asked != all_asked)
    if len(whole.input_ids) <= max_tokens:
        assert row == whole
    if not row.prompt_cut and row.response_cut:
        assert len(row.input_ids) == max_tokens
    if row.prompt_cut:
        assert len(all_asked) + min(least, len(all_said)) > max_tokens


TOKENIZER = bpe_tokenizer()


def test_a_cut_answer_has_no_end(llama: Any) -> None:
    """It goes on, so nothing teaches it to stop; the window bounds rows as max_tokens does."""
    pair = replace(SAD, response="You are not alone. " * 100)
    for of, window in ((spec("none", max_tokens=50), 512), (spec("none"), 50)):
        row = encode(of, llama, [pair], window)[0]
        assert len(row.input_ids) == 50
        assert row.response_cut
        assert not row.prompt_cut
        assert row.input_ids[-1] not in EOT


def test_a_long_question_is_cut_after_the_answer(llama: Any) -> None:
    """The prompt keeps its frame and the beginning of its question, the answer its least."""
    pair = Pair("a", "I feel sad. " * 100, "You are not alone. " * 10)
    row = encode(spec(chat=True, max_tokens=200, min_response_tokens=16), llama, [pair])[0]
    asked, said = parts(row, llama)
    assert row.prompt_cut
    assert row.response_cut
    assert "\n\nI feel sad. I feel sad." in asked
    assert asked.endswith("<|eot|><|start|>assistant<|stop|>\n\n")
    assert said.startswith("You are not alone. You")
    assert len(row.input_ids) - row.n_prompt >= 16


def test_each_side_of_t5_is_cut_by_itself(t5: Any) -> None:
    """The window bounds the question alone; ``max_tokens`` bounds both."""
    base = ModelSpec("t5", "T5", "hf", "encoder-decoder", "nowhere")
    pair = Pair("a", "I feel sad. " * 50, "You are not alone. " * 50)
    row = Encoder(spec(base=base, max_tokens=140), t5, 120, (1,), T5_DECODER).encode([pair])[0]
    assert len(row.input_ids) <= 120
    assert row.input_ids[-1] == 1
    assert len(row.labels) == 140
    assert (row.prompt_cut, row.response_cut) == (True, True)
    assert row.labels[-1] != 1


def test_no_room_for_a_question_is_refused(llama: Any) -> None:
    """The least of an answer must leave room, in max_tokens and in the window."""
    with pytest.raises(ConfigError, match=r"min_response_tokens = 64 leaves no room.* 64 tokens"):
        encode(spec(min_response_tokens=64, max_tokens=64), llama)
    with pytest.raises(ConfigError, match="rows of 32 tokens"):
        encode(spec(min_response_tokens=64), llama, window=32)
    with pytest.raises(ModelError, match="leaves no room for a question"):
        encode(spec("prompt2", max_tokens=40), llama)


def test_many_rows_are_what_each_is_alone(llama: Any) -> None:
    """Rows keep the pairs' order, and do not depend on their neighbours."""
    pairs = [Pair(f"a-{i}", f"Why {i % 3}? " * (30 * (i % 2) + 1), "So. " * i) for i in range(12)]
    of = spec(chat=True, max_tokens=220)
    assert encode(of, llama, pairs) == [encode(of, llama, [pair])[0] for pair in pairs]


# ---------------------------------------------------------------------------- which rows


def examples(**counts: int) -> pl.DataFrame:
    """Return rows: ``source_split`` → how many."""
    rows = []
    for key, n in counts.items():
        source, split = key.split("_")
        rows += [
            {"id": f"{source}-{split}-{i}", "context": f"{key} {i}?", "response": f"{i}.",
             "source": source, "split": split, "block": 0 if split == "test" else None}
            for i in range(n)
        ]  # fmt: skip
    return pl.DataFrame(rows, schema_overrides=EXAMPLES)


RUN = examples(amod_train=30, helios_train=10, amod_validation=8, helios_validation=4, amod_test=5)


def test_training_rows_are_those_of_the_split() -> None:
    """All of the training split and nothing else, each with its texts."""
    pairs = training_pairs(spec(), RUN)
    assert len(pairs) == 40
    assert {pair.example.split("-")[1] for pair in pairs} == {"train"}
    assert Pair("amod-train-3", "amod_train 3?", "3.") in pairs


def test_sources_choose_among_both_splits() -> None:
    """Only rows of the named sources are trained on and validated on."""
    of = spec(sources=("helios",))
    assert {pair.example[:6] for pair in training_pairs(of, RUN)} == {"helios"}
    assert len(training_pairs(of, RUN)) == 10
    assert len(validation_pairs(of, RUN)) == 4


@given(st.integers(1, 39), st.integers(0, 5), st.randoms(use_true_random=False))
def test_smaller_sets_begin_larger_ones(size: int, seed: int, random: Any) -> None:
    """Sizes are nested, the same for each seed and whatever the order of the run's rows."""
    shuffled = RUN.sample(fraction=1, shuffle=True, seed=random.randrange(1000))
    small = training_pairs(spec(train_size=size, seed=seed), shuffled)
    assert small == training_pairs(spec(), RUN)[:size]


def test_validation_rows_are_drawn_up_to_the_limit() -> None:
    """A limit takes the first of the same draw; no validation split means no rows."""
    assert len(validation_pairs(spec(), RUN)) == 12
    assert validation_pairs(spec(validation_limit=5), RUN) == validation_pairs(spec(), RUN)[:5]
    assert validation_pairs(spec(), examples(amod_train=3)) == []


def test_a_draw_by_eye() -> None:
    """The order is the same on every machine: names that must never move."""
    assert [pair.example for pair in training_pairs(spec(train_size=4), RUN)] == [
        "amod-train-17",
        "amod-train-21",
        "amod-train-25",
        "helios-train-2",
    ]


def test_no_training_row_is_an_error_that_names_the_filter() -> None:
    """Sources that are not there are told from a split without rows."""
    with pytest.raises(DataError, match=r"sources = \[mpingale\].*\(amod: 30, helios: 10\)"):
        training_pairs(spec(sources=("mpingale",)), RUN)
    with pytest.raises(DataError, match=r"no training rows \(test: 3, validation: 2\)"):
        training_pairs(spec(), examples(amod_test=3, amod_validation=2))
    with pytest.raises(DataError, match="no rows at all"):
        training_pairs(spec(), RUN.clear())


def test_more_rows_than_there_are_is_an_error() -> None:
    """The message says how many there are."""
    with pytest.raises(DataError, match=r"train_size = 41, but 40 .*\(amod: 30, helios: 10\)"):
        training_pairs(spec(train_size=41), RUN)
    assert len(training_pairs(spec(train_size=40), RUN)) == 40


def test_evaluated_rows_are_not_trained_on() -> None:
    """Rows with a block are evaluated; training on them would measure memory."""
    both = RUN.with_columns(
        pl.when(pl.col("id") == "amod-train-3").then(0).otherwise(pl.col("block")).alias("block")
    )
    with pytest.raises(DataError, match=r"1 of 40 .*\(e\.g\. amod-train-3\).*evaluate\.split"):
        training_pairs(spec(train_size=1), both)
    assert len(training_pairs(spec(sources=("helios",)), both)) == 10
