"""The training: what is trained, on which loss, and that it may end anywhere."""

import errno
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import Gemma2Config, Gemma2ForCausalLM

from empathy_core.backends.loading import load_model
from empathy_core.errors import ConfigError, DataError, ModelError, StorageError, UnknownName
from empathy_core.training.loop import checkpoints, lora, loss, machine
from empathy_core.training.loop.batches import collate, schedule
from empathy_core.training.loop.job import StepReport, Trained, TrainingJob
from empathy_core.training.loop.loss import loss_sum
from empathy_core.training.loop.progress import TrainingProgress
from empathy_core.training.loop.train_loop import lengths
from empathy_core.training.loop.trainer import Interrupted, train
from empathy_core.training.spec import IGNORED, Lora, TrainingRow
from tests import preloaded
from tests.training_rows import (
    decoder_rows,
    encoder_rows,
    job_of,
    lines,
    llama,
    spec_of,
    t5,
    worse_away_from,
)

ROOT = Path(__file__).parents[3]
SEQ2SEQ = {"architecture": "encoder-decoder"}
NO_DROPOUT = Lora(r=4, alpha=8, dropout=0.0)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As in the processes that are killed: sums of several threads differ in the last digit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def seq2seq(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return t5(tmp_path_factory.mktemp("t5"))


@pytest.fixture(scope="module")
def whole(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A training that nothing disturbed."""
    return train(job_of(base, tmp_path_factory.mktemp("whole")), silent)


def silent(_: StepReport) -> None:
    """Hear of a step, and say nothing."""


def child(asked: dict[str, Any], *launcher: str) -> subprocess.CompletedProcess[str]:
    """Train in a process of its own."""
    command = [preloaded.python(), *launcher, "-m", "tests.training_rows", json.dumps(asked)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def curve(trained: Trained) -> list[tuple[object, ...]]:
    """Return what two trainings must have in common."""
    return [(p.step, p.epoch, p.n_tokens, p.learning_rate) for p in trained.curve]


def losses(trained: Trained) -> list[float]:
    """Return the losses of steps and evaluations, in order."""
    return [
        float(p.validation_loss if p.loss is None else p.loss)  # type: ignore[arg-type]
        for p in trained.curve
    ]


def adapter(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


def same(first: Trained, second: Trained) -> None:
    """Check that curve and adapter agree within 1e-6."""
    assert curve(first) == curve(second)
    assert losses(first) == pytest.approx(losses(second), abs=1e-6)
    weights = adapter(second.folder)
    for name, weight in adapter(first.folder).items():
        torch.testing.assert_close(weight, weights[name], atol=1e-6, rtol=0)


# ---------------------------------------------------------------------------- the adapter


def test_adapter_is_float32_and_the_only_thing_trained(base: Path) -> None:
    """The base stays as it was loaded, in its dtype; the adapter is float32."""
    for changes in ({"dtype": "bfloat16"}, {"dtype": "bfloat16", "quantization": "nf4"}):
        spec = spec_of(base, **changes)
        model = load_model(spec.base, base)
        before = {name: p.dtype for name, p in model.named_parameters()}

        adapted = lora.attach(model, spec)

        trained = {n: p for n, p in adapted.named_parameters() if p.requires_grad}
        assert {p.dtype for p in trained.values()} == {torch.float32}
        assert all("lora_" in name for name in trained)
        kept = {
            name.removeprefix("base_model.model.").replace("base_layer.", ""): p.dtype
            for name, p in adapted.named_parameters()
            if "lora_" not in name
        }
        assert kept == before
        assert lora.trainable(adapted)[0] == sum(p.numel() for p in trained.values())


def test_adapter_is_seeded_and_disturbs_no_random_state(base: Path) -> None:
    """Equal seeds give equal adapters, whatever was drawn before; the state stays."""
    spec = spec_of(base)
    first: list[torch.Tensor] = []
    for drawn, seed in ((0, 0), (5, 0), (0, 1)):
        torch.rand(drawn)
        state = torch.random.get_rng_state()
        model = lora.attach(load_model(spec.base, base), replace(spec, seed=seed))
        assert torch.equal(state, torch.random.get_rng_state())
        first.append(next(p for n, p in model.named_parameters() if "lora_A" in n).detach())

    assert torch.equal(first[0], first[1])
    assert not torch.equal(first[0], first[2])


def test_unknown_module_names_list_the_real_ones(base: Path, seq2seq: Path) -> None:
    """One wrong name among right ones is refused, for both architectures."""
    spec = spec_of(base, lora=Lora(modules=("q_proj", "v_prj")))
    with pytest.raises(ModelError, match=r"'v_prj'.*Did you mean 'v_proj'.*down_proj.*q_proj"):
        lora.attach(load_model(spec.base, base), spec)

    spec = spec_of(seq2seq, **SEQ2SEQ, lora=Lora(modules=("q_proj",)))
    with pytest.raises(ModelError, match=r"'q_proj'.*named: k, lm_head, o, q, v, w"):
        lora.attach(load_model(spec.base, seq2seq), spec)


def test_a_module_that_is_not_linear_is_refused(base: Path) -> None:
    """A block's name exists in the model but cannot take an update."""
    spec = spec_of(base, lora=Lora(modules=("mlp",)))

    with pytest.raises(ModelError, match="no linear layer"):
        lora.attach(load_model(spec.base, base), spec)


# ---------------------------------------------------------------------------- the loss


def batch_of(rows: tuple[TrainingRow, ...], *, encoder_decoder: bool) -> dict[str, torch.Tensor]:
    return dict(collate(rows, 2, encoder_decoder=encoder_decoder))


@pytest.mark.parametrize("kind", ["decoder", "encoder-decoder"])
def test_loss_equals_transformers_own(kind: str, base: Path, seq2seq: Path) -> None:
    """Loss and gradients are those of the model called with labels, within 1e-6."""
    t5s = kind == "encoder-decoder"
    folder = seq2seq if t5s else base
    spec = spec_of(folder, architecture=kind, lora=NO_DROPOUT)
    model = lora.attach(load_model(spec.base, folder), spec).double()
    for weight in model.parameters():  # B starts at 0, which would hide A's gradient
        if weight.requires_grad:
            torch.nn.init.normal_(weight, std=0.05)
    batch = batch_of((encoder_rows if t5s else decoder_rows)(4), encoder_decoder=t5s)
    n_labels = int((batch["labels"] != IGNORED).sum())

    model(**batch).loss.backward()
    plain = {n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad}
    expected = float(model(**batch).loss.detach())
    model.zero_grad()
    ours = loss_sum(model, model.get_base_model(), batch) / n_labels
    ours.backward()
    with torch.inference_mode():
        evaluated = loss_sum(model, model.get_base_model(), batch) / n_labels

    assert float(ours.detach()) == pytest.approx(expected, rel=1e-6)
    assert float(evaluated) == pytest.approx(expected, rel=1e-6)
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            torch.testing.assert_close(weight.grad, plain[name], atol=1e-6, rtol=1e-6)


def test_logits_are_computed_only_where_labels_are(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more than one position passes the head's module, and few at a time its weights."""
    spec = spec_of(base)
    model = load_model(spec.base, base).requires_grad_(False)
    batch = batch_of(decoder_rows(4), encoder_decoder=False)
    seen: list[tuple[int, ...]] = []
    model.lm_head.register_forward_hook(lambda _m, _i, out: seen.append(tuple(out.shape)))
    rows: list[int] = []
    linear = torch.nn.functional.linear
    vocabulary = len(model.lm_head.weight)

    def counted(given: torch.Tensor, weight: torch.Tensor, bias: Any = None) -> torch.Tensor:
        if len(weight) == vocabulary and given.dim() == 2:
            rows.append(len(given))
        return linear(given, weight, bias)

    monkeypatch.setattr(torch.nn.functional, "linear", counted)
    monkeypatch.setitem(loss.LOGITS_AT_ONCE, "cpu", 7 * vocabulary)
    first = loss_sum(model, model, batch)
    rows.clear()
    seen.clear()
    second = loss_sum(model, model, batch)
    model(input_ids=batch["input_ids"])

    n_labels = int((batch["labels"] != IGNORED).sum())
    assert [shape[:-1] for shape in seen] == [(1,), tuple(batch["input_ids"].shape)]
    assert sum(rows) == n_labels + 1
    assert max(rows) == 7
    assert torch.equal(first, second)


def test_a_head_whose_logits_are_changed_keeps_its_loss(base: Path) -> None:
    """Gemma caps its logits after the head: loss and gradient are still the model's own."""
    config = Gemma2Config(
        vocab_size=300, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=8, final_logit_softcapping=2.0,
        initializer_range=0.5, attn_implementation="eager",
    )  # fmt: skip
    torch.manual_seed(0)
    spec = spec_of(base, lora=NO_DROPOUT)
    model = lora.attach(Gemma2ForCausalLM(config).eval(), spec).double()
    batch = batch_of(decoder_rows(4), encoder_decoder=False)
    n_labels = int((batch["labels"] != IGNORED).sum())

    passes: list[int] = []
    model.get_base_model().register_forward_pre_hook(lambda *_: passes.append(1))

    for n_passes in (2, 1):  # the first call finds it out
        model.zero_grad()
        passes.clear()
        ours = loss_sum(model, model.get_base_model(), batch) / n_labels
        assert len(passes) == n_passes
        ours.backward()
        found = {n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad}
        model.zero_grad()
        own = model(**batch).loss
        own.backward()

        assert float(ours.detach()) == pytest.approx(float(own.detach()), rel=1e-6)
        for name, weight in model.named_parameters():
            if weight.requires_grad:
                torch.testing.assert_close(weight.grad, found[name], atol=1e-6, rtol=1e-6)


@pytest.mark.fast
def test_step_loss_is_the_mean_over_the_label_tokens_of_the_step(
    base: Path, whole: Trained
) -> None:
    """The first step's loss, before any update, is what the base gives those rows together."""
    job = job_of(base, Path("unused"), spec=spec_of(base, lora=NO_DROPOUT))
    model = load_model(job.spec.base, base)
    lengths = [len(row.input_ids) for row in job.rows]
    numbers = [i for micro in schedule(lengths, job.spec, 0)[0] for i in micro]
    total = n_labels = 0.0
    for i in numbers:
        one = batch_of((job.rows[i],), encoder_decoder=False)
        n = int((one["labels"] != IGNORED).sum())
        total, n_labels = total + float(model(**one).loss) * n, n_labels + n

    # the adapter adds nothing yet, so dropout changes nothing
    assert whole.losses.first == pytest.approx(total / n_labels, rel=1e-6)


# ---------------------------------------------------------------------------- a training


def test_a_training_returns_an_adapter_that_the_suite_loads(base: Path, whole: Trained) -> None:
    """The adapter names its base as configured, and gives the best validation loss when loaded."""
    settings = json.loads((whole.folder / "adapter_config.json").read_text())
    job = job_of(base, Path("unused"))
    model = load_model(replace(job.spec.base, adapter=str(whole.folder)), base)
    batch = batch_of(job.validation, encoder_decoder=False)
    n_labels = int((batch["labels"] != IGNORED).sum())

    found = float(loss_sum(model, model, batch).detach()) / n_labels

    assert settings["base_model_name_or_path"] == str(base)
    assert found == pytest.approx(whole.losses.validation_best, rel=1e-5)
    assert whole.chosen == "validation"
    assert whole.n_steps == 10
    assert whole.n_tokens == 2 * sum(len(row.input_ids) for row in job.rows)
    assert {p.name for p in whole.folder.iterdir()} == {*checkpoints.ADAPTER_FILES}


def test_the_log_is_the_curve(whole: Trained) -> None:
    """Each step and each evaluation has one line; step 0 is evaluated."""
    found = lines(whole.log)

    assert [line["step"] for line in found if line["loss"] is not None] == [*range(1, 11)]
    assert [line["step"] for line in found if line["validation_loss"] is not None] == [0, 5, 10]
    assert [line["loss"] for line in found] == [p.loss for p in whole.curve]
    step = found[3]
    assert step["tokens_per_s"] > 0
    assert step["memory_mb"] > 100
    assert 0 <= step["padding"] < 1
    assert found[-2]["eta_s"] == 0


def test_all_that_is_written_is_the_owners_alone(whole: Trained) -> None:
    """No file or folder of an attempt can be read by others."""
    for path in whole.log.parent.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_old_checkpoints_go(whole: Trained) -> None:
    """Two are left, and the last one carries the best adapter."""
    place = whole.log.parent
    assert sorted(p.name for p in place.glob("checkpoint-*")) == ["checkpoint-10", "checkpoint-9"]
    best = adapter(place / "checkpoint-10" / "best")
    assert all(torch.equal(best[name], w) for name, w in adapter(whole.folder).items())


def fell(trained: Trained, nats: float) -> bool:
    """Tell whether the validation loss fell by so much."""
    start, best = trained.losses.validation_start, trained.losses.validation_best
    return start is not None and best is not None and start - best > nats


@pytest.mark.parametrize(
    "changes",
    [
        {"quantization": "nf4"},
        {"quantization": "nf4", "double_quantization": True, "dtype": "bfloat16"},
        {"quantization": "int8"},
        {"dtype": "bfloat16"},
        {"gradient_checkpointing": True},
        {"schedule": "constant"},
    ],
    ids=str,
)
def test_every_kind_of_base_trains(changes: dict[str, Any], base: Path, tmp_path: Path) -> None:
    """The loss of the rows falls and every tensor of the adapter moves, also after evaluations."""
    spec = spec_of(base, learning_rate=2e-2, max_grad_norm=1.0, epochs=4.0, **changes)
    start = lora.attach(load_model(spec.base, base), spec)
    before = {n: p.detach().clone() for n, p in start.named_parameters() if p.requires_grad}

    trained = train(job_of(base, tmp_path, spec=spec, validation=decoder_rows(18)), silent)

    assert fell(trained, 0.5)
    after = adapter(trained.folder)
    for name, weight in before.items():
        assert not torch.equal(after[name.replace(".default", "")], weight), name


def test_gradients_through_four_bits_are_exact(base: Path) -> None:
    """After a forward pass without gradients they are those of the dequantised weights."""
    bitsandbytes = pytest.importorskip("bitsandbytes")
    spec = spec_of(base, quantization="nf4", lora=NO_DROPOUT)
    quantised, plain = load_model(spec.base, base), load_model(spec_of(base).base, base)
    for name, layer in quantised.named_modules():
        if isinstance(layer, bitsandbytes.nn.Linear4bit):
            weight = layer.weight
            exact = bitsandbytes.functional.dequantize_4bit(weight.data, weight.quant_state)
            plain.get_submodule(name).weight.data = exact.float()
    batch = batch_of(decoder_rows(4), encoder_decoder=False)
    gradients = []
    for model in (quantised, plain):
        adapted = lora.attach(model, spec)
        with torch.inference_mode():
            loss_sum(adapted, adapted.get_base_model(), batch)
        loss_sum(adapted, adapted.get_base_model(), batch).backward()
        gradients.append({n: p.grad for n, p in adapted.named_parameters() if p.requires_grad})

    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("quantization", [None, "nf4"])
def test_an_encoder_decoder_trains(quantization: str | None, seq2seq: Path, tmp_path: Path) -> None:
    """T5 trains by the same call, its labels apart from its input."""
    spec = spec_of(
        seq2seq, **SEQ2SEQ, quantization=quantization, learning_rate=2e-2, max_grad_norm=1.0,
        epochs=4.0,
    )  # fmt: skip
    rows = encoder_rows(18)
    trained = train(job_of(seq2seq, tmp_path, spec=spec, rows=rows, validation=rows), silent)

    assert fell(trained, 5.0)  # of more than 100
    assert trained.n_tokens == 4 * sum(len(r.input_ids) + len(r.labels) for r in rows)
    model = load_model(replace(spec.base, adapter=str(trained.folder)), seq2seq)
    assert model.config.is_encoder_decoder


def test_micro_batches_and_checkpointing_change_nothing(base: Path, tmp_path: Path) -> None:
    """One forward pass of four rows is four of one, and recomputed activations are the same."""
    plain = spec_of(base, lora=NO_DROPOUT, micro_batch=4)
    once = train(job_of(base, tmp_path / "a", spec=plain), silent)
    single = train(job_of(base, tmp_path / "b", spec=replace(plain, micro_batch=1)), silent)
    again = replace(plain, gradient_checkpointing=True)
    recomputed = train(job_of(base, tmp_path / "c", spec=again), silent)

    assert losses(once) == pytest.approx(losses(single), abs=1e-4)
    assert losses(once) == pytest.approx(losses(recomputed), abs=1e-6)


@pytest.mark.fast
def test_steps_end_where_max_steps_says(base: Path, tmp_path: Path) -> None:
    """The last step is evaluated although no epoch ends there."""
    trained = train(job_of(base, tmp_path, spec=spec_of(base, max_steps=7)), silent)

    assert trained.n_steps == 7
    assert [p.step for p in trained.curve if p.validation_loss is not None] == [0, 5, 7]


def test_without_validation_rows_the_last_adapter_is_taken(base: Path, tmp_path: Path) -> None:
    """The result says so."""
    trained = train(job_of(base, tmp_path, validation=()), silent)

    assert trained.chosen == "last"
    assert trained.best_step == trained.n_steps == 10
    assert trained.losses.validation_best is None


PATIENT: dict[str, Any] = {"epochs": 6.0, "evaluations": 2, "patience": 3}
"""Thirty steps, evaluated after 3, 5, 8, 10 and so on, unless it stops early."""


def test_training_stops_early_and_returns_the_best(base: Path, tmp_path: Path) -> None:
    """After three evaluations without a lower loss it ends; the adapter is the best one's."""
    with worse_away_from(5):
        trained = train(job_of(base, tmp_path, spec=spec_of(base, **PATIENT)), silent)

    seen = {p.step: p.validation_loss for p in trained.curve if p.validation_loss is not None}
    assert list(seen) == [0, 3, 5, 8, 10, 13]
    assert (trained.best_step, trained.n_steps) == (5, 13)
    job = job_of(base, Path("unused"))
    model = load_model(replace(job.spec.base, adapter=str(trained.folder)), base)
    batch = batch_of(job.validation, encoder_decoder=False)
    n_labels = int((batch["labels"] != IGNORED).sum())
    found = float(loss_sum(model, model, batch).detach()) / n_labels
    assert found == pytest.approx(seen[trained.best_step], rel=1e-5)


def test_samples_are_written_and_change_nothing(base: Path, tmp_path: Path, whole: Trained) -> None:
    """The sampler sees a model in evaluation mode; what it draws does not move the training."""
    train(job_of(base, tmp_path / "without"), silent)
    expected = random.random(), np.random.rand()

    def sample(model: Any) -> list[dict[str, object]]:
        random.random()
        np.random.rand()
        torch.rand(3)
        ids = model.generate(input_ids=torch.tensor([[5, 6, 7]]), max_new_tokens=3, do_sample=True)
        return [{"training": model.training, "ids": ids[0].tolist()}]

    trained = train(job_of(base, tmp_path, sample=sample), silent)

    assert (random.random(), np.random.rand()) == expected
    assert trained.samples is not None
    said = lines(trained.samples)
    assert [line["step"] for line in said] == [0, 5, 10]
    assert not any(line["training"] for line in said)
    same(trained, whole)


def test_the_curve_has_the_length_of_samples_and_how_many_were_cut() -> None:
    """Means over those that were answered; without any there is no point."""
    said: list[dict[str, Any]] = [
        {"n_tokens": 3, "stop": "eos"}, {"n_tokens": 8, "stop": "length"}, {"error": "no numbers"},
    ]  # fmt: skip

    assert lengths(said) == {"sample_tokens": 5.5, "samples_cut": 0.5}
    assert lengths(said[2:]) == {}


def test_the_limit_of_samples_changes_no_adapter(base: Path) -> None:
    """So that adapters of earlier versions keep their ids."""
    spec = spec_of(base)

    assert replace(spec, sample_tokens=8).digest("b", "d") == spec.digest("b", "d")
    assert "sample_tokens" not in spec.identity()


def test_tensorboard_gets_the_curve(base: Path, tmp_path: Path) -> None:
    """Losses of steps and evaluations stand in the event file of the attempt."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    job = job_of(base, tmp_path, spec=spec_of(base, trackers=("tensorboard",)))

    trained = train(job, silent)

    events = accumulator.EventAccumulator(str(job.place / "tensorboard"))
    events.Reload()
    told = [event.value for event in events.Scalars("train/loss")]
    assert told == pytest.approx([p.loss for p in trained.curve if p.loss is not None])
    assert len(events.Scalars("eval/loss")) == 3


def test_nothing_is_printed(
    base: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """No progress bar and no advice of libraries; a line of log an evaluation."""
    with caplog.at_level(logging.INFO):
        train(job_of(base, tmp_path), silent)

    assert capfd.readouterr() == ("", "")
    ours = [r for r in caplog.records if r.name.startswith("empathy_core")]
    assert len(ours) == 3
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


# ---------------------------------------------------------------------------- ends


def test_killed_twice_it_ends_as_if_undisturbed(base: Path, tmp_path: Path, whole: Trained) -> None:
    """Kill -9 in the first and in the second epoch; curve and adapter agree within 1e-6."""
    asked = {"folder": str(base), "work": str(tmp_path)}
    first = child(asked | {"attempt": "a", "kill_at": 4})
    assert first.returncode == -signal.SIGKILL, first.stderr
    log = lines(tmp_path / "a" / "log.jsonl")
    assert log[-1]["step"] == 4  # after the checkpoint of step 3
    second = child(asked | {"attempt": "b", "kill_at": 8})
    assert second.returncode == -signal.SIGKILL, second.stderr
    steps = [line["step"] for line in lines(tmp_path / "b" / "log.jsonl") if line["loss"]]
    assert steps == [*range(1, 9)]

    trained = train(job_of(base, tmp_path, attempt="c"), silent)

    same(trained, whole)
    assert [p.loss for p in trained.curve if p.step > 6] != []
    assert [line["step"] for line in lines(trained.log)] == [p.step for p in whole.curve]


def test_one_attempt_goes_on_in_its_own_folder(base: Path, tmp_path: Path, whole: Trained) -> None:
    """Under the same name the log's lines after the checkpoint are replaced, not doubled.

    The checkpoint it goes on from is that of the end of the first epoch.
    """
    asked = {"folder": str(base), "work": str(tmp_path), "attempt": "first", "kill_at": 6}
    assert child(asked).returncode == -signal.SIGKILL
    assert checkpoints.newest(tmp_path, "a" * 64) == tmp_path / "first" / "checkpoint-5"

    trained = train(job_of(base, tmp_path), silent)

    same(trained, whole)
    assert [line["step"] for line in lines(trained.log)] == [p.step for p in whole.curve]


def test_best_and_patience_survive_a_kill(base: Path, tmp_path: Path) -> None:
    """Killed after the best evaluation, the next attempt stops where an undisturbed one does."""
    spec = spec_of(base, **PATIENT)
    asked = {"folder": str(base), "work": str(tmp_path / "cut"), "spec": PATIENT, "best_step": 5}
    with worse_away_from(5):
        undisturbed = train(job_of(base, tmp_path / "whole", spec=spec), silent)
        killed = child(asked | {"attempt": "a", "kill_at": 12})
        assert killed.returncode == -signal.SIGKILL, killed.stderr

        trained = train(job_of(base, tmp_path / "cut", spec=spec, attempt="b"), silent)

    same(trained, undisturbed)
    assert (trained.best_step, trained.n_steps) == (5, 13)


def test_a_finished_training_is_not_trained_on(base: Path, tmp_path: Path) -> None:
    """Killed between the last checkpoint and the result, nothing but the result is left to do."""
    for name, spec in (("short", spec_of(base, max_steps=3)), ("early", spec_of(base, **PATIENT))):
        with worse_away_from(5):
            done = train(job_of(base, tmp_path / name, spec=spec), silent)
            shutil.copytree(done.folder, kept := tmp_path / f"{name}-kept")
            shutil.rmtree(done.folder)
            heard: list[StepReport] = []

            trained = train(job_of(base, tmp_path / name, spec=spec, attempt="b"), heard.append)

        assert heard == []
        same(trained, replace(done, folder=kept))


def test_asked_to_stop_it_writes_a_checkpoint_at_once(
    base: Path, tmp_path: Path, whole: Trained
) -> None:
    """The checkpoint is of the very step; the next attempt ends as if undisturbed."""
    asked: list[int] = []

    def soon() -> bool:
        asked.append(1)
        return len(asked) == 2

    saved: list[int] = []
    with pytest.raises(Interrupted) as stopped:
        train(job_of(base, tmp_path, stop_soon=soon, saved=saved.append), silent)
    assert stopped.value.step == 2
    assert saved == [2]
    assert stopped.value.checkpoint == tmp_path / "first" / "checkpoint-2"

    same(train(job_of(base, tmp_path, attempt="second"), silent), whole)


def test_asked_to_stop_at_the_last_step_it_ends(base: Path, tmp_path: Path) -> None:
    """There is nothing left to go on with."""
    spec = spec_of(base, max_steps=1)
    trained = train(job_of(base, tmp_path, spec=spec, stop_soon=lambda: True), silent)

    assert trained.n_steps == 1


def stopped_at(step: int) -> Callable[[], bool]:
    """Return what is true when asked for the *step*-th time."""
    asked: list[int] = []

    def soon() -> bool:
        asked.append(1)
        return len(asked) >= step

    return soon


def interrupted(job: TrainingJob, step: int) -> Path:
    """Train for some steps; return the checkpoint."""
    with pytest.raises(Interrupted) as stopped:
        train(replace(job, stop_soon=stopped_at(step)), silent)
    return stopped.value.checkpoint


def test_an_incomplete_checkpoint_is_passed_over(
    base: Path, tmp_path: Path, whole: Trained, caplog: pytest.LogCaptureFixture
) -> None:
    """A marker that is missing, or files that are not as long as it says, do not count."""
    newest = interrupted(job_of(base, tmp_path), 7)
    assert newest.name == "checkpoint-7"
    torn = newest / "optimizer.pt"
    torn.write_bytes(torn.read_bytes()[:-10])
    bare = tmp_path / "other" / "checkpoint-9"
    bare.mkdir(parents=True)

    trained = train(job_of(base, tmp_path, attempt="second"), silent)

    assert "checkpoint-7 is not complete" in caplog.text
    assert "checkpoint-9 is not complete" in caplog.text
    same(trained, whole)


def test_a_checkpoint_that_goes_while_it_is_copied_is_passed_over(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other attempt may still run and remove its old ones."""
    newest = interrupted(job_of(base, tmp_path), 7)
    copy = shutil.copytree

    def gone(source: Path, *rest: Any) -> Path:
        if source == newest:
            shutil.rmtree(newest)
        return copy(source, *rest)

    monkeypatch.setattr(shutil, "copytree", gone)
    found = checkpoints.adopt(tmp_path, tmp_path / "second", "a" * 64)

    assert found == tmp_path / "second" / "checkpoint-6"


def test_a_checkpoint_of_another_configuration_is_refused(base: Path, tmp_path: Path) -> None:
    """Both identities are named, and what to remove."""
    interrupted(job_of(base, tmp_path), 1)

    with pytest.raises(ModelError, match=r"a{16}.*b{16}.*remove .*first"):
        train(job_of(base, tmp_path, attempt="second", identity="b" * 64), silent)


def test_another_attempts_folder_is_left_as_it_is(base: Path, tmp_path: Path) -> None:
    """The second attempt reads the first one's checkpoint and writes to its own folder only."""
    interrupted(job_of(base, tmp_path), 7)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "first").rglob("*")}

    train(job_of(base, tmp_path, attempt="second"), silent)

    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "first").rglob("*")} == before


def test_two_processes_train_as_one(base: Path, tmp_path: Path) -> None:
    """Each takes half of every step's micro-batches; curve and adapter agree within 1e-5.

    The main one is killed in the second epoch, with it the other; another pair goes on.
    """
    spec = spec_of(base, lora=NO_DROPOUT)
    alone = train(job_of(base, tmp_path / "one", spec=spec), silent)
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    asked = {
        "folder": str(base), "work": str(tmp_path / "two"), "attempt": "a",
        "spec": {"lora": {"r": 4, "alpha": 8, "dropout": 0.0}},
    }  # fmt: skip

    killed = child(asked | {"kill_at": 8}, *launcher)
    assert checkpoints.newest(tmp_path / "two", "a" * 64) == tmp_path / "two/a/checkpoint-6", (
        killed.stderr
    )
    done = child(asked | {"attempt": "b"}, *launcher)

    assert done.returncode == 0, done.stderr
    both = lines(tmp_path / "two" / "b" / "log.jsonl")
    assert [(p.step, p.n_tokens) for p in alone.curve] == [
        (line["step"], line["n_tokens"]) for line in both
    ]
    told = [line["validation_loss"] if line["loss"] is None else line["loss"] for line in both]
    assert told == pytest.approx(losses(alone), abs=1e-5)
    weights = adapter(tmp_path / "two" / "b" / "final")
    for name, weight in adapter(alone.folder).items():
        torch.testing.assert_close(weight, weights[name], atol=1e-5, rtol=0)


# ---------------------------------------------------------------------------- bad input


def test_a_loss_that_is_not_finite_stops_the_training(base: Path, tmp_path: Path) -> None:
    """Step, examples and the last good checkpoint are named; the checkpoint is kept."""
    spec = spec_of(
        base, learning_rate=1e38, max_grad_norm=0.0, checkpoint_steps=1, warmup=0.0, max_steps=5
    )
    heard: list[StepReport] = []
    with pytest.raises(ModelError, match=r"loss of step 2 is not a finite number") as stopped:
        train(job_of(base, tmp_path, spec=spec), heard.append)

    job = job_of(base, tmp_path)
    lengths = [len(row.input_ids) for row in job.rows]
    micros = schedule(lengths, spec, 0)[1]
    told = str(stopped.value)
    assert any(all(job.rows[i].example in told for i in micro) for micro in micros)
    assert job.rows[schedule(lengths, spec, 0)[0][0][0]].example not in told
    assert "checkpoint-1" in told
    assert checkpoints.newest(tmp_path, job.identity) == tmp_path / "first" / "checkpoint-1"
    assert [report.step for report in heard] == [1]


def test_a_gradient_that_is_not_finite_stops_the_training(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finite loss whose gradient overflowed is no step either."""
    monkeypatch.setattr(
        "accelerate.Accelerator.clip_grad_norm_", lambda *_: torch.tensor(torch.inf)
    )

    with pytest.raises(ModelError, match=r"gradient of step 1 is not.*q0\d\d.*no checkpoint"):
        train(job_of(base, tmp_path), silent)


def test_an_adapter_without_gradients_stops_the_training(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of the adapter that gets no gradient would stay at its start, silently."""
    model = load_model(job_of(base, tmp_path).spec.base, base)
    layer = model.model.layers[0].self_attn.q_proj
    layer.register_forward_hook(lambda _m, _i, out: out.detach())
    monkeypatch.setattr("empathy_core.training.loop.trainer.load_model", lambda *_: model)
    # the hook stands on the base layer, so only what lies below it loses its gradient
    model.model.layers[0].register_forward_hook(lambda _m, _i, out: out.detach())

    with pytest.raises(
        ModelError, match=r"4 of 8 tensors of the adapter got no gradient.*layers\.0"
    ):
        train(job_of(base, tmp_path), silent)


def test_no_rows_are_an_error(base: Path, tmp_path: Path) -> None:
    """Nothing is loaded for them."""
    with pytest.raises(DataError, match="no training rows"):
        train(job_of(base, tmp_path, rows=()), silent)


def test_a_batch_that_cannot_be_dealt_is_refused(base: Path, tmp_path: Path) -> None:
    """The three numbers are named."""
    with pytest.raises(ConfigError, match=r"batch_size = 4.*1 process.*micro-batches of 3"):
        train(job_of(base, tmp_path, spec=spec_of(base, micro_batch=3)), silent)


def test_a_full_disk_is_found_before_training(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Need and room are named."""
    usage = shutil.disk_usage(tmp_path)._replace(free=4_000_000)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: usage)
    heard: list[StepReport] = []

    with pytest.raises(StorageError, match=r"4 MB free.*1,792 trained weights need 4 MB"):
        train(job_of(base, tmp_path), heard.append)

    assert heard == []


@pytest.mark.parametrize(
    "raised",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("[enforce fail at inline_container.cc] . PytorchStreamWriter failed writing"),
    ],
    ids=["system", "torch"],
)
def test_a_disk_that_fills_up_leaves_the_last_checkpoint(
    raised: Exception, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Trained
) -> None:
    """What libraries raise becomes a StorageError, and the next attempt goes on."""
    save, calls = torch.save, []

    def full(value: object, path: str) -> None:
        calls.append(path)
        if "checkpoint-5" in str(path):
            raise raised
        save(value, path)

    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", full)
        with pytest.raises(StorageError, match="no space left"):
            train(job_of(base, tmp_path), silent)
    left = checkpoints.newest(tmp_path, "a" * 64)
    assert left == tmp_path / "first" / "checkpoint-3"

    same(train(job_of(base, tmp_path, attempt="second"), silent), whole)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a file system")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.parametrize("left_kb", [0, 8, 20, 48])
def test_a_disk_that_is_really_full(
    left_kb: int, base: Path, small_disk: Path, whole: Trained
) -> None:
    """Wherever the room ends, in log, adapter, optimiser or our own files, nothing is lost."""
    filler, work = small_disk / "filler", small_disk / "work"

    def fill(report: StepReport) -> None:
        if report.step == 4:
            with filler.open("wb", buffering=0) as file, suppress(OSError):
                while file.write(bytes(4096)):
                    pass
            os.truncate(filler, filler.stat().st_size // 4096 * 4096 - left_kb * 1024)

    with pytest.raises(StorageError, match="no space left"):
        train(job_of(base, work), fill)
    filler.unlink()
    left = checkpoints.newest(work, "a" * 64)
    assert left == work / "first" / "checkpoint-3"

    same(train(job_of(base, work, attempt="second"), silent), whole)


def test_other_errors_of_torch_are_not_called_a_full_disk(tmp_path: Path) -> None:
    """Only what says so is."""
    with pytest.raises(RuntimeError, match="shape"), checkpoints.full_disk(tmp_path):
        raise RuntimeError("shape mismatch")


def test_float16_is_refused(base: Path, tmp_path: Path) -> None:
    """Without loss scaling it overflows."""
    with pytest.raises(ConfigError, match=r"float16.*bfloat16"):
        train(job_of(base, tmp_path, spec=spec_of(base, dtype="float16")), silent)


def test_bfloat16_on_an_old_gpu_is_refused(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Emulated bfloat16 does not count."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla V100")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda emulated=True: emulated)

    with pytest.raises(ConfigError, match=r"Tesla V100.*float32"):
        machine.check_machine(spec_of(base, dtype="bfloat16"))


def test_a_missing_bitsandbytes_is_named(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the line that installs it."""
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)

    with pytest.raises(ModelError, match="pip install bitsandbytes"):
        machine.check_machine(spec_of(base, quantization="nf4"))
    machine.check_machine(spec_of(base))


def test_trackers_are_checked_first(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown one lists the known; a missing one says what to install."""
    with pytest.raises(UnknownName, match="Did you mean 'tensorboard'"):
        machine.check_machine(spec_of(base, trackers=("tensorbord",)))
    with pytest.raises(ConfigError, match="pip install comet-ml"):
        machine.check_machine(spec_of(base, trackers=("comet_ml",)))


def test_progress_comes_back_equal() -> None:
    """What a checkpoint says of the curve is equal to the bit."""
    progress = TrainingProgress(5)
    progress.evaluated(0, 0.1, 2)
    progress.evaluated(1, 1 / 3, 2)
    assert not progress.evaluated(2, 1 / 2, 2)

    again = TrainingProgress.read(json.loads(json.dumps(progress.as_json())))

    assert again == progress
    assert again.evaluated(3, 1 / 2, 2)
    assert again.best_step == 1
