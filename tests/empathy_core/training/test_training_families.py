"""Fine-tunes of other families than Llama and T5: trained, merged and asked as plain peft does."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import transformers as hf
from peft import LoraConfig, PeftModel, get_peft_model

from empathy_core import backends
from empathy_core.backends.loading import load_model
from empathy_core.backends.positions import check_room, decoder_positions
from empathy_core.errors import ModelError
from empathy_core.prompts import prompt
from empathy_core.prompts.rendering import context_window
from empathy_core.store.schemas import EXAMPLES
from empathy_core.training import modules
from empathy_core.training.adapter.merging import merge
from empathy_core.training.loop import lora
from empathy_core.training.loop.batches import batch_of
from empathy_core.training.loop.job import Trained, TrainingJob
from empathy_core.training.loop.loss import loss_sum
from empathy_core.training.loop.trainer import train
from empathy_core.training.rows import prepare
from empathy_core.training.rows.prepare import PreparedTraining
from empathy_core.training.spec import IGNORED, FinetuneSpec, Lora
from empathy_core.types import Condition, Decoding
from jobs.stages.finetune import model_findings
from jobs.stages.training_job import sampler
from tests.tiny_models import bpe_tokenizer
from tests.training_rows import spec_of

WORDS = len(bpe_tokenizer())
FEELINGS = ("sad", "anxious", "afraid", "alone", "angry")
ENDS: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
BOTH: dict[str, Any] = ENDS | {
    "vocab_size": WORDS, "d_model": 32, "encoder_layers": 1, "decoder_layers": 1,
    "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64, "max_position_embeddings": 80, "init_std": 0.3,
}  # fmt: skip


def gpt2() -> Any:
    config = hf.GPT2Config(
        vocab_size=WORDS, n_embd=64, n_layer=2, n_head=4, n_positions=512, initializer_range=0.3,
        tie_word_embeddings=False, **ENDS,
    )  # fmt: skip
    return hf.GPT2LMHeadModel(config)


def gemma3() -> Any:
    text = hf.Gemma3TextConfig(
        vocab_size=WORDS, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=16, max_position_embeddings=512,
        sliding_window=64, initializer_range=0.3, tie_word_embeddings=False, **ENDS,
    )  # fmt: skip
    vision = hf.SiglipVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        image_size=28, patch_size=14,
    )  # fmt: skip
    config = hf.Gemma3Config(
        text_config=text, vision_config=vision, mm_tokens_per_image=4, boi_token_index=WORDS - 3,
        eoi_token_index=WORDS - 2, image_token_index=WORDS - 1, tie_word_embeddings=False, **ENDS,
    )  # fmt: skip
    return hf.Gemma3ForConditionalGeneration(config)


def bart(**changed: Any) -> Any:
    config = hf.BartConfig(**BOTH | {"decoder_start_token_id": 1, "forced_eos_token_id": 1})
    model = hf.BartForConditionalGeneration(config)
    for name, value in changed.items():
        setattr(model.generation_config, name, value)
        if hasattr(model.config, name):
            setattr(model.config, name, value)
    return model


def forced_bart() -> Any:
    return bart(forced_bos_token_id=0)


def startless_bart() -> Any:
    return bart(decoder_start_token_id=None)


def blenderbot() -> Any:
    return hf.BlenderbotForConditionalGeneration(
        hf.BlenderbotConfig(**BOTH, decoder_start_token_id=0)
    )


def mbart() -> Any:
    return hf.MBartForConditionalGeneration(hf.MBartConfig(**BOTH))


def pegasus() -> Any:
    return hf.PegasusForConditionalGeneration(hf.PegasusConfig(**BOTH, decoder_start_token_id=2))


MAKERS: dict[str, Callable[[], Any]] = {
    each.__name__: each
    for each in (
        gpt2, gemma3, bart, forced_bart, startless_bart, blenderbot, mbart, pegasus,
    )
}  # fmt: skip
DECODERS = ("gpt2", "gemma3")
SEQ2SEQ = [name for name in MAKERS if name not in DECODERS]


@pytest.fixture(scope="module")
def base_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a maker of folders with a tiny random model, each made once."""
    made: dict[str, Path] = {}

    def of(name: str) -> Path:
        if name not in made:
            folder = tmp_path_factory.mktemp(name).resolve()
            torch.manual_seed(0)
            MAKERS[name]().save_pretrained(folder)
            bpe_tokenizer().save_pretrained(folder)
            made[name] = folder
        return made[name]

    return of


def examples(answer: str = "It takes courage to say {}.") -> pl.DataFrame:
    """Return sixteen rows to train on and four to validate."""
    values: list[dict[str, Any]] = [
        {
            "id": f"e-{i}", "context": f"I feel {a} and {b}. Why?", "response": answer.format(a),
            "source": "made", "row": i, "raw_sha256": "0" * 64, "question": f"q-{i}",
            "pair": f"p-{i}", "author": "a", "split": "train" if i < 16 else "validation",
            "block": None,
        }
        for i, (a, b) in enumerate(itertools.permutations(FEELINGS, 2))
    ]  # fmt: skip
    return pl.DataFrame(values, schema=EXAMPLES)


def fine_tune(folder: Path, name: str, **changes: Any) -> FinetuneSpec:
    """Return settings under which a tiny random model learns; its usual layers are trained."""
    architecture = "decoder" if name in DECODERS else "encoder-decoder"
    settings = {
        "lora": Lora(r=8, alpha=32, dropout=0.0), "learning_rate": 2e-2, "epochs": 3.0,
        "max_tokens": 200, "min_response_tokens": 8, "max_grad_norm": 1.0,
    }  # fmt: skip
    return modules.settled(spec_of(folder, architecture=architecture, **settings | changes))


def trained(spec: FinetuneSpec, work: Path) -> tuple[PreparedTraining, Trained]:
    prepared = prepare.prepare(spec, examples())
    job = TrainingJob(
        spec=spec, folder=prepared.folder, rows=tuple(prepared.train),
        validation=tuple(prepared.validation), pad=prepared.pad, work=work, attempt="a",
        identity="a" * 64, sample=sampler(spec, prepared),
    )  # fmt: skip
    return prepared, train(job, lambda _: None)


def kind(name: str) -> Any:
    return hf.AutoModelForCausalLM if name in DECODERS else hf.AutoModelForSeq2SeqLM


def greedy(model: Any, prompts: list[list[int]], ends: list[int]) -> list[list[int]]:
    """Return plain transformers' answers, each prompt alone; their new tokens."""
    found = []
    for ids in prompts:
        given = torch.tensor([ids])
        out = model.eval().generate(
            input_ids=given, attention_mask=torch.ones_like(given), do_sample=False, num_beams=1,
            max_new_tokens=10, eos_token_id=ends, pad_token_id=2,
        )[0].tolist()  # fmt: skip
        found.append(out[1:] if model.config.is_encoder_decoder else out[len(ids) :])
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", list(MAKERS))
def test_the_adapter_answers_alike_through_the_suite_peft_and_merged(
    name: str, base_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """Trained here, its greedy ids are equal in all three, and others than the base's."""
    folder = base_of(name)
    spec = fine_tune(folder, name)
    prepared, done = trained(spec, tmp_path / "work")
    assert done.losses.validation_best is not None
    assert done.losses.validation_start is not None
    assert done.losses.validation_best < done.losses.validation_start
    tuned = replace(spec.base, adapter=str(done.folder))
    asked = replace(prepared.asked, model=tuned, decoding=Decoding(max_new_tokens=10))
    questions = [p.context for p in prepared.validation_pairs]
    rendered = [list(row.input_ids[: row.n_prompt]) for row in prepared.validation]

    loaded: Any = backends.load(tuned)
    requests = [backends.Request(str(i), 0, q) for i, q in enumerate(questions)]
    ours = [list(a.output_ids) for a in loaded.answer(asked, requests)]
    plain = kind(name).from_pretrained(folder)
    ends = list(prepared.stops)
    of_base = greedy(plain, rendered, ends)
    theirs = greedy(PeftModel.from_pretrained(plain, done.folder), rendered, ends)
    report = merge(tuned, tmp_path / "merged", rendered, 1e-2)
    merged = greedy(kind(name).from_pretrained(report.folder), rendered, ends)

    assert ours == theirs == merged
    assert ours != of_base


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["gpt2", "gemma3", "bart", "forced_bart", "blenderbot", "pegasus"])
def test_the_loss_is_that_of_plain_peft(
    name: str, base_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """On real rows, with an adapter of peft's own making; transformers shifts the labels itself."""
    folder = base_of(name)
    spec = fine_tune(folder, name)
    prepared = prepare.prepare(spec, examples())
    job = TrainingJob(
        spec=spec, folder=folder, rows=tuple(prepared.train[:4]), validation=(), pad=prepared.pad,
        work=tmp_path, attempt="a", identity="a" * 64,
    )  # fmt: skip
    batch, micro = batch_of(job.rows, job)
    n_labels = micro.n_labels
    settings = LoraConfig(r=8, lora_alpha=32, target_modules=list(spec.modules))
    torch.manual_seed(0)
    plain = get_peft_model(kind(name).from_pretrained(folder), settings).eval()

    del_start = {n: t for n, t in batch.items() if n != "decoder_input_ids"}
    expected = plain(**del_start).loss
    found = loss_sum(plain, plain.get_base_model(), batch) / n_labels

    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)


# ---------------------------------------------------------------------------- layers


@pytest.mark.parametrize("quantization", [None, "nf4", "int8"])
def test_gpt2_is_trained_quantised_or_not(
    quantization: Any, base_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """Its layers hold their matrices transposed, until bitsandbytes replaces them."""
    spec = fine_tune(base_of("gpt2"), "gpt2", quantization=quantization)
    assert spec.modules == ("c_attn",)
    prepared = prepare.prepare(spec, examples())
    findings = {f.name: f for f in model_findings(spec, prepared)}
    model = load_model(spec.base, prepared.folder)
    adapted = lora.attach(model, spec)

    for checked in ("adapter-modules", "adapter-shape", "not-a-number"):
        assert findings[checked].ok, findings[checked]
    assert lora.trainable(adapted)[0] == 2 * 8 * (64 + 3 * 64)
    assert adapted.peft_config["default"].fan_in_fan_out is (quantization is None)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("gpt2", ("c_attn",)), ("gemma3", ("q_proj", "v_proj")), ("bart", ("q_proj", "v_proj"))],
)
def test_usual_layers_are_found_by_the_configuration_alone(
    name: str, expected: tuple[str, ...], base_of: Callable[[str], Path]
) -> None:
    """No weights are read; what is named stays as it is named."""
    spec = fine_tune(base_of(name), name)
    assert spec.modules == expected
    named = replace(spec, lora=Lora(modules=("c_proj",)))
    assert modules.settled(named) == named


def test_a_picture_tower_gets_no_update(base_of: Callable[[str], Path]) -> None:
    """Gemma 3 from 4B on sees; both its parts call their layers ``q_proj``."""
    spec = fine_tune(base_of("gemma3"), "gemma3")
    adapted = lora.attach(load_model(spec.base, base_of("gemma3")), spec)

    updated = {n for n, _ in adapted.named_parameters() if "lora_A" in n}
    assert len(updated) == 4
    assert all(".language_model." in name for name in updated)
    assert modules.of_folder(base_of("gemma3")).parts_elsewhere == ("model.vision_tower.*",)
    assert adapted.peft_config["default"].exclude_modules == r"model\.vision_tower\..*"


def test_excluded_layers_get_no_update(base_of: Callable[[str], Path]) -> None:
    """Patterns are of whole names."""
    layers = Lora(r=4, exclude=("*.layers.0.*", "model.language_model.*.v_proj"))
    spec = fine_tune(base_of("gemma3"), "gemma3", lora=layers)
    adapted = lora.attach(load_model(spec.base, base_of("gemma3")), spec)

    assert {n.split(".lora_")[0] for n, p in adapted.named_parameters() if p.requires_grad} == {
        "base_model.model.model.language_model.layers.1.self_attn.q_proj"
    }


@pytest.mark.parametrize(
    ("exclude", "words"),
    [(("model.vision.*",), "'model.vision.\\*' in exclude matches none"),
     (("q_proj",), "such as 'model.language_model.layers.0.self_attn.q_proj'"),
     (("*",), "exclude leaves none of the 4 layers named q_proj, v_proj")],
)  # fmt: skip
def test_patterns_that_exclude_nothing_or_all_are_refused_at_planning(
    exclude: tuple[str, ...], words: str, base_of: Callable[[str], Path]
) -> None:
    """Before weights are loaded."""
    spec = fine_tune(base_of("gemma3"), "gemma3", lora=Lora(exclude=exclude))
    with pytest.raises(ModelError, match=words):
        prepare.prepare(spec, examples())


def test_layers_that_are_not_there_are_refused_at_planning(
    base_of: Callable[[str], Path],
) -> None:
    """The names that a text goes through are listed, and those of the tower are not."""
    spec = fine_tune(base_of("gemma3"), "gemma3", lora=Lora(modules=("out_proj",)))
    with pytest.raises(ModelError, match="that a text goes through is named 'out_proj'") as told:
        prepare.prepare(spec, examples())
    assert "fc1" not in str(told.value)
    assert "o_proj" in str(told.value)


def test_exclude_is_in_the_identity_and_old_ids_stay() -> None:
    """Where nothing is excluded the identity is what it was before there was such a setting."""
    plain, cut = Lora(), Lora(exclude=("*.layers.0.*",))
    specs = [replace(spec_of(Path("nowhere")), lora=each) for each in (plain, cut)]

    assert "exclude" not in specs[0].identity()["lora"]  # type: ignore[operator]
    assert specs[0].digest("a", "b") != specs[1].digest("a", "b")


# ---------------------------------------------------------------------------- decoders


@pytest.mark.parametrize(
    ("name", "start", "forced"),
    [("bart", 1, ()), ("forced_bart", 1, (0,)), ("startless_bart", 0, ()), ("blenderbot", 0, ()),
     ("mbart", 0, ()), ("pegasus", 2, ())],
)  # fmt: skip
def test_rows_begin_as_answers_are_generated(
    name: str, start: int, forced: tuple[int, ...], base_of: Callable[[str], Path]
) -> None:
    """The decoder's start, and what an answer is forced to begin with, are transformers' own."""
    prepared = prepare.prepare(fine_tune(base_of(name), name), examples())
    model = kind(name).from_pretrained(base_of(name))
    given = torch.tensor([prepared.train[0].input_ids])
    out = model.generate(input_ids=given, do_sample=False, num_beams=1, max_new_tokens=3)

    row = prepared.train[0]
    assert (row.start, row.labels[: len(forced)]) == (start, forced)
    assert out[0, : 1 + len(forced)].tolist() == [start, *forced]
    assert prepared.tokenizer.decode(row.labels, skip_special_tokens=True).startswith("It takes")


@pytest.mark.parametrize("name", SEQ2SEQ)
def test_answers_longer_than_the_decoder_are_cut(name: str, base_of: Callable[[str], Path]) -> None:
    """To its positions; the preflight counts them among the rows that are cut."""
    spec = fine_tune(base_of(name), name)
    prepared = prepare.prepare(spec, examples("It takes courage. " * 40 + "{}"))

    assert {len(row.labels) for row in prepared.train} == {80}
    assert all(row.response_cut for row in prepared.train)
    assert "truncated" in {f.name for f in prepared.findings if not f.ok}
    model = kind(name).from_pretrained(base_of(name))
    assert model(**_batch(prepared)).loss.isfinite()


def _batch(prepared: PreparedTraining) -> dict[str, Any]:
    [row] = prepared.train[:1]
    read = torch.tensor([[row.start, *row.labels[:-1]]])
    assert IGNORED not in row.labels
    return {
        "input_ids": torch.tensor([row.input_ids]),
        "decoder_input_ids": read,
        "labels": torch.tensor([row.labels]),
    }


def test_answers_are_asked_for_within_the_decoder(base_of: Callable[[str], Path]) -> None:
    """More than its positions is refused at planning; T5 and decoders alone have no such limit."""
    config = hf.AutoConfig.from_pretrained(base_of("bart"))
    model = spec_of(base_of("bart"), architecture="encoder-decoder").base
    check_room(Condition(model, prompt("none"), Decoding(max_new_tokens=80)), config)
    with pytest.raises(ModelError, match=r"max_new_tokens = 81 .* 80 positions"):
        check_room(Condition(model, prompt("none"), Decoding(max_new_tokens=81)), config)
    assert decoder_positions(hf.T5Config()) is None
    assert decoder_positions(hf.LlamaConfig()) is None
    assert decoder_positions(hf.LEDConfig(max_decoder_position_embeddings=77)) == 77


def test_the_window_of_a_model_that_sees_is_its_text_models(
    base_of: Callable[[str], Path],
) -> None:
    """Its configuration names the positions one level down."""
    config = hf.AutoConfig.from_pretrained(base_of("gemma3"))
    assert context_window(config, bpe_tokenizer()) == 512
    assert context_window(hf.T5Config(), bpe_tokenizer()) is None


# ---------------------------------------------------------------------------- embeddings


def test_tokens_without_an_embedding_are_refused_by_name(
    base_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """A template's token that was added and never resized for is told before any weights load."""
    tokenizer = bpe_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|therapist|>"]})
    tokenizer.chat_template = tokenizer.chat_template.replace("<|start|>", "<|therapist|>")
    base_of("gpt2")
    folder = tmp_path / "added"
    MAKERS["gpt2"]().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    spec = replace(fine_tune(folder, "gpt2"), chat=True)
    with pytest.raises(ModelError, match=rf"<\|therapist\|> \({WORDS}\).*for {WORDS} tokens"):
        prepare.prepare(spec, examples())


def test_an_invented_unknown_token_fills_no_batch(tmp_path: Path) -> None:
    """A tokenizer without padding whose unknown token the model has no row for: bos fills."""
    tokenizer = bpe_tokenizer(pad=None)
    tokenizer.add_special_tokens({"unk_token": "[UNK]"})
    assert tokenizer.unk_token_id == WORDS
    MAKERS["gpt2"]().save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    spec = fine_tune(tmp_path, "gpt2")
    prepared = prepare.prepare(spec, examples())

    assert prepared.pad == 0
    assert {f.name for f in model_findings(spec, prepared) if not f.ok} <= {
        "overfit-fails", "overfit-not-regenerated",
    }  # fmt: skip
