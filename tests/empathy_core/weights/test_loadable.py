"""What cannot be loaded is refused when a run is planned: one message, exit 2, no traceback."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from empathy_core.store import RunDir
from jobs.config import read as configuration
from jobs.launch import main
from jobs.planning.resolving.resolve import resolve
from tests.tiny_models import tiny_llama
from tests.zoo_layouts import quantised, rewrite, rewrite_config, wide_llama
from tests.zoo_models import make, make_adapter

CONFIG = """
name = "run"
[data.sources.sample]
[evaluate]
limit = 2
[decoding.greedy]
max_new_tokens = 4
[models.tiny]
backend = "hf"
architecture = "decoder"
label = "Tiny"
weights = "{weights}"
prompts = ["none"]
{more}
[metrics.length]
[finetune.tuned]
base = "tiny"
prompt = "none"
sources = ["all"]
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama."""
    return tiny_llama(tmp_path_factory.mktemp("whole") / "llama")


@pytest.fixture
def planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Return what plans a run of one model, and gives its exit status and what it said."""
    monkeypatch.chdir(tmp_path)

    def plan(weights: Path, more: str = "", *, finetune: bool = False) -> tuple[int, str]:
        text = CONFIG.format(weights=weights, more=more)
        if finetune:
            text = text.replace('prompts = ["none"]\n', "prompts = []\n")
        else:
            text = text[: text.index("[finetune.tuned]")]
        Path("run.toml").write_text(text)
        status = main(["sweep", "--config", "run.toml", "--dry-run"])
        said = capsys.readouterr()
        assert "Traceback" not in said.err + said.out
        return status, " ".join((said.err + said.out).split())

    return plan


def test_a_whole_model_is_planned(whole: Path, planned: Callable[..., tuple[int, str]]) -> None:
    """So that the refusals below are not of something else."""
    assert planned(whole)[0] == 0


def unwritten(name: str, text: str = "") -> Callable[[Path], object]:
    """Return what writes something else over a file."""
    return lambda folder: (folder / name).write_text(text)


def without_a_part(folder: Path) -> None:
    """Leave an index of two files, of which none is there."""
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"lm_head.weight": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model-other.safetensors").write_bytes(b"")


def cut(folder: Path) -> None:
    """Cut the weights short."""
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:900])


def without_tokenizer(folder: Path) -> None:
    """Take the tokenizer away."""
    for path in folder.glob("tokenizer*"):
        path.unlink()


def settings(**given: object) -> Callable[[Path], object]:
    """Return what adds to the settings of generation."""

    def write(folder: Path) -> None:
        path = folder / "generation_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | given))

    return write


BROKEN: dict[str, Callable[[Path], object]] = {
    "no config": lambda f: (f / "config.json").unlink(),
    "half a config": unwritten("config.json", '{"model_type": '),
    "a list": unwritten("config.json", "[]"),
    "unknown type": lambda f: rewrite_config(f, model_type="lama"),
    "own code": lambda f: rewrite_config(f, model_type="mine", auto_map={"AutoConfig": "c.Mine"}),
    "wrong value": lambda f: rewrite_config(f, hidden_size="wide", rope_theta="many"),
    "broken settings": unwritten("generation_config.json", '{"eos_token_id": '),
    "no tokenizer": without_tokenizer,
    "broken tokenizer": unwritten("tokenizer.json", '{"version": "1.0"}'),
    "lost tensor": lambda f: rewrite(
        f, lambda t: {n: v for n, v in t.items() if "layers.1.mlp.up" not in n}
    ),
    "extra tensor": lambda f: rewrite(
        f, lambda t: {**t, "model.layers.0.mlp.up_proj.bias": t["model.norm.weight"]}
    ),
    "cut file": cut,
    "lost part": without_a_part,
    "unknown quantisation": lambda f: rewrite_config(
        f, quantization_config={"quant_method": "ternary"}
    ),
    "encoder": lambda f: rewrite_config(f, model_type="t5", architectures=None),
    "adapter inside": unwritten("adapter_config.json", "{}"),
    "flat list": settings(bad_words_ids=[5, 6]),
    "word beyond": settings(bad_words_ids=[[99_999]]),
    "word of none": settings(bad_words_ids=[[]]),
    "negative end": settings(forced_eos_token_id=-1),
    "numbers to stop at": settings(stop_strings=[1, 2]),
    "nothing to stop at": settings(stop_strings=[""]),
}

SAYS = {
    "no config": "has no config.json; expected one beside the weights",
    "half a config": "config.json cannot be read",
    "a list": "config.json cannot be read (a list)",
    "unknown type": "is of type 'lama' and cannot be loaded (it is not known)",
    "own code": "(it comes with code of its own, which is never run)",
    "wrong value": "config.json cannot be read",
    "broken settings": "generation_config.json cannot be read",
    "no tokenizer": "has no tokenizer that can be loaded",
    "broken tokenizer": "has no tokenizer that can be loaded",
    "lost tensor": "in 1 tensors (no model.layers.1.mlp.up_proj.weight)",
    "extra tensor": "in 1 tensors (model.layers.0.mlp.up_proj.bias has no place in the model)",
    "cut file": "model.safetensors cannot be read",
    "lost part": "lacks model-00001-of-00002.safetensors",
    "unknown quantisation": "is quantised as 'ternary'",
    "encoder": "are a encoder-decoder; expected 'decoder'",
    "adapter inside": "holds a whole model and an adapter",
    "flat list": "bad_words_ids = [5, 6] in its generation_config.json cannot be followed",
    "word beyond": "bad_words_ids = [[99999]] in its generation_config.json cannot be followed",
    "word of none": "bad_words_ids = [[]] in its generation_config.json cannot be followed",
    "negative end": "forced_eos_token_id = -1 in its generation_config.json cannot be followed",
    "numbers to stop at": "stop_strings = [1, 2] in its generation_config.json cannot be followed",
    "nothing to stop at": 'stop_strings = [""] in its generation_config.json cannot be followed',
}


@pytest.mark.parametrize("how", SAYS)
@pytest.mark.parametrize("finetune", [False, True], ids=["asked", "trained"])
def test_a_broken_model_is_one_message(
    how: str,
    finetune: bool,
    whole: Path,
    planned: Callable[..., tuple[int, str]],
    tmp_path: Path,
) -> None:
    """Whether it is asked, or a fine-tune's base."""
    folder = Path(shutil.copytree(whole, tmp_path / "broken"))
    BROKEN[how](folder)
    status, said = planned(folder, finetune=finetune)
    assert (status, SAYS[how] in said) == (2, True), said


def test_an_adapter_is_no_model(
    whole: Path, planned: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    """Its folder given as weights."""
    adapter = make_adapter(whole, "lora", tmp_path / "adapter")
    status, said = planned(adapter)
    assert status == 2
    assert "holds an adapter, and no model; expected the weights of its base" in said


def test_an_adapter_that_cannot_be_is_refused(
    whole: Path, planned: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    """Its kind, its base, its sizes: all before a task starts."""
    prompt = make_adapter(whole, "prompt_tuning", tmp_path / "prompt")
    status, said = planned(whole, f'adapter = "{prompt}"')
    assert (status, "is of the kind PROMPT_TUNING" in said) == (2, True)
    other = make("llama", tmp_path / "other")
    strange = make_adapter(other, "lora", tmp_path / "strange")
    status, said = planned(whole, f'adapter = "{strange}"')
    assert (status, "was trained on" in said) == (2, True)
    options = f'adapter = "{strange}"\noptions = {{ adapter_base = "{other}" }}'
    status, said = planned(whole, options)
    assert (status, "does not fit" in said) == (2, True)


def test_a_tokenizer_of_tokens_beyond_the_embedding_is_refused(
    whole: Path, planned: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    """Named by token, where a prompt holds it; where none does, it is no matter."""
    tokenizer = AutoTokenizer.from_pretrained(whole)
    tokenizer.add_tokens(["<later>"], special_tokens=True)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(tmp_path / "words")
    assert planned(whole, f'tokenizer = "{tmp_path / "words"}"')[0] == 0
    tokenizer.chat_template = (
        "{% for m in messages %}{{ '<later>' + m['content'] + eos_token }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<later>' }}{% endif %}"
    )
    tokenizer.save_pretrained(tmp_path / "words")
    more = f'tokenizer = "{tmp_path / "words"}"\nchat_template = true'
    status, said = planned(whole, more)
    assert (status, "hold tokens that the model has no row for: '<later>' (434)" in said) == (
        2,
        True,
    ), said


def test_a_tokenizers_path_is_relative_to_its_configuration(tmp_path: Path) -> None:
    """As those of weights and adapters are; a name and the word ``adapter`` stay."""
    path = tmp_path / "run.toml"
    for written, meant in (
        ("./words", str(tmp_path.resolve() / "words")), ("someone/tiny", "someone/tiny"),
        ("adapter", "adapter"),
    ):  # fmt: skip
        text = CONFIG.format(weights="./base", more=f'tokenizer = "{written}"')
        path.write_text(text[: text.index("[finetune.tuned]")])
        assert configuration.read(path, ()).model_spec("tiny").tokenizer == meant


def test_a_stored_quantisation_is_in_plan_and_notes(
    planned: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    """In the condition's identity, and below the table; to train on FP8 is refused."""
    folder = quantised(wide_llama(tmp_path / "wide"), "fp8", tmp_path / "fp8")
    status, said = planned(folder, finetune=True)
    assert (status, "quantised already (fp8 blocks 32x32)" in said) == (2, True), said
    text = CONFIG.format(weights=folder, more="")
    Path("run.toml").write_text(text[: text.index("[finetune.tuned]")])
    run = RunDir(tmp_path / "runs" / "run")
    plan = resolve(configuration.read(Path("run.toml"), ()), run, "sweep").plan
    (condition,) = plan.conditions
    assert condition.stored_quantization == "fp8 blocks 32x32"
    assert condition.block_size is not None
    assert len(condition.tokenizer_digest) == 64
    assert plan.notes.notes == ("Tiny: weights quantised by their checkpoint (fp8 blocks 32x32).",)
