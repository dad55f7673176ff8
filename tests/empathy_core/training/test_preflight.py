"""The preflight of the rows: each planted bug is found by its name, and clean rows pass."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from empathy_core import models, weights
from empathy_core.backends.positions import Decoder
from empathy_core.errors import ConfigError, PreflightFailed
from empathy_core.prompts import prompt
from empathy_core.prompts.rendering import Renderer
from empathy_core.prompts.stops import stop_tokens
from empathy_core.prompts.tokenizers import load_tokenizer
from empathy_core.training.loop.batches import collate, pad_token
from empathy_core.training.preflight import model as preflight_model
from empathy_core.training.preflight import run as preflight
from empathy_core.training.preflight.pair_model import PAIR_MODEL_NAMES
from empathy_core.training.preflight.pairs import PAIR_ROW_NAMES
from empathy_core.training.preflight.rows import ROW_NAMES
from empathy_core.training.preflight.view import RowsToCheck
from empathy_core.training.rows.encode import Encoder
from empathy_core.training.spec import IGNORED, Finding, FinetuneSpec, Pair, TrainingRow
from empathy_core.types import Condition, Decoding, Message, ModelSpec, Prompt
from tests.tiny_models import SHARED, tiny_llama, tiny_t5

PAIRS = [
    Pair("a-0", "I feel sad.", "You are not alone with this."),
    Pair("a-1", "How can I sleep better?\n\nI am afraid — of work…", "Thank you for writing."),
    Pair("a-2", "My partner left me.", "It takes courage to ask.\n\nHow do you feel — today? 😀"),
    Pair("a-3", "I am anxious at work", "“Breathe”, and write <|im_end|> or </s> or <|eot|>."),
    Pair("a-4", "Whom can I tell?", "Me."),
    *(Pair(f"b-{i}", f"Question {i}: why?", f"Answer {i}. " * (i + 1)) for i in range(6)),
]


@dataclass(frozen=True)
class Bench:
    """A model's folder with its tokenizer, to make rows with."""

    base: ModelSpec
    folder: Path

    def spec(self, name: str = "prompt1", *, chat: bool = False, **changed: Any) -> FinetuneSpec:
        """Return a fine-tune of it under a shipped prompt."""
        settings = {"max_tokens": 400, "min_response_tokens": 8, "batch_size": 1, "micro_batch": 1}
        settings |= changed
        return FinetuneSpec("tune", "Tune", self.base, prompt(name), chat, **settings)

    @property
    def tokenizer(self) -> Any:
        """Its tokenizer, loaded anew."""
        return load_tokenizer(self.folder)

    def checked(self, spec: FinetuneSpec, pairs: Sequence[Pair] = PAIRS) -> RowsToCheck:
        """Encode as the training does, and ask as the evaluation does."""
        tokenizer = self.tokenizer
        stops = stop_tokens(self.folder, tokenizer, spec.base, chat=spec.chat)
        condition = Condition(spec.base, spec.prompt, Decoding(), chat=spec.chat)
        asked = Renderer(condition, tokenizer, 512, "error").prompts([p.context for p in pairs])
        decoder = Decoder(start=0) if spec.base.architecture != "decoder" else None
        pad = pad_token(tokenizer, stops, len(tokenizer))
        return RowsToCheck(
            spec=spec,
            tokenizer=tokenizer,
            stops=stops,
            pad=pad,
            pairs=pairs,
            rows=Encoder(spec, tokenizer, 512, stops, decoder).encode(pairs),
            collate=partial(collate, pad=pad, encoder_decoder=spec.base.architecture != "decoder"),
            evaluated=[p.ids for p in asked],
        )


def bench(folder: Path, architecture: Any = "decoder") -> Bench:
    """Return a bench around a tiny model."""
    return Bench(ModelSpec("tiny", "Tiny", "hf", architecture, str(folder)), folder)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A tiny Llama whose turns end in ``<|eot|>``, at which it stops."""
    folder = tmp_path_factory.mktemp("llama")
    return bench(tiny_llama(folder, generation={"eos_token_id": [1, 5]}))


@pytest.fixture(scope="module")
def padless(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The same without a pad token."""
    folder = tmp_path_factory.mktemp("padless")
    return bench(tiny_llama(folder, generation={"eos_token_id": [1, 5]}, pad=None))


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A tiny T5."""
    return bench(tiny_t5(tmp_path_factory.mktemp("t5")), "encoder-decoder")


@pytest.fixture(scope="module")
def smollm2() -> Bench:
    """The tokenizer of SmolLM2: it pads with its end token, and begins each turn with its BOS."""
    base = models.model("smollm2_135m_instruct")
    return Bench(base, weights.locate(str(base.weights)))


def failures(checked: RowsToCheck) -> dict[str, Finding]:
    """Return what is wrong, by name."""
    found = preflight.check_rows(checked)
    assert tuple(f.name for f in found) == ROW_NAMES
    assert all(f.evidence for f in found)
    assert all(bool(f.remedy) != f.ok for f in found)
    return {f.name: f for f in found if not f.ok}


# ---------------------------------------------------------------------------- clean rows

KINDS = [("prompt1", True), ("none", True), ("prompt1", False), ("none", False),
         ("paper_tags", False), ("paper_tags", True), ("special_tokens", False)]  # fmt: skip


@pytest.mark.parametrize("labels", ["response", "all"])
@pytest.mark.parametrize(("name", "chat"), KINDS)
@pytest.mark.parametrize("model", ["llama", "padless", "smollm2"])
def test_clean_rows_of_decoders_pass(
    request: pytest.FixtureRequest, model: str, name: str, chat: bool, labels: Any
) -> None:
    """Every format, with each kind of pad token, gives fourteen findings that are all right."""
    base: Bench = request.getfixturevalue(model)
    assert failures(base.checked(base.spec(name, chat=chat, labels=labels))) == {}


@pytest.mark.parametrize("name", ["none", "prompt1", "paper_tags"])
def test_clean_rows_of_t5_pass(t5: Bench, name: str) -> None:
    """An encoder-decoder's labels are its own, and its tokenizer may lack characters."""
    assert failures(t5.checked(t5.spec(name))) == {}


def test_clean_rows_that_are_cut_pass_if_few(llama: Bench) -> None:
    """A cut question and a cut answer are counted and nothing else."""
    long = [Pair("l-0", "why? " * 300, "So."), Pair("l-1", "Why?", "So. " * 300)]
    checked = llama.checked(llama.spec(chat=True, max_cut_share=0.2), [*PAIRS, *long])
    assert failures(checked) == {}
    found = failures(replace(checked, spec=replace(checked.spec, max_cut_share=0.1)))
    assert list(found) == ["truncated"]
    assert "2 of 13 rows are cut (1 questions, 1 answers)" in found["truncated"].evidence
    assert "e.g. l-0, of 400 tokens" in found["truncated"].evidence


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared data")
def test_real_rows_pass(smollm2: Bench) -> None:
    """Two hundred rows of CounselChat pass under SmolLM2's chat template."""
    path = SHARED / "counsel-chat" / "counselchat_dedup_pairs.csv.gz"
    frame = pl.read_csv(path, infer_schema_length=None).drop_nulls().head(200)
    question, answer = frame.columns[:2]
    rows = zip(frame[question].to_list(), frame[answer].to_list(), strict=True)
    pairs = [Pair(f"c-{i}", *row) for i, row in enumerate(rows)]
    spec = smollm2.spec(chat=True, max_tokens=1024, min_response_tokens=64)
    assert failures(smollm2.checked(spec, pairs)) == {}


# ---------------------------------------------------------------------------- planted bugs


def changed(checked: RowsToCheck, change: Callable[[TrainingRow], TrainingRow]) -> RowsToCheck:
    """Plant a bug of the encoder."""
    return replace(checked, rows=[change(row) for row in checked.rows])


@pytest.mark.parametrize("labels", ["response", "all"])
@pytest.mark.parametrize("by", [1, -1])
def test_shifted_labels_are_found(llama: Bench, by: int, labels: Any) -> None:
    """Labels shifted by hand, although the model shifts them, are ``labels-shifted``."""

    def shift(row: TrainingRow) -> TrainingRow:
        pushed = (*row.labels[1:], IGNORED) if by == 1 else (IGNORED, *row.labels[:-1])
        return replace(row, labels=pushed)

    found = failures(changed(llama.checked(llama.spec(chat=True, labels=labels)), shift))
    assert "labels-shifted" in found
    assert "labels-misaligned" not in found
    assert "11 of 11 rows, e.g. a-0" in found["labels-shifted"].evidence


@pytest.mark.parametrize("model", ["llama", "smollm2"])
def test_the_papers_first_iteration_is_found(request: pytest.FixtureRequest, model: str) -> None:
    """The response as labels of the question is ``labels-misaligned``, named for what it is."""
    base: Bench = request.getfixturevalue(model)
    found = failures(base.checked(base.spec("prompt2", labels="misaligned")))
    assert "paper's first iteration" in found["labels-misaligned"].evidence
    assert 'labels = "response"' in found["labels-misaligned"].remedy
    assert "end-untrained" in found
    assert "labels-shifted" not in found


def masking_by_id(rows: Sequence[TrainingRow], pad: int) -> dict[str, Any]:
    """Do as the collators that made #1623 of TRL: ignore whatever is the pad token."""
    batch = collate(rows, pad, encoder_decoder=False)
    batch["labels"] = torch.where(batch["input_ids"] == pad, IGNORED, batch["labels"])
    return batch


@pytest.mark.parametrize("chat", [True, False])
def test_an_end_masked_as_padding_is_found(smollm2: Bench, chat: bool) -> None:
    """Where pad = end and labels are masked by id, ``end-untrained`` says so."""
    checked = smollm2.checked(smollm2.spec(chat=chat))
    checked = replace(checked, pad=2, collate=partial(masking_by_id, pad=2))
    found = failures(checked)
    assert set(found) == {"end-untrained", "pad-masks-labels"}
    assert "pad = end = '<|im_end|>'" in found["end-untrained"].evidence
    assert "position" in found["end-untrained"].remedy


def test_an_attention_mask_made_by_id_is_found(smollm2: Bench) -> None:
    """A mask that hides the end tokens of the prompt's turns is ``pad-masks-labels``."""

    def hiding(rows: Sequence[TrainingRow]) -> dict[str, Any]:
        batch = collate(rows, 2, encoder_decoder=False)
        return batch | {"attention_mask": (batch["input_ids"] != 2).long()}

    checked = replace(smollm2.checked(smollm2.spec(chat=True)), pad=2, collate=hiding)
    assert set(failures(checked)) == {"pad-masks-labels"}


def test_an_end_that_was_forgotten_is_found(llama: Bench) -> None:
    """Answers without an end token are ``end-untrained``."""

    def endless(row: TrainingRow) -> TrainingRow:
        return replace(row, input_ids=row.input_ids[:-1], labels=row.labels[:-1])

    found = failures(changed(llama.checked(llama.spec(chat=True)), endless))
    assert set(found) == {"end-untrained"}


def test_a_few_rows_without_end_are_let_pass(llama: Bench) -> None:
    """One row in a hundred may lack its end, two may not."""
    pairs = [Pair(f"p-{i}", "Why?", f"So {i}.") for i in range(100)]
    checked = llama.checked(llama.spec(), pairs)
    for n, expected in ((1, set()), (2, {"end-untrained"})):
        rows = [replace(r, labels=(*r.labels[:-1], IGNORED)) for r in checked.rows[:n]]
        planted = replace(checked, rows=[*rows, *checked.rows[n:]])
        assert set(failures(planted)) == expected


def test_bos_twice_is_found(llama: Bench) -> None:
    """A template that writes BOS and a tokenizer that adds it are ``special-tokens-doubled``."""

    def doubled(row: TrainingRow) -> TrainingRow:
        ids, labels = (0, *row.input_ids), (IGNORED, *row.labels)
        return replace(row, input_ids=ids, labels=labels, n_prompt=row.n_prompt + 1)

    checked = llama.checked(llama.spec(chat=True))
    found = failures(changed(checked, doubled))
    assert set(found) == {"special-tokens-doubled", "template-differs"}
    assert "'<s>' begins it twice" in found["special-tokens-doubled"].evidence
    both = replace(checked, evaluated=[(0, *ids) for ids in checked.evaluated])
    assert set(failures(changed(both, doubled))) == {"special-tokens-doubled"}


def test_two_ends_are_found(llama: Bench) -> None:
    """The template's end of a turn and the tokenizer's EOS behind it are doubled, too."""

    def doubled(row: TrainingRow) -> TrainingRow:
        return replace(row, input_ids=(*row.input_ids, 1), labels=(*row.labels, 1))

    found = failures(changed(llama.checked(llama.spec(chat=True)), doubled))
    assert set(found) == {"special-tokens-doubled"}
    assert "two end tokens end it ('<|eot|>', '</s>')" in found["special-tokens-doubled"].evidence


def test_an_end_behind_the_prompt_is_found(llama: Bench) -> None:
    """A tokenizer that ends prompts with EOS teaches and asks for empty answers."""

    def ended(row: TrainingRow) -> TrainingRow:
        ids = (*row.input_ids[: row.n_prompt], 1, *row.input_ids[row.n_prompt :])
        labels = (*row.labels[: row.n_prompt], IGNORED, *row.labels[row.n_prompt :])
        return replace(row, input_ids=ids, labels=labels, n_prompt=row.n_prompt + 1)

    checked = changed(llama.checked(llama.spec()), ended)
    checked = replace(checked, evaluated=[(*ids, 1) for ids in checked.evaluated])
    assert set(failures(checked)) == {"special-tokens-doubled"}


@pytest.mark.parametrize("model", ["llama", "smollm2"])
def test_a_chat_template_inside_a_chat_template_is_found(
    request: pytest.FixtureRequest, model: str
) -> None:
    """A prompt whose user turn is a rendered conversation is ``special-tokens-doubled``."""
    base: Bench = request.getfixturevalue(model)
    said = [{"role": "user", "content": "{context}"}]
    inner = base.tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
    twice = Prompt("twice", "Twice", "{context}", (Message("user", inner),))
    spec = replace(base.spec(chat=True), prompt=twice)
    found = failures(base.checked(spec))
    assert set(found) == {"special-tokens-doubled"}
    assert "inside a chat template" in found["special-tokens-doubled"].evidence


def test_a_special_token_inside_an_answer_is_found(smollm2: Bench) -> None:
    """An answer that spells ``<|im_end|>`` and became one token is found."""
    checked = smollm2.checked(smollm2.spec(chat=True), PAIRS)
    row = checked.rows[3]
    said = smollm2.tokenizer(PAIRS[3].response, add_special_tokens=False)["input_ids"]
    prompt_ids = row.input_ids[: row.n_prompt]
    labels = (*row.labels[: row.n_prompt], *said, 2)
    planted = replace(row, input_ids=(*prompt_ids, *said, 2), labels=labels)
    rows = [*checked.rows[:3], planted, *checked.rows[4:]]
    found = failures(replace(checked, rows=rows))
    assert set(found) == {"response-not-trained", "special-tokens-doubled"}
    assert "1 of 11 rows, e.g. a-3" in found["special-tokens-doubled"].evidence


@pytest.mark.parametrize(("trained", "evaluated"), [(True, False), (False, True)])
def test_another_template_in_the_evaluation_is_found(
    smollm2: Bench, trained: bool, evaluated: bool
) -> None:
    """Training with and evaluating without the chat template is ``template-differs``."""
    checked = smollm2.checked(smollm2.spec(chat=trained))
    other = smollm2.checked(smollm2.spec(chat=evaluated))
    found = failures(replace(checked, evaluated=other.evaluated))
    assert set(found) == {"template-differs"}
    assert "position 0" in found["template-differs"].evidence


def test_another_wording_in_the_evaluation_is_found(t5: Bench) -> None:
    """An encoder-decoder's prompts are compared as well."""
    checked, other = t5.checked(t5.spec("prompt1")), t5.checked(t5.spec("prompt2"))
    found = failures(replace(checked, evaluated=other.evaluated))
    assert set(found) == {"template-differs"}


def test_labels_lost_to_truncation_are_found(llama: Bench) -> None:
    """A row cut at its end, so that the question alone is left, is ``labels-all-masked``."""
    long = Pair("l-0", "why? " * 300, "Because.")
    clean = llama.checked(llama.spec(chat=True, max_tokens=512, max_cut_share=1.0), [*PAIRS, long])
    ids = tuple(clean.evaluated[-1][:400])
    blind = TrainingRow("l-0", ids, (IGNORED,) * 400, 400)
    spec = replace(clean.spec, max_tokens=400)
    found = failures(replace(clean, spec=spec, rows=[*clean.rows[:-1], blind]))
    assert "1 of 12 rows, e.g. l-0" in found["labels-all-masked"].evidence
    assert "1 of them were cut at max_tokens = 400" in found["labels-all-masked"].evidence
    assert "max_tokens" in found["labels-all-masked"].remedy


def test_labels_that_are_all_masked_for_no_reason_are_found(t5: Bench) -> None:
    """Without truncation, ``labels-all-masked`` does not blame it."""

    def blind(row: TrainingRow) -> TrainingRow:
        return replace(row, labels=(IGNORED,) * len(row.labels))

    found = failures(changed(t5.checked(t5.spec()), blind))
    assert "max_tokens" not in found["labels-all-masked"].evidence


def test_a_mask_that_is_off_by_one_is_found(llama: Bench) -> None:
    """The prompt's last token trained, or the answer's first not, is ``response-not-trained``."""

    def early(row: TrainingRow) -> TrainingRow:
        n = row.n_prompt - 2
        return replace(row, labels=(*row.labels[:n], *row.input_ids[n:]))

    def late(row: TrainingRow) -> TrainingRow:
        n = row.n_prompt
        return replace(row, labels=(*row.labels[:n], IGNORED, *row.labels[n + 1 :]))

    checked = llama.checked(llama.spec())
    assert set(failures(changed(checked, early))) == {"response-not-trained"}
    assert set(failures(changed(checked, late))) == {"response-not-trained"}


def test_another_rows_response_is_found(t5: Bench) -> None:
    """An encoder-decoder whose labels belong to another question is ``response-not-trained``."""
    checked = t5.checked(t5.spec())
    labels = [row.labels for row in checked.rows]
    pairs = zip(checked.rows, labels[1:] + labels[:1], strict=True)
    found = failures(replace(checked, rows=[replace(r, labels=other) for r, other in pairs]))
    assert set(found) == {"response-not-trained"}


def test_t5s_wrong_labels_are_found(t5: Bench) -> None:
    """Labels shifted right by hand, and labels that are the question, have names."""
    checked = t5.checked(t5.spec())
    shifted = changed(checked, lambda row: replace(row, labels=(0, *row.labels[:-1])))
    assert {"labels-shifted", "end-untrained"} <= set(failures(shifted))
    echoed = changed(checked, lambda row: replace(row, labels=row.input_ids))
    assert {"labels-misaligned", "response-not-trained"} <= set(failures(echoed))


def test_an_end_at_which_nothing_stops_is_found(tmp_path: Path) -> None:
    """Trained on the template's ``<|eot|>`` and stopping at ``</s>`` alone: ``end-not-a-stop``."""
    base = bench(tiny_llama(tmp_path))
    checked = base.checked(base.spec(chat=True))
    assert not failures(checked)  # since the evaluation stops at the template's end of turn
    found = failures(replace(checked, stops=stop_tokens(base.folder, base.tokenizer)))
    assert set(found) == {"end-not-a-stop"}
    assert "11 of 11 uncut rows end in '<|eot|>' (5)" in found["end-not-a-stop"].evidence
    assert "evaluation stops at '</s>' (1)" in found["end-not-a-stop"].evidence


@pytest.mark.parametrize("model", ["llama", "t5"])
def test_trained_padding_is_found(request: pytest.FixtureRequest, model: str) -> None:
    """Padding whose labels are the pad token is ``pad-trained``."""
    base: Bench = request.getfixturevalue(model)
    checked = base.checked(base.spec())

    def greedy(rows: Sequence[TrainingRow]) -> dict[str, Any]:
        batch = dict(checked.collate(rows))
        for i, row in enumerate(rows):
            batch["labels"][i, len(row.labels) :] = checked.pad
        return batch

    found = failures(replace(checked, collate=greedy))
    assert set(found) == {"pad-trained"}


def test_a_pad_that_stops_is_found(llama: Bench) -> None:
    """A pad token in the list of stops, which is not the end, is ``pad-stops``."""
    checked = llama.checked(llama.spec())
    pad = checked.pad
    found = failures(replace(checked, stops=(*checked.stops, pad)))
    assert set(found) == {"pad-stops"}


def test_no_rows_are_found(llama: Bench) -> None:
    """Without rows ``no-rows`` alone is wrong; a pair without a row is as well."""
    checked = llama.checked(llama.spec())
    assert set(failures(replace(checked, pairs=[], rows=[], evaluated=[]))) == {"no-rows"}
    found = failures(replace(checked, rows=checked.rows[1:]))
    assert "without a row: a-0" in found["no-rows"].evidence
    assert set(found) == {"no-rows"}


# ---------------------------------------------------------------------------- what stops, and text


def test_names_are_all_there() -> None:
    """``allow`` knows the findings of the rows and those of the model, once each."""
    of_pairs = (*PAIR_ROW_NAMES, *PAIR_MODEL_NAMES)
    assert (*ROW_NAMES, *preflight_model.NAMES, *of_pairs) == preflight.NAMES
    assert len(set(preflight.NAMES)) == len(preflight.NAMES)


BAD = Finding("truncated", ok=False, evidence="9 of 10 rows", remedy="raise max_tokens")
GOOD = Finding("no-rows", ok=True, evidence="10 rows")


def test_what_is_wrong_stops_with_name_evidence_and_remedy() -> None:
    """The message tells the finding, what was seen, what to do, and how to override."""
    with pytest.raises(PreflightFailed) as caught:
        preflight.stop([GOOD, BAD], ())
    message = str(caught.value)
    for part in ("truncated", "9 of 10 rows", "raise max_tokens", "--allow truncated"):
        assert part in message
    assert "no-rows" not in message


def test_what_is_allowed_does_not_stop() -> None:
    """An allowed finding is passed over, and shown as such."""
    preflight.stop([GOOD, BAD], ("truncated",))
    lines = preflight.text([GOOD, BAD], ("truncated",)).splitlines()
    assert [line.split()[:2] for line in lines[:2]] == [["ok", "no-rows"], ["allowed", "truncated"]]
    assert "raise max_tokens" in lines[2]
    assert preflight.text([BAD]).startswith("WRONG   truncated")


def test_an_unknown_name_in_allow_is_refused() -> None:
    """A misspelled name lists those that exist, whether or not anything is wrong."""
    with pytest.raises(ConfigError, match=r"'truncate'\. Did you mean 'truncated'\?.*no-rows"):
        preflight.stop([GOOD], ("truncate",))


def test_a_row_is_shown_with_its_mask(smollm2: Bench) -> None:
    """One line a token: position, id, token, label; the middle is left out, the text follows."""
    pair = Pair("a-0", "I feel sad.", "You are not alone with this. " * 3)
    row = smollm2.checked(smollm2.spec("none", chat=True), [pair]).rows[0]
    assert preflight.show(row, smollm2.tokenizer).splitlines() == [
        "a-0: 35 tokens, 13 of the prompt, 22 trained",
        "position       id  token              label",
        "       0        1  '<|im_start|>'     -",
        "       1     4093  'user'             -",
        "       2      198  '\\n'               -",
        "       3       57  'I'                -",
        "       4     1407  ' feel'            -",
        "       5     8177  ' sad'             -",
        "       6       30  '.'                -",
        "       7        2  '<|im_end|>'       -",
        "       8      198  '\\n'               -",
        "       9        1  '<|im_start|>'     -",
        "      10      520  'ass'              -",
        "      11     9531  'istant'           -",
        "      12      198  '\\n'               -",
        "      13     2683  'You'              2683",
        "      14      359  ' are'             359",
        "      15      441  ' not'             441",
        "      16     4016  ' alone'           4016",
        "      17      351  ' with'            351",
        "      18      451  ' this'            451",
        "      19       30  '.'                30",
        "      20     1206  ' You'             1206",
        "     ...           8 tokens not shown",
        "      29      441  ' not'             441",
        "      30     4016  ' alone'           4016",
        "      31      351  ' with'            351",
        "      32      451  ' this'            451",
        "      33       30  '.'                30",
        "      34        2  '<|im_end|>'       2",
        "trained text: 'You are not alone with this. You are not alone with this. "
        "You are not alone with this.<|im_end|>'",
    ]


def test_wrong_labels_are_spelled(smollm2: Bench) -> None:
    """A label that is not the id of its position is shown as what it is."""
    spec = smollm2.spec("none", labels="misaligned")
    pair = Pair("a-0", "I feel sad.", "You are.")
    shown = preflight.show(smollm2.checked(spec, [pair]).rows[0], smollm2.tokenizer).splitlines()
    assert [line.split(maxsplit=2)[2] for line in shown[2:-1]] == [
        "'I'                1206 ' You'",
        "' feel'            359 ' are'",
        "' sad'             30 '.'",
        "'.'                -",
    ]


def test_an_encoder_decoders_row_is_shown_in_two_parts(t5: Bench) -> None:
    """Input and labels stand one below the other, since they are not position by position."""
    shown = preflight.show(t5.checked(t5.spec("none")).rows[0], t5.tokenizer).splitlines()
    assert shown[1] == "input"
    assert "labels" in shown
    assert shown[-1].endswith("You are not alone with this.</s>'")


@pytest.mark.parametrize(
    ("settings", "n_steps", "full"),
    [({"batch_size": 16, "micro_batch": 4, "epochs": 1.0}, 1, "1.0"),
     ({"max_steps": 2}, 2, "1.5"), ({"batch_size": 4, "epochs": 2.0}, 6, "3.5")],
)  # fmt: skip
def test_a_training_of_few_steps_is_found(
    llama: Bench, settings: dict[str, Any], n_steps: int, full: str
) -> None:
    """Eleven rows in few batches teach nothing; the steps are counted at their rates."""
    [(name, found)] = failures(llama.checked(llama.spec(**settings))).items()

    assert name == "few-steps"
    assert f"are {n_steps} steps, whose learning rates are those of {full} steps" in found.evidence
    assert ("max_steps" in found.remedy) == ("max_steps" in settings)
