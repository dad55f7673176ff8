"""The adapter as a product: complete or absent, told by its base, merged within a bound."""

import json
import shutil
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from empathy_core import backends, weights
from empathy_core.errors import Damaged, ModelError
from empathy_core.prompts import prompt
from empathy_core.training.adapter import adapters
from empathy_core.training.adapter.adapters import Origin, counts, publish
from empathy_core.training.adapter.merging import merge, rendered
from empathy_core.training.adapter.record import RowCounts
from empathy_core.training.loop.job import LogPoint, Losses, Trained
from empathy_core.training.spec import IGNORED, Finding, FinetuneSpec, TrainingRow
from empathy_core.types import Condition, Decoding, ModelSpec
from tests.tiny_models import tiny_adapter, tiny_llama, tiny_t5

FINDINGS = (
    Finding("labels-shifted", ok=True, evidence="row 'SECRET ROW TEXT' is aligned"),
    Finding("cut-share", ok=False, evidence="12 % cut", remedy="raise max_tokens"),
)
DIGEST = "ab" * 32
QUESTIONS = ("I feel sad.", "How can I sleep better?", "Whom can I tell about my partner?")


def base_spec(folder: Path, **settings: Any) -> ModelSpec:
    """Return the settings of the base in a folder."""
    return replace(ModelSpec("tiny", "Tiny", "hf", "decoder", str(folder)), **settings)


def origin(base: ModelSpec, **changed: Any) -> Origin:
    """Return what is known before a training."""
    spec = FinetuneSpec(
        "tuned-all-s0", "Tuned | all", base, prompt("prompt1"), chat=False, allow=("cut-share",)
    )
    found = Origin(
        digest=DIGEST,
        spec=spec,
        base_fingerprint=weights.fingerprint(Path(str(base.weights)).resolve()),
        data_digest="cd" * 8,
        split="by question, seed 0",
        datasets=("counsel_chat",),
        train=RowCounts(525, 120_000, 80_000, 3, 40),
        validation=RowCounts(60, 12_000, 8_000, 0, 2),
        findings=FINDINGS,
        provenance={"commit": "0123abc", "python": "3.11", "version of peft": "0.21.2"},
    )
    return replace(found, **changed)


def trained(adapter: Path, work: Path) -> Trained:
    """Return a training that left *adapter* in its work folder."""
    shutil.copytree(adapter, work / "final")
    points = (
        LogPoint(0, 0.0, validation_loss=3.5),
        LogPoint(1, 0.5, loss=3.2),
        LogPoint(2, 1.0, loss=2.5),
    )
    log, samples = work / "log.jsonl", work / "samples.jsonl"
    log.write_text("".join(json.dumps({"step": p.step, "epoch": p.epoch, "loss": p.loss,
        "validation_loss": p.validation_loss, "n_tokens": 7}) + "\n" for p in points))  # fmt: skip
    samples.write_text('{"example": "1", "text": "It takes courage."}\n')
    return Trained(
        folder=work / "final", log=log, samples=samples, curve=points,
        losses=Losses(3.2, 2.5, 3.5, 2.6, 2.7), best_step=2, n_steps=3, n_tokens=12_345,
        seconds=61.5, n_trainable=3_584, n_weights=100_000, chosen="validation",
    )  # fmt: skip


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama."""
    return tiny_llama(tmp_path_factory.mktemp("llama") / "base").resolve()


@pytest.fixture
def published(llama: Path, tmp_path: Path) -> Path:
    """A finished adapter of the tiny Llama."""
    adapter = tiny_adapter(llama, tmp_path / "adapter")
    work = tmp_path / "run" / "adapters" / ".tuned.partial" / "attempt"
    final = tmp_path / "run" / "adapters" / "tuned"
    return publish(trained(adapter, work), final, origin(base_spec(llama)))


# ---------------------------------------------------------------------------- the folder


def test_a_finished_adapter_reads_back(published: Path, llama: Path) -> None:
    """Record, curve and files are what the training gave, and only the owner may read them."""
    assert sorted(p.name for p in published.iterdir()) == [
        "README.md", "adapter_config.json", "adapter_model.safetensors", "finetune.json",
        "log.jsonl", "preflight.json", "samples.jsonl",
    ]  # fmt: skip
    assert adapters.is_complete(published)
    record = adapters.read(published)
    assert record.digest == DIGEST
    assert record.allowed == ("cut-share",)
    assert record.losses == Losses(3.2, 2.5, 3.5, 2.6, 2.7)
    assert record.train == RowCounts(525, 120_000, 80_000, 3, 40)
    assert record.base["fingerprint"] == weights.fingerprint(llama)
    assert record.settings["lora"]["modules"] == ["q_proj", "v_proj"]
    assert record.adapter_sha256 == adapters.digest_of(published)
    assert adapters.curve(published)[1] == {
        "step": 1, "epoch": 0.5, "loss": 3.2, "validation_loss": None, "sample_tokens": None,
    }  # fmt: skip
    assert {p.stat().st_mode & 0o777 for p in published.iterdir()} == {0o600}
    assert published.stat().st_mode & 0o777 == 0o700
    evidence = json.loads((published / "preflight.json").read_text())["findings"]
    assert [f["evidence"] for f in evidence] == [f.evidence for f in FINDINGS]


def test_a_summary_names_losses_and_what_was_allowed(published: Path) -> None:
    """One line for the terminal."""
    line = adapters.summary(json.loads((published / "finetune.json").read_text()))
    assert line == (
        "525 rows, 3 steps, 62 s; validation loss 3.5000 → 2.6000 at step 2; allowed: cut-share"
    )


def test_nothing_stays_beside_a_finished_adapter(published: Path) -> None:
    """What it was put together in is gone; the attempt's own files are not this module's."""
    attempt = published.parent / ".tuned.partial" / "attempt"
    assert sorted(p.name for p in attempt.iterdir()) == ["final", "log.jsonl", "samples.jsonl"]
    assert sorted(p.name for p in published.parent.iterdir()) == [".tuned.partial", "tuned"]


@pytest.mark.parametrize(
    "name", ["adapter_model.safetensors", "adapter_config.json", "README.md", "log.jsonl"]
)
def test_a_torn_folder_is_not_complete(published: Path, name: str) -> None:
    """A file that is cut or absent is noticed without reading it, and a read says so."""
    data = (published / name).read_bytes()
    (published / name).write_bytes(data[:-1])
    assert not adapters.is_complete(published)
    with pytest.raises(Damaged, match="is not complete"):
        adapters.read(published)
    (published / name).unlink()
    assert not adapters.is_complete(published)


def test_a_torn_folder_makes_way(published: Path, llama: Path, tmp_path: Path) -> None:
    """Half a folder under the final name does not cost the training: it is put aside."""
    (published / "log.jsonl").unlink()
    again = trained(tiny_adapter(llama, tmp_path / "adapter2"), tmp_path / "run" / "work2")
    assert publish(again, published, origin(base_spec(llama))) == published
    assert adapters.read(published).digest == DIGEST
    assert [p for p in published.parent.iterdir() if p.name.startswith(".tuned.torn-")]


def test_other_weights_are_noticed(published: Path) -> None:
    """Weights of the same size with another content are not what was trained."""
    path = published / "adapter_model.safetensors"
    tensors = load_file(path)
    name = next(iter(tensors))
    save_file({**tensors, name: tensors[name] + 1}, path, metadata={"format": "pt"})
    assert adapters.is_complete(published)
    with pytest.raises(Damaged, match="not what was trained"):
        adapters.read(published)


def test_a_record_of_another_version_is_told(published: Path) -> None:
    """A record with an unknown key is damage, not a TypeError."""
    path = published / "finetune.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "later": 1}))
    with pytest.raises(Damaged, match="record of this version"):
        adapters.read(published)


def test_a_folder_of_others_is_told(llama: Path, tmp_path: Path) -> None:
    """An adapter without a record is no adapter of this suite."""
    folder = tiny_adapter(llama, tmp_path / "adapter")
    assert not adapters.is_complete(folder)
    assert adapters.curve(folder) == []
    with pytest.raises(ModelError, match=r"has no finetune\.json"):
        adapters.read(folder)


def test_of_two_copies_the_first_stays(llama: Path, tmp_path: Path) -> None:
    """Eight copies that finish at once leave one whole folder of one of them, and no rest."""
    final = tmp_path / "run" / "adapters" / "tuned"
    adapter = tiny_adapter(llama, tmp_path / "adapter")
    made = origin(base_spec(llama))
    works = [trained(adapter, tmp_path / "run" / f"work{i}") for i in range(8)]
    start, failed = threading.Barrier(8), []

    def copy(i: int) -> None:
        start.wait()
        try:
            publish(works[i], final, replace(made, split=f"copy {i}"))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=copy, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    first = adapters.read(final).data["split"]
    publish(works[0], final, replace(made, split="later"))
    assert adapters.read(final).data["split"] == first
    assert not list((tmp_path / "run").rglob("publish-*"))
    assert [p.name for p in final.parent.iterdir()] == ["tuned"]


def test_a_failed_publication_leaves_nothing(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong on the way, there is no folder under the final name."""
    work = tmp_path / "run" / "work"
    done = trained(tiny_adapter(llama, tmp_path / "adapter"), work)

    def broken(record: object) -> str:
        raise OSError(5, "input/output error")

    monkeypatch.setattr("empathy_core.training.adapter.card.card", broken)
    with pytest.raises(OSError, match="input/output"):
        publish(done, tmp_path / "run" / "tuned", origin(base_spec(llama)))
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["work"]
    assert not list(work.glob("publish-*"))


def test_counts_tell_rows_tokens_and_cuts() -> None:
    """A decoder's answer stands in its row; an encoder-decoder's has tokens of its own."""
    decoder = TrainingRow("1", (5, 6, 7, 1), (IGNORED, IGNORED, 7, 1), 2, prompt_cut=True)
    encoder = TrainingRow("2", (5, 6), (7, 8, 1), 2, response_cut=True)
    assert counts([decoder]) == RowCounts(1, 4, 2, 1, 0)
    assert counts([encoder]) == RowCounts(1, 5, 3, 0, 1)


# ---------------------------------------------------------------------------- the card


def front(card: str) -> Mapping[str, Any]:
    """Return the card's front matter."""
    value: Mapping[str, Any] = yaml.safe_load(card.split("---\n")[1])
    return value


def test_the_card_tells_base_data_settings_and_what_was_allowed(published: Path) -> None:
    """What somebody needs before using the adapter stands there; the text of no row does."""
    card = (published / "README.md").read_text()
    record = adapters.read(published)
    for told in (
        record.base["fingerprint"], DIGEST, "cd" * 8, "by question, seed 0", "| 525 | 120,000 |",
        "| cut-share | **allowed** |", "| labels-shifted | passed |", "0123abc", "| 2.6000 |",
        "not a therapist", "not for crises", "No clinician", "| lora.r | 8 |", "peft: 0.21.2",
        "{context}",
    ):  # fmt: skip
        assert told in card, told
    assert "SECRET" not in card
    assert "It takes courage" not in card
    assert "3,584 of 100,000" in card


def test_the_front_matter_is_the_hubs(llama: Path, tmp_path: Path) -> None:
    """A Hub id is the base model, its licence and the data sets are named in YAML that parses."""
    base = base_spec(llama, licence="Apache-2.0", quantization="nf4", double_quantization=True)
    work = trained(tiny_adapter(llama, tmp_path / "adapter"), tmp_path / "work")
    made = origin(base)
    hub = replace(made.spec, base=replace(base, weights="some/base", revision="v1"))
    folder = publish(work, tmp_path / "tuned", replace(made, spec=hub))
    card = (folder / "README.md").read_text()
    assert front(card) == {
        "base_model": "some/base", "library_name": "peft", "pipeline_tag": "text-generation",
        "license": "apache-2.0", "datasets": ["counsel_chat"],
        "tags": ["lora", "qlora", "mental-health", "empathy"],
    }  # fmt: skip
    assert "bnb_4bit_use_double_quant=True" in card
    assert 'revision = "v1"' in card


def test_the_cards_code_loads_the_adapter(published: Path, llama: Path) -> None:
    """The Python in the card runs, but for the folder's name, and gives peft's model."""
    code = (published / "README.md").read_text().split("```python\n")[1].split("```")[0]
    space: dict[str, Any] = {}
    exec(code.replace("path/of/this/folder", str(published)), space)
    assert isinstance(space["model"], PeftModel)


# ---------------------------------------------------------------------------- its base


def test_the_adapter_answers_on_its_base(published: Path, llama: Path) -> None:
    """The published folder is loaded as any other, and is told by its fine-tune."""
    model = base_spec(llama, adapter=str(published))
    backends.load(model)
    assert weights.adapter_fingerprint(published) == f"finetune:{DIGEST}"
    assert weights.model_fingerprint(model).endswith(f"+finetune:{DIGEST}")


def test_an_adapter_of_others_is_told_by_its_content(llama: Path, tmp_path: Path) -> None:
    """Without a record the fingerprint is that of the files."""
    folder = tiny_adapter(llama, tmp_path / "adapter")
    assert weights.adapter_fingerprint(folder) == weights.fingerprint(folder)


def test_another_revision_of_the_base_is_refused(
    published: Path, llama: Path, tmp_path: Path
) -> None:
    """Same shapes under the same name: both fingerprints are named, with what to do."""
    other = tmp_path / "other"
    shutil.copytree(llama, other)
    model = AutoModelForCausalLM.from_pretrained(llama)
    with torch.no_grad():
        model.lm_head.weight.mul_(1.01)
    model.save_pretrained(other)
    theirs, ours = weights.fingerprint(other)[:12], weights.fingerprint(llama)[:12]
    with pytest.raises(ModelError, match=f"{ours}.*{theirs}.*'revision'"):
        backends.load(base_spec(other, adapter=str(published)))
    options = (("adapter_base", ours),)
    backends.load(base_spec(other, adapter=str(published), options=options))


def test_the_same_base_elsewhere_is_taken(published: Path, llama: Path, tmp_path: Path) -> None:
    """Where the weights lie is no part of what they are."""
    shutil.copytree(llama, tmp_path / "moved")
    backends.load(base_spec((tmp_path / "moved").resolve(), adapter=str(published)))


def test_changed_weights_are_not_loaded(published: Path, llama: Path) -> None:
    """The evaluation notices too: the fingerprint of a fine-tune does not depend on the file."""
    path = published / "adapter_model.safetensors"
    save_file({k: v + 1 for k, v in load_file(path).items()}, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="not what was trained"):
        backends.load(base_spec(llama, adapter=str(published)))


def test_a_broken_record_is_told(published: Path, llama: Path) -> None:
    """A record that cannot be read is an error of its own."""
    (published / "finetune.json").write_text("{")
    with pytest.raises(ModelError, match="not a fine-tune's record"):
        backends.load(base_spec(llama, adapter=str(published)))


# ---------------------------------------------------------------------------- merging


def asked(model: ModelSpec) -> list[tuple[int, ...]]:
    """Return rendered questions."""
    return rendered(Condition(model, prompt("none"), Decoding(max_new_tokens=16)), QUESTIONS)


@pytest.mark.fast
def test_a_merged_model_is_the_adapter_on_its_base(llama: Path, tmp_path: Path) -> None:
    """Read again from the disk, it differs by rounding, and answers the same."""
    adapter = tiny_adapter(llama, tmp_path / "adapter")
    model = base_spec(llama, adapter=str(adapter))
    report = merge(model, tmp_path / "merged", asked(model), 1e-2)
    assert 0 < report.exact.largest < 1e-3
    assert report.exact.equal_tokens == 1.0
    assert report.as_evaluated is None
    merged = backends.load(base_spec(report.folder))
    together = backends.load(model)
    c = Condition(model, prompt("none"), Decoding(max_new_tokens=16))
    requests = [backends.Request(str(i), 0, q) for i, q in enumerate(QUESTIONS)]
    texts = [a.text for a in together.answer(c, requests)]
    c = replace(c, model=base_spec(report.folder))
    assert [a.text for a in merged.answer(c, requests)] == texts
    names = {p.name for p in report.folder.iterdir()}
    assert {"model.safetensors", "config.json", "generation_config.json", "tokenizer.json",
            "README.md"} <= names  # fmt: skip
    assert report.folder.stat().st_mode & 0o777 == 0o700
    assert {p.stat().st_mode & 0o777 for p in report.folder.iterdir()} == {0o600}


def test_a_merge_is_never_into_four_bits(llama: Path, tmp_path: Path) -> None:
    """The merged weights are whole; how far they are from what was evaluated is told too."""
    adapter = tiny_adapter(llama, tmp_path / "adapter")
    model = base_spec(llama, adapter=str(adapter), quantization="nf4", dtype="bfloat16")
    report = merge(model, tmp_path / "merged", asked(model), 1e-2)
    assert report.as_evaluated is not None
    assert report.as_evaluated.largest > report.exact.largest
    assert {t.dtype for t in load_file(report.folder / "model.safetensors").values()} == {
        torch.float32
    }
    assert "as evaluated" in report.text()


def test_a_merged_t5_is_the_adapter_on_its_base(tmp_path: Path) -> None:
    """Encoder-decoders are merged by the same path."""
    base = tiny_t5(tmp_path / "t5").resolve()
    torch.manual_seed(1)
    config = LoraConfig(
        r=4, target_modules=["q", "v"], init_lora_weights=False, task_type="SEQ_2_SEQ_LM"
    )
    tuned = get_peft_model(AutoModelForSeq2SeqLM.from_pretrained(base), config)
    tuned.save_pretrained(tmp_path / "adapter")
    model = base_spec(base, architecture="encoder-decoder", adapter=str(tmp_path / "adapter"))
    report = merge(model, tmp_path / "merged", asked(model), 1e-2)
    assert report.exact.largest < 1e-2
    assert report.exact.equal_tokens == 1.0


def test_a_merge_beyond_its_bound_leaves_nothing(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A merge that loses the adapter is refused, and no folder is there."""
    adapter = tiny_adapter(llama, tmp_path / "adapter")
    model = base_spec(llama, adapter=str(adapter))
    monkeypatch.setattr(
        "peft.tuners.lora.LoraModel.merge_and_unload", lambda self, **_: self.unload()
    )
    with pytest.raises(ModelError, match="differ by up to"):
        merge(model, tmp_path / "merged", asked(model), 1e-2)
    assert [p.name for p in tmp_path.iterdir()] == ["adapter"]


def test_a_merge_needs_an_adapter_and_a_free_place(llama: Path, tmp_path: Path) -> None:
    """Nothing is loaded for a merge that cannot be, and nothing is overwritten."""
    with pytest.raises(ModelError, match="no adapter"):
        merge(base_spec(llama), tmp_path / "merged", [(1, 2)], 1e-2)
    model = base_spec(llama, adapter=str(tiny_adapter(llama, tmp_path / "adapter")))
    (tmp_path / "merged").mkdir()
    (tmp_path / "merged" / "mine.txt").write_text("mine")
    with pytest.raises(ModelError, match="exists"):
        merge(model, tmp_path / "merged", asked(model), 1e-2)
    assert (tmp_path / "merged" / "mine.txt").read_text() == "mine"
