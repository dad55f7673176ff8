"""Training on several GPUs of a node: processes under accelerate, and what their parent hears.

``python -m jobs.stages.distributed <run> <plan> <fine-tune id> <attempt> <parent>`` is one of them.
"""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

from pydantic import TypeAdapter

from empathy_core import data, errors
from empathy_core.errors import EmpathyError, ModelError
from empathy_core.store import RunDir
from empathy_core.training.loop.job import Interrupted, StepReport, Trained, TrainingJob
from empathy_core.training.rows import prepare as preparing
from empathy_core.training.spec import FinetuneSpec
from jobs.planning.plan import Plan
from jobs.planning.plan_file import read_plan, write_plan

log = logging.getLogger(__name__)

_SAID = "training: "
"""Begins a line of a process that its parent reads; JSON follows."""


def n_processes(spec: FinetuneSpec) -> int:
    """Return how many processes train: as said, or one for each GPU.

    Raises:
        ModelError: More are asked for than there are GPUs.
    """
    import torch

    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    wanted = spec.processes or max(n_gpus, 1)
    if n_gpus and wanted > n_gpus:
        msg = (
            f"{spec.name}: processes = {wanted}, but this machine shows {n_gpus} GPUs; expected "
            "one for each; ask for more under [slurm.finetune], or lower processes"
        )
        raise ModelError(msg)
    return wanted


class Watch(Protocol):
    """Hears of every step, and knows whether the training is to stop."""

    def __call__(self, report: StepReport) -> None:
        """Hear of a step."""
        ...

    def stop_soon(self) -> bool:
        """Tell whether a checkpoint is to be written and the training to end."""
        ...


def launched(run: RunDir, plan: Plan, job: TrainingJob, n: int, watch: Watch) -> Trained:
    """Train in *n* processes, tell *watch* of every step, and return what came of it.

    Raises:
        Interrupted: *watch* asked for an end, and a checkpoint was written.
        EmpathyError: As a process said it, or with its last words.
    """
    planned = plan.finetune_of(job.spec.name)
    path = job.place / "plan.json"
    write_plan(plan, path)
    command = [*_processes(n), "-m", "jobs.stages.distributed", str(run.root), str(path)]
    command += [planned.id if planned else "", job.attempt, str(os.getpid())]
    said: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout or ():
            if not line.startswith(_SAID):
                said = [*said[-20:], line.rstrip()]
                log.info("%s", line.rstrip())
                continue
            word = json.loads(line.removeprefix(_SAID))
            if "step" not in word:
                return _ended(word)
            watch(StepReport(**word))
            if watch.stop_soon():
                _stop_file(job).touch()
    last = " ".join(said[-3:])[-500:] or f"exit code {process.returncode}"
    msg = (
        f"{job.spec.name}: the training processes ended without a result ({last}); expected one "
        "adapter; read the log of this task, then run the same command again"
    )
    raise ModelError(msg)


def _processes(n: int) -> list[str]:
    """Return what starts *n* processes of this node; accelerate finds itself among them.

    accelerate's own launcher would start a single one where there is no GPU.
    """
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n}"]


def _stop_file(job: TrainingJob) -> Path:
    return job.place / "stop"


def _ended(word: Mapping[str, Any]) -> Trained:
    if "trained" in word:
        return TypeAdapter(Trained).validate_python(word["trained"])
    if "interrupted" in word:
        raise Interrupted(int(word["interrupted"]), Path(word["checkpoint"]))
    raise getattr(errors, str(word["kind"]), ModelError)(str(word["error"]))


# ---------------------------------------------------------------------------- one process


def main(root: str, plan_path: str, id_: str, attempt: str, parent: str) -> None:
    """Train as one of several processes; the main one tells the parent."""
    from empathy_core.training.loop.trainer import train
    from jobs.stages.training_job import training_job

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    log.info("process %s of %s", os.environ.get("RANK"), os.environ.get("WORLD_SIZE"))
    run, planned = RunDir(Path(root)), read_plan(Path(plan_path)).finetune(id_)
    prepared = preparing.prepare(planned.spec, data.load(run))
    job = training_job(run, planned, prepared, attempt)
    stop = _stop_file(job)

    def stop_soon() -> bool:
        _end_with(int(parent))
        return stop.exists()

    try:
        trained = train(replace(job, stop_soon=stop_soon), lambda report: _say(asdict(report)))
    except Interrupted as saved:
        _say({"interrupted": saved.step, "checkpoint": str(saved.checkpoint)})
    except EmpathyError as error:
        _say({"error": str(error), "kind": type(error).__name__})
    else:
        _say({"trained": TypeAdapter(Trained).dump_python(trained, mode="json")})


def _say(word: Mapping[str, Any]) -> None:
    """Tell the parent, from the main process alone."""
    if os.environ.get("RANK", "0") == "0":
        sys.stdout.write(f"\n{_SAID}{json.dumps(word)}\n")
        sys.stdout.flush()


def _end_with(parent: int) -> None:
    """End at once if the parent is gone: nobody would take the adapter."""
    try:
        os.kill(parent, 0)
    except ProcessLookupError:
        os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
