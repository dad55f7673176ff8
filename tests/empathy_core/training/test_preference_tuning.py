"""Preference tuning on the suite's own loop, against TRL's DPOTrainer and twenty plain lines."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from empathy_core.errors import ModelError
from empathy_core.training.loop import reference
from empathy_core.training.loop.checkpoints import save_adapter
from empathy_core.training.loop.objective import Whole
from empathy_core.training.loop.preference import PreferenceObjective
from empathy_core.training.loop.trainer import train
from empathy_core.training.spec import IGNORED, Lora, PreferenceRow, TrainingRow
from tests.preference_rows import pair_job, pair_rows
from tests.tiny_models import tiny_llama
from tests.training_rows import job_of, lines, llama, spec_of

TEXTS = [
    {"prompt": "I feel sad at work.", "chosen": " Thank you for writing.", "rejected": " Sleep."},
    {"prompt": "My partner left me.", "chosen": " It was not your doing.",
     "rejected": " You are not alone with this, and it takes courage to ask for help."},
    {"prompt": "How can I sleep better?", "chosen": " It takes courage to ask. How long?",
     "rejected": " I do not know whom to tell."},
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("base"), template=None)


def _perturbed(folder: Path) -> Any:
    """Return the model under an adapter that is not the identity."""
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    torch.manual_seed(0)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"])
    adapted = get_peft_model(base, config)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    return adapted


def _trl(folder: Path, work: Path, monkeypatch: pytest.MonkeyPatch, **config: Any) -> Any:
    """Return TRL 1.16's trainer of the texts, its batch of all of them, and what it makes of it."""
    trl = pytest.importorskip("trl", minversion="1.16")
    monkeypatch.setenv("TQDM_DISABLE", "1")
    settings = trl.DPOConfig(
        output_dir=str(work), use_cpu=True, bf16=False, report_to=[], beta=0.3,
        gradient_checkpointing=False, per_device_train_batch_size=len(TEXTS),
        precompute_ref_log_probs=True, **config,
    )  # fmt: skip
    trainer = trl.DPOTrainer(
        _perturbed(folder), args=settings, train_dataset=Dataset.from_list(TEXTS),
        processing_class=AutoTokenizer.from_pretrained(folder),
    )  # fmt: skip
    rows = list(trainer.train_dataset)
    return trainer, rows, trainer.data_collator(rows)


def _as_ours(rows: list[dict[str, Any]], *, with_reference: bool) -> tuple[PreferenceRow, ...]:
    """Return TRL's rows as ours: the same tokens, the same mask."""
    found = []
    for i, row in enumerate(rows):
        prompt = tuple(row["prompt_ids"])
        sides = [
            TrainingRow(str(i), (*prompt, *ids), (IGNORED,) * len(prompt) + tuple(ids), len(prompt))
            for ids in (row["chosen_ids"], row["rejected_ids"])
        ]
        theirs = (float(row["ref_chosen_logps"]), float(row["ref_rejected_logps"]))
        found.append(PreferenceRow(str(i), *sides, theirs if with_reference else None))
    return tuple(found)


@pytest.mark.parametrize(
    ("loss", "sft_weight", "theirs"),
    [
        ("sigmoid", 0.0, {"loss_type": ["sigmoid"]}),
        ("sigmoid_norm", 0.0, {"loss_type": ["sigmoid_norm"]}),
        ("sigmoid", 0.7, {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.7]}),
    ],
)
def test_loss_and_gradients_are_trls_under_lora(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loss: str, sft_weight: float,
    theirs: dict[str, Any],
) -> None:  # fmt: skip
    """DPO of TRL 1.16 on the same tokens, reference and weights: loss and gradients to 1e-5."""
    trainer, rows, batch = _trl(folder, tmp_path / "trl", monkeypatch, **theirs)
    trainer.model.eval()
    _move(trainer.model)
    expected = trainer._compute_loss(trainer.model, batch, return_outputs=False)
    trainer.model.zero_grad()
    expected.backward()
    wanted = _gradients(trainer.model)

    tuning = {"loss": loss, "beta": 0.3, "sft_weight": sft_weight}
    job = pair_job(folder, tmp_path, tuning=tuning, rows=_as_ours(rows, with_reference=True))
    objective = PreferenceObjective(job.preference.settings, job.pad, encoder_decoder=False)
    model = _perturbed(folder).eval()
    _move(model)
    tensors, micro = objective.batch(job.rows)
    part = objective.part(model, model.get_base_model(), tensors, Whole(3, micro.n_labels))
    part.loss.backward()

    assert float(part.loss.detach()) == pytest.approx(float(expected.detach()), abs=1e-5)
    assert abs(float(part.loss.detach()) - math.log(2)) > 0.01
    ours = _gradients(model)
    assert ours.keys() == wanted.keys()
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, wanted[name], atol=1e-5, rtol=1e-4)


def _move(model: Any) -> None:
    """Move the trained adapter away from its reference, as steps would."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B.default" in name:
                weight.mul_(1.5)


def _gradients(model: Any) -> dict[str, Any]:
    return {n: w.grad for n, w in model.named_parameters() if ".default" in n}


def test_the_reference_of_a_continued_adapter_is_that_adapter_as_trls(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stored log-probabilities are TRL's of its frozen copy of the adapter, not of the base."""
    _, rows, _ = _trl(folder, tmp_path / "trl", monkeypatch)
    save_adapter(_perturbed(folder), tmp_path / "sft")
    tuning = {"start": tmp_path / "sft", "adapter": "a" * 64}
    pairs = _as_ours(rows, with_reference=False)
    job = pair_job(folder, tmp_path, tuning=tuning, rows=pairs, validation=())
    train(replace(job, spec=replace(job.spec, max_steps=1)), lambda _: None)

    known = reference.stored(job.preference)
    for pair, row in zip(pairs, rows, strict=True):
        chosen, rejected = (known[reference.row_digest(s)] for s in (pair.chosen, pair.rejected))
        assert chosen == pytest.approx(float(row["ref_chosen_logps"]), rel=1e-6)
        assert rejected == pytest.approx(float(row["ref_rejected_logps"]), rel=1e-6)
    base = pair_job(folder, tmp_path / "b", rows=pairs, validation=())
    train(replace(base, spec=replace(base.spec, max_steps=1)), lambda _: None)
    bare = reference.stored(base.preference)
    assert all(abs(bare[row] - known[row]) > 1e-3 for row in known)


def test_log_probabilities_are_those_of_plain_softmax(folder: Path, tmp_path: Path) -> None:
    """The bare base's reference, one row at a time, without a batch: twenty plain lines."""
    pairs = pair_rows(5, seed=3)
    job = pair_job(folder, tmp_path, rows=pairs, validation=())
    train(replace(job, spec=replace(job.spec, max_steps=1)), lambda _: None)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    known = reference.stored(job.preference)
    for row in (side for pair in pairs for side in (pair.chosen, pair.rejected)):
        with torch.no_grad():
            logs = model(torch.tensor([row.input_ids])).logits[0].log_softmax(1)
        said = sum(float(logs[i - 1, row.input_ids[i]])
                   for i in range(row.n_prompt, len(row.input_ids)))  # fmt: skip
        assert known[reference.row_digest(row)] == pytest.approx(said, abs=1e-4)
    frame = pl.read_parquet(reference.file_of(job.preference))
    assert frame.columns == ["model", "adapter", "row", "log_probability"]
    assert frame["model"].unique().to_list() == [job.preference.model]


def test_tuning_learns_the_preference_and_its_curve_tells(folder: Path, tmp_path: Path) -> None:
    """From log 2 down; held-out margin and accuracy rise; chosen and rejected are told apart."""
    changes = {"epochs": 6.0, "learning_rate": 1e-2}
    trained = train(pair_job(folder, tmp_path, spec=changes), lambda _: None)
    held_out = [p for p in trained.curve if p.validation_loss is not None]

    assert held_out[0].validation_loss == pytest.approx(math.log(2), abs=1e-5)
    assert held_out[0].margin == pytest.approx(0, abs=1e-4)
    assert held_out[-1].validation_loss < held_out[0].validation_loss
    assert held_out[-1].margin > 1
    assert held_out[-1].accuracy > 0.5
    margins = held_out[-1].margins
    assert sorted(margins) == [f"v{i:03d}" for i in range(6)]
    assert sum(margins.values()) / 6 == pytest.approx(held_out[-1].margin, rel=1e-5)
    assert sum(of > 0 for of in margins.values()) / 6 == pytest.approx(held_out[-1].accuracy)
    assert lines(trained.log)[-1]["margins"] == margins
    steps = [p for p in trained.curve if p.loss is not None]
    assert steps[0].loss == pytest.approx(math.log(2), abs=1e-5)
    assert steps[-1].accuracy > 0.9
    assert {"chosen_logp", "rejected_logp", "margin", "accuracy"} <= set(lines(trained.log)[-1])


def test_the_step_is_a_mean_over_pairs_however_it_is_cut(folder: Path, tmp_path: Path) -> None:
    """Micro-batches of one and of four pairs give the same adapter, SFT term and all."""
    weights = []
    for n in (1, 4):
        spec = {"micro_batch": n, "max_steps": 3}
        job = pair_job(folder, tmp_path / str(n), spec=spec, tuning={"sft_weight": 0.5})
        trained = train(job, lambda _: None)
        weights.append(load_file(trained.folder / "adapter_model.safetensors"))

    assert max(float((weights[0][n] - weights[1][n]).abs().max()) for n in weights[0]) < 1e-5


def test_a_killed_tuning_goes_on_to_the_same_adapter(folder: Path, tmp_path: Path) -> None:
    """Kill -9 after step 5, another attempt: to 1e-6, and the reference is not taken again."""
    whole = train(pair_job(folder, tmp_path / "whole"), lambda _: None)
    asked = {"folder": str(folder), "work": str(tmp_path / "cut"), "attempt": "first"}
    command = [sys.executable, "-m", "tests.preference_rows"]
    killed = subprocess.run([*command, json.dumps(asked | {"kill_at": 5})], check=False)
    assert killed.returncode == -9
    job = pair_job(folder, tmp_path / "cut", attempt="second")
    before = reference.file_of(job.preference).stat().st_mtime_ns
    steps: list[int] = []
    resumed = train(job, lambda report: steps.append(report.step))

    assert steps[0] == 6 or steps[0] == 4
    assert reference.file_of(job.preference).stat().st_mtime_ns == before
    one, other = (load_file(t.folder / "adapter_model.safetensors") for t in (whole, resumed))
    assert max(float((one[n] - other[n]).abs().max()) for n in one) < 1e-6


def test_a_lost_reference_is_taken_of_the_model_before_any_step(
    folder: Path, tmp_path: Path
) -> None:
    """Where the file went between two attempts, the policy as it stands is not the reference."""
    job = pair_job(folder, tmp_path)
    stopped = replace(job, stop_soon=lambda: True)
    with pytest.raises(Exception, match="stopped after step 1"):
        train(stopped, lambda _: None)
    known = reference.stored(job.preference)
    reference.file_of(job.preference).unlink()
    train(replace(job, attempt="second"), lambda _: None)

    again = reference.stored(job.preference)
    assert max(abs(again[row] - known[row]) for row in known) < 1e-5


def test_an_adapter_of_another_rank_is_not_gone_on_from(folder: Path, tmp_path: Path) -> None:
    """Said before a step, not by wrong weights."""
    other = job_of(folder, tmp_path / "sft", spec=spec_of(folder, lora=Lora(r=2), max_steps=1))
    sft = train(other, lambda _: None)
    job = pair_job(folder, tmp_path, tuning={"start": sft.folder, "adapter": "b" * 64})

    with pytest.raises(ModelError, match="of another rank"):
        train(job, lambda _: None)


def test_the_same_adapter_with_either_loop(tmp_path: Path) -> None:
    """Where every rejected reply is the chosen one, only the SFT term is left: it is the SFT."""
    base = llama(tmp_path / "base")
    pairs = tuple(replace(p, rejected=p.chosen) for p in pair_rows(8))
    spec = {"max_steps": 3, "batching": "shuffled"}
    job = pair_job(base, tmp_path, rows=pairs, validation=(), spec=spec,
                   tuning={"sft_weight": 1.0})  # fmt: skip
    tuned = train(job, lambda _: None)
    rows = tuple(p.chosen for p in pairs)
    plain = train(replace(job, rows=rows, preference=None, work=tmp_path / "sft"), lambda _: None)

    one, other = (load_file(t.folder / "adapter_model.safetensors") for t in (tuned, plain))
    assert max(float((one[n] - other[n]).abs().max()) for n in one) < 1e-5
