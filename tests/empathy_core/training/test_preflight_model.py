"""The model's preflight: what is whole passes, and each broken thing is told by its name."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import T5ForConditionalGeneration

from empathy_core.backends.loading import load_model
from empathy_core.prompts import prompt
from empathy_core.prompts.tokenizers import load_tokenizer
from empathy_core.training.loop import lora
from empathy_core.training.preflight.model import NAMES, check_model
from empathy_core.training.preflight.overfit import ANSWER_TOKENS, select_rows
from empathy_core.training.spec import IGNORED, Finding, FinetuneSpec, Lora, TrainingRow
from empathy_core.types import ModelSpec
from tests.tiny_models import SHARED, tiny_llama, tiny_t5

QUESTIONS = (
    "I feel sad.",
    "How can I sleep better?",
    "My partner left me, and I do not know whom to tell.",
    "Why am I anxious at work?",
    "Am I alone with this?",
    "I am afraid of help.",
    "It was my own doing, I know.",
    "Thank you. What can I do?",
    "Whom can I ask for support?",
    "My role at work makes me anxious and sad, and I am not able to sleep.",
)
ANSWERS = (
    "It takes courage to ask for help.",
    "You are not alone with this, and you know it.",
    "Thank you for writing to the therapist.",
    "I know that it takes time to sleep better.",
    "Tell your partner how you feel about it.",
)


def spec(folder: Path, lora: Lora | None = None, **base: Any) -> FinetuneSpec:
    """Return a fine-tune of the model in a folder."""
    model = replace(ModelSpec("tiny", "Tiny", "hf", "decoder", str(folder)), **base)
    return FinetuneSpec("tiny-ft", "Tiny", model, prompt("none"), chat=False, lora=lora or Lora())


def rows(tokenizer: Any, *, encoder_decoder: bool = False, end: bool = True) -> list[TrainingRow]:
    """Return well-made rows, end token included unless told otherwise."""
    made = []
    for i, question in enumerate(QUESTIONS):
        asked = tokenizer(question)["input_ids"]
        said = tokenizer(ANSWERS[i % 5], add_special_tokens=False)["input_ids"]
        said = [*said, tokenizer.eos_token_id] if end else said
        if encoder_decoder:
            made.append(TrainingRow(str(i), tuple(asked), tuple(said), len(asked), start=0))
        else:
            labels = (*[IGNORED] * len(asked), *said)
            made.append(TrainingRow(str(i), (*asked, *said), labels, len(asked)))
    return made


class Bench:
    """A loaded tiny model and what its check takes."""

    def __init__(self, folder: Path, lora: Lora | None = None, **base: Any) -> None:
        self.spec = spec(folder, lora, **base)
        self.model = load_model(self.spec.base, folder)
        self.tokenizer = load_tokenizer(folder)
        self.seq2seq = self.spec.base.architecture == "encoder-decoder"

    def rows(self, **settings: Any) -> list[TrainingRow]:
        """Return rows for this model."""
        return rows(self.tokenizer, encoder_decoder=self.seq2seq, **settings)

    def check(self, rows: Sequence[TrainingRow] | None = None) -> dict[str, Finding]:
        """Return the findings by name."""
        tokenizer = self.tokenizer
        found = check_model(
            self.model, tokenizer, self.spec, self.rows() if rows is None else rows,
            (tokenizer.eos_token_id,), tokenizer.pad_token_id,
        )  # fmt: skip
        assert tuple(f.name for f in found) == NAMES
        assert all(f.evidence and f.ok == (not f.remedy) for f in found)
        return {f.name: f for f in found}


def failing(found: dict[str, Finding]) -> set[str]:
    """Return the names of what stops."""
    return {name for name, finding in found.items() if not finding.ok}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama."""
    return tiny_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny T5 whose logits are small enough to be moved."""
    folder = tiny_t5(tmp_path_factory.mktemp("t5"))
    model = T5ForConditionalGeneration.from_pretrained(folder)
    with torch.no_grad():
        model.lm_head.weight *= 0.1
    model.save_pretrained(folder)
    return folder


# ---------------------------------------------------------------------------- whole models


@pytest.mark.parametrize(
    "base",
    [
        {},
        {"dtype": "bfloat16"},
        {"quantization": "nf4"},
        {"quantization": "nf4", "dtype": "bfloat16", "double_quantization": True},
    ],
    ids=["float32", "bfloat16", "nf4", "nf4-bfloat16"],
)
def test_a_decoder_passes(llama: Path, base: dict[str, Any]) -> None:
    """Right labels are learnt and given back, on whole and on 4-bit weights."""
    found = Bench(llama, **base).check()
    assert failing(found) == set(), found
    assert "8 of 8 stop by an end token" in found["overfit-not-regenerated"].evidence


@pytest.mark.skipif(not (SHARED / "t5-tokenizer").is_dir(), reason="T5's own tokenizer is not here")
def test_an_encoder_decoder_passes(t5: Path) -> None:
    """T5's labels stand by themselves; two random layers learn little from q and v alone."""
    wide = Lora(r=32, modules=("q", "k", "v", "o", "wi", "wo"))
    found = Bench(t5, wide, architecture="encoder-decoder").check()
    assert failing(found) == set(), found
    assert found["adapter-modules"].evidence.startswith("q in 6 layers, k in 6 layers")


def test_an_encoder_decoders_own_modules(t5: Path) -> None:
    """Where none are named T5's are q and v, in encoder, decoder and between them."""
    found = Bench(t5, architecture="encoder-decoder").check()
    assert found["adapter-modules"].evidence == "q and v in 6 layers"
    assert found["adapter-shape"].ok


def test_the_size_is_told(llama: Path) -> None:
    """8 · (64 + 64) for q_proj and 8 · (64 + 32) for v_proj, in each of two layers."""
    evidence = Bench(llama, Lora(r=8)).check()["adapter-shape"].evidence
    n = 2 * (8 * (64 + 64) + 8 * (64 + 32))
    assert evidence.startswith(f"trainable {n:,} of ")
    assert "q_proj and v_proj in 2 layers; logits with the fresh adapter equal" in evidence


@pytest.mark.parametrize("base", [{}, {"quantization": "nf4", "dtype": "bfloat16"}])
def test_the_base_is_left_as_it_was(llama: Path, base: dict[str, Any]) -> None:
    """Weights, layers, modes, gradients, generation settings and random state are untouched."""
    bench = Bench(llama, **base)
    model = bench.model

    def state() -> tuple[Any, ...]:
        torch.manual_seed(5)
        kinds = [(name, type(layer)) for name, layer in model.named_modules()]
        grads = [(n, p.requires_grad, p.grad is None) for n, p in model.named_parameters()]
        return kinds, grads, model.training, model.generation_config, hasattr(model, "peft_config")

    before, held = state(), {k: v.clone() for k, v in model.state_dict().items()}
    with torch.no_grad():
        logits = model(torch.arange(10, 20)[None]).logits
    bench.check()
    drawn = torch.rand(1)
    assert state() == before
    assert drawn == torch.rand(1)
    assert all(torch.equal(v, held[k]) for k, v in model.state_dict().items())
    with torch.no_grad():
        assert torch.equal(model(torch.arange(10, 20)[None]).logits, logits)


# ---------------------------------------------------------------------------- broken things


def test_modules_that_do_not_exist(llama: Path) -> None:
    """The model's own names are listed with the closest, and nothing else is claimed."""
    found = Bench(llama, Lora(modules=("q_prj", "v_proj"))).check()
    assert failing(found) == {"adapter-modules"}
    finding = found["adapter-modules"]
    assert "is named 'q_prj'. Did you mean 'q_proj'?" in finding.evidence
    assert "down_proj, gate_proj, k_proj, lm_head, o_proj, q_proj" in finding.evidence
    assert "'modules'" in finding.remedy
    assert found["overfit-fails"].evidence == "not checked, since adapter-modules failed"


def misaligned(row: TrainingRow) -> TrainingRow:
    """Return the paper's first iteration: the question alone, labelled with the answer."""
    said = [label for label in row.labels if label != IGNORED]
    n = max(row.n_prompt, len(said))
    filled = (*row.input_ids[: row.n_prompt], *[2] * n)[:n]
    return replace(row, input_ids=filled, labels=(*said, *[IGNORED] * n)[:n], n_prompt=n)


def shifted(row: TrainingRow) -> TrainingRow:
    """Return labels moved once before the model moves them again."""
    return replace(row, labels=(*row.labels[1:], IGNORED))


@pytest.mark.parametrize("bug", [misaligned, shifted])
def test_labels_that_are_not_aligned(llama: Path, bug: Any) -> None:
    """Whatever is learnt, what is generated is not the answer."""
    bench = Bench(llama)
    found = bench.check([bug(row) for row in bench.rows()])
    assert "overfit-not-regenerated" in failing(found)
    assert failing(found) <= {"overfit-not-regenerated", "overfit-fails"}
    assert "labels are not aligned" in found["overfit-not-regenerated"].remedy


def never_ending(llama: Path) -> Bench:
    """Return a model that gives its end token a logit of 0: it ends nothing, not even by chance."""
    bench = Bench(llama)
    with torch.no_grad():
        bench.model.lm_head.weight[bench.tokenizer.eos_token_id] = 0
    return bench


def test_an_end_that_is_not_trained(llama: Path) -> None:
    """Answers without an end are learnt, and go on."""
    bench = never_ending(llama)
    found = bench.check(bench.rows(end=False))
    assert failing(found) == {"overfit-not-regenerated"}
    finding = found["overfit-not-regenerated"]
    assert "0 of 8 answers given back, 0 of 8 stop by an end token" in finding.evidence
    assert "begin with the whole answer and do not stop" in finding.evidence
    assert "do not stop" in finding.evidence
    assert finding.remedy.startswith("the end token is not learnt")


def test_a_masked_end(llama: Path) -> None:
    """The same where the end stands in the rows and is masked, as where the pad is the end."""
    bench = never_ending(llama)
    end = bench.tokenizer.eos_token_id
    masked = [
        replace(row, labels=tuple(IGNORED if x == end else x for x in row.labels))
        for row in bench.rows()
    ]
    assert failing(bench.check(masked)) == {"overfit-not-regenerated"}


def test_a_weight_that_is_not_a_number(llama: Path) -> None:
    """The weight is named, and nothing is said of what it spoils."""
    bench = Bench(llama)
    with torch.no_grad():
        bench.model.model.layers[1].mlp.up_proj.weight[3, 5] = float("nan")
    found = bench.check()
    assert failing(found) == {"not-a-number"}
    assert "model.layers.1.mlp.up_proj.weight" in found["not-a-number"].evidence
    assert found["overfit-fails"].evidence == "not checked, since not-a-number failed"


def test_gradients_that_do_not_arrive(llama: Path) -> None:
    """4-bit layers in the form for generation have no backward pass: that is no silent failure."""
    bench = Bench(llama, quantization="nf4", dtype="bfloat16")
    layers = [m for m in bench.model.modules() if hasattr(m, "support_avx512bf16_for_cpu")]
    if not type(layers[0])(4, 4).support_avx512bf16_for_cpu:
        pytest.skip("this processor has no AVX-512 BF16")
    for layer in layers:
        layer.support_avx512bf16_for_cpu = True  # bitsandbytes' own default here
    found = bench.check()
    assert "not-a-number" in failing(found)
    assert "no gradient reaches" in found["not-a-number"].evidence


def test_a_model_that_ignores_its_mask(llama: Path, t5: Path) -> None:
    """Padding that is seen moves the loss of a row in a batch, and that is told as such."""
    for bench in (Bench(llama), Bench(t5, architecture="encoder-decoder")):
        forward = bench.model.forward

        def blind(*, f: Any = forward, **inputs: Any) -> Any:
            if inputs.get("attention_mask") is not None:
                inputs["attention_mask"] = torch.ones_like(inputs["attention_mask"])
            return f(**inputs)

        bench.model.forward = blind
        found = bench.check()
        assert "batch-changes-loss" in failing(found)
        assert "ignores its attention mask" in found["batch-changes-loss"].remedy


def test_an_adapter_that_is_frozen(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing to train is a wrong shape, and nothing is learnt."""
    attach = lora.attach

    def frozen(model: Any, spec: FinetuneSpec) -> Any:
        return attach(model, spec).requires_grad_(False)

    monkeypatch.setattr(lora, "attach", frozen)
    found = Bench(llama).check()
    assert {"adapter-shape", "overfit-fails"} <= failing(found)
    assert found["adapter-shape"].evidence.startswith("trainable 0 of ")
    assert "expected 3,584 by r" in found["adapter-shape"].evidence


def test_a_base_that_is_not_frozen(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A weight of the base among the trained ones is named."""
    attach = lora.attach

    def thawed(model: Any, spec: FinetuneSpec) -> Any:
        attached = attach(model, spec)
        model.lm_head.requires_grad_(True)
        return attached

    monkeypatch.setattr(lora, "attach", thawed)
    found = Bench(llama).check()
    assert failing(found) == {"adapter-shape"}
    assert "1 weights of the base are not frozen (lm_head.weight" in found["adapter-shape"].evidence


def test_a_fresh_adapter_that_changes_answers(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An adapter whose B is not zero would start somewhere else than at the base."""
    attach = lora.attach

    def started(model: Any, spec: FinetuneSpec) -> Any:
        attached = attach(model, spec)
        for name, weight in attached.named_parameters():
            if "lora_B" in name:
                torch.nn.init.constant_(weight, 0.01)
        return attached

    monkeypatch.setattr(lora, "attach", started)
    found = Bench(llama).check()
    assert failing(found) == {"adapter-shape"}
    assert "differ from the base's by" in found["adapter-shape"].evidence


def test_rows_without_a_label(llama: Path) -> None:
    """There is nothing to learn, which is said without an exception."""
    bench = Bench(llama)
    empty = [replace(row, labels=(IGNORED,) * len(row.labels)) for row in bench.rows()]
    assert failing(bench.check(empty)) == {"overfit-fails"}


# ---------------------------------------------------------------------------- which rows


def test_chosen_rows_have_distinct_prompts_and_short_answers() -> None:
    """One prompt cannot give back two answers; long ones are cut before their end token."""
    end = frozenset({1})
    long = TrainingRow(
        "long", (5, 6, *range(100, 200), 1), (IGNORED,) * 2 + (*range(100, 200), 1), 2
    )
    twin = TrainingRow(
        "twin", (5, 6, *range(300, 310), 1), (IGNORED,) * 2 + (*range(300, 310), 1), 2
    )
    other = TrainingRow("other", (7, *range(100, 200), 1), (IGNORED, *range(100, 200), 1), 1)
    found = select_rows([long, twin, other], end, encoder_decoder=False)
    assert [row.example for row in found] == ["twin", "other"]
    assert found[1].input_ids == (7, *range(100, 100 + ANSWER_TOKENS), 1)
    assert found[1].labels == (IGNORED, *range(100, 100 + ANSWER_TOKENS), 1)


def test_rows_that_end_are_chosen_first() -> None:
    """A cut row has no end: it is taken only where too few others are there."""
    cut = TrainingRow("cut", (5, 6, 7), (IGNORED, 6, 7), 1, response_cut=True)
    whole = TrainingRow("whole", (8, *range(20, 40), 1), (IGNORED, *range(20, 40), 1), 1)
    found = select_rows([cut, whole], frozenset({1}), encoder_decoder=False)
    assert [row.example for row in found] == ["whole", "cut"]
