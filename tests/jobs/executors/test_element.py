"""An array task before it computes: the versions and the GPU that it finds."""

from dataclasses import replace

import pytest
import torch

from empathy_core.errors import ModelError, RunMismatch, StorageError
from empathy_core.prompts import prompt
from empathy_core.types import Condition, Decoding, ModelSpec
from jobs.executors.failures import BadNode, NotDone, kind
from jobs.executors.slurm.array_task import Advances, check_gpu, check_versions
from jobs.executors.slurm.submissions import Submission
from jobs.planning.plan import Plan, PlanNotes
from jobs.planning.provenance import versions
from jobs.stages.protocol import Progress

CONDITION = Condition(ModelSpec("m", "M", "hf", "decoder", "x/y"), prompt("none"), Decoding())
PLAN = Plan(
    (CONDITION,), "d", 1, {"m": 1}, 1, "error", (), PlanNotes(),
    provenance=versions(),
)  # fmt: skip
SUBMISSION = Submission("0001-generate-m", "generate", "m", 1, ((0,),), "0001.json", ())


def test_other_versions_are_named():
    """Each package that differs stands in the message; the planned ones pass."""
    check_versions(PLAN)
    other = replace(PLAN, provenance={**versions(), "version of polars": "0.1"})
    with pytest.raises(RunMismatch, match=r"polars .*\(planned: 0\.1\)"):
        check_versions(other)


def test_only_what_survives_an_end_is_an_advance(capfd: pytest.CaptureFixture[str]):
    """Steps without a checkpoint, and units without a piece, are done again: they do not count."""
    advances = Advances()
    for _ in range(3):
        advances.add(Progress(1, kept=False))
    before = advances.advanced(), capfd.readouterr().out
    for _ in range(3):
        advances.add(Progress(0))

    assert before == (False, "")
    assert advances.advanced()
    assert capfd.readouterr().out.count('"event": "advanced"') == 1


@pytest.mark.parametrize("asked", [{"gpus": 1}, {"gres": "gpu:a100:2"}, {"gres": "gpu"}])
def test_a_broken_gpu_is_no_reason_to_go_on_without(
    monkeypatch: pytest.MonkeyPatch, asked: dict[str, object]
):
    """With torch built for CUDA and no usable GPU, the node is named as bad."""
    monkeypatch.setattr(torch.version, "cuda", "12.4")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BadNode, match="no usable GPU"):
        check_gpu(PLAN, replace(SUBMISSION, asked=asked))
    check_gpu(PLAN, SUBMISSION)  # none was asked for
    check_gpu(PLAN, replace(SUBMISSION, asked=asked, stage="score", key="lexical"))


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (MemoryError(), "out of memory"),
        (ModelError("one prompt alone does not fit in memory"), "out of memory"),
        (RuntimeError("CUDA error: device-side assert triggered"), "bad node"),
        (BadNode("no usable GPU"), "bad node"),
        (StorageError("no space left"), "disk"),
        (ModelError("weights are absent"), "mistake"),
        (ValueError("a bug"), "exception"),
        (NotDone("its results are not there"), "not done"),
    ],
)
def test_failures_have_classes(error: Exception, named: str):
    """What a Python error means for the person who must act on it."""
    assert kind(error) == named
