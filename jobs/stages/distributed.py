"""Training on several GPUs of a node: processes under accelerate, and what their parent hears.

``python -m jobs.stages.distributed <run> <plan> <fine-tune id> <attempt> <parent> <phase>`` is one
of them.
"""

import logging
import os
import subprocess
import sys
from collections import deque
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol, cast

from pydantic import TypeAdapter

from empathy_core.counted import counted
from empathy_core.errors import EmpathyError, ModelError
from empathy_core.store import RunDir
from empathy_core.training.loop.job import Interrupted, StepReport, Trained, TrainingJob
from empathy_core.training.spec import FinetuneSpec
from jobs.planning.plan import Plan
from jobs.planning.plan_file import read_plan, write_plan
from jobs.stages.events import EventSender, failure, raise_failure, received
from jobs.stages.logs import log_progress
from jobs.stages.training_job import Phase, prepared_training, training_job

log = logging.getLogger("jobs.stages.distributed")


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
            f"{spec.name}: processes = {wanted}, but this machine shows "
            f"{counted(n_gpus, 'GPU')}; expected one for each; ask for more under "
            "[slurm.finetune], or lower processes"
        )
        raise ModelError(msg)
    return wanted


class Watch(Protocol):
    """Hears of every step, and knows whether the training is to stop."""

    def __call__(self, report: StepReport) -> None:
        """Hear of a step."""
        ...

    def saved(self, step: int) -> None:
        """Hear that the checkpoint of a step is complete."""
        ...

    def stop_soon(self) -> bool:
        """Tell whether a checkpoint is to be written and the training to end."""
        ...


def train_in_processes(
    run: RunDir, plan: Plan, of: tuple[TrainingJob, Phase], n: int, watch: Watch
) -> Trained:
    """Train a phase's job in *n* processes, tell *watch* of every step, and return what came of it.

    Raises:
        Interrupted: *watch* asked for an end, and a checkpoint was written.
        EmpathyError: As a process said it, or with its last words.
    """
    job, phase = of
    planned = plan.finetune_of(job.spec.name)
    path = job.place / "plan.json"
    write_plan(plan, path)
    command = [*_command(n), "-m", "jobs.stages.distributed", str(run.root), str(path)]
    command += [planned.id if planned else "", job.attempt, str(os.getpid()), phase]
    last_lines: deque[str] = deque(maxlen=3)

    def note(line: str) -> None:
        last_lines.append(line)
        log.info("%s", line)

    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for event in received(process.stdout or (), note):
            if event["event"] == "saved":
                watch.saved(event["step"])
            elif event["event"] == "step":
                watch(StepReport(**event["report"]))
            else:
                return _result(event)
            if watch.stop_soon():
                _stop_file(job).touch()
    last = " ".join(last_lines)[-500:] or f"exit code {process.returncode}"
    msg = (
        f"{job.spec.name}: the training processes ended without a result ({last}); expected one "
        "adapter; read the log of this task, then run the same command again"
    )
    raise ModelError(msg)


def _command(n: int) -> list[str]:
    """Return what starts *n* processes of this node; accelerate finds itself among them.

    accelerate's own launcher would start a single one where there is no GPU.
    """
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n}"]


def _stop_file(job: TrainingJob) -> Path:
    return job.place / "stop"


def _result(event: dict[str, Any]) -> Trained:
    if event["event"] == "interrupted":
        raise Interrupted(int(event["step"]), Path(event["checkpoint"]))
    if event["event"] == "failed":
        raise_failure(event)
    return TypeAdapter(Trained).validate_python(event["trained"])


# ---------------------------------------------------------------------------- one process


def main(root: str, plan_path: str, id_: str, attempt: str, parent: str, phase: str) -> None:
    """Train as one of several processes; the main one tells the parent."""
    from empathy_core.training.loop.trainer import train

    log_progress("%(levelname)s %(name)s: %(message)s")
    log.info("process %s of %s", os.environ.get("RANK"), os.environ.get("WORLD_SIZE"))
    run, planned = RunDir(Path(root)), read_plan(Path(plan_path)).finetune(id_)
    job = training_job(run, planned, prepared_training(run, planned), attempt, cast("Phase", phase))
    stop = _stop_file(job)

    def stop_soon() -> bool:
        _end_with(int(parent))
        return stop.exists()

    def tell_saved(step: int) -> None:
        _send("saved", step=step)

    try:
        job = replace(job, stop_soon=stop_soon, saved=tell_saved)
        trained = train(job, lambda report: _send("step", report=asdict(report)))
    except Interrupted as saved:
        _send("interrupted", step=saved.step, checkpoint=str(saved.checkpoint))
    except EmpathyError as error:
        _send("failed", **failure(error))
    else:
        _send("done", trained=TypeAdapter(Trained).dump_python(trained, mode="json"))


def _send(event: str, **details: Any) -> None:
    """Tell the parent, from the main process alone."""
    if os.environ.get("RANK", "0") == "0":
        sys.stdout.flush()
        EventSender(1).send(event, **details)


def _end_with(parent: int) -> None:
    """End at once if the parent is gone: nobody would take the adapter."""
    try:
        os.kill(parent, 0)
    except ProcessLookupError:
        os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
