"""Trains one adapter: from located weights and tokenised rows to a folder peft can load.

An attempt may end anywhere, by a kill or because it was asked to, and another one, under another
name, goes on from the newest complete checkpoint as if nothing had been.
"""

import logging
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar, cast

from empathy_core.backends.loading import load_model
from empathy_core.errors import DataError, EmpathyError, ModelError
from empathy_core.store import make_dir, replace_folder
from empathy_core.training.loop import checkpoints, lora
from empathy_core.training.loop.batches import MicroBatches, accumulated, total_steps
from empathy_core.training.loop.job import (
    Interrupted,
    Losses,
    StepReport,
    Trained,
    TrainingJob,
)
from empathy_core.training.loop.machine import check_machine, check_space
from empathy_core.training.loop.progress import Lines, TrainingProgress
from empathy_core.training.loop.train_loop import (
    SAMPLES,
    EvaluationMixin,
    PlanMixin,
    Run,
    SavingMixin,
    StepsMixin,
)

__all__ = ["Interrupted", "Losses", "StepReport", "Trained", "TrainingJob", "train"]

log = logging.getLogger(__name__)

T = TypeVar("T")

LOG = "log.jsonl"


def train(job: TrainingJob, listen: Callable[[StepReport], None]) -> Trained:
    """Train, and return the adapter of the lowest validation loss, or the last.

    Under ``accelerate launch`` or ``torchrun`` every process calls this; each takes its share of
    every optimiser step, and only the main one writes and calls *listen*.

    Raises:
        ConfigError: The settings ask for what this machine or installation cannot do.
        DataError: There are no rows.
        ModelError: The base cannot be used; a loss is not finite; a checkpoint is another's.
        StorageError: The checkpoints do not fit on the disk.
        Interrupted: ``job.stop_soon`` was true; a checkpoint was written.
    """
    if not job.rows:
        msg = f"{job.spec.name}: there are no training rows; expected one or more; see the audit"
        raise DataError(msg)
    with _quiet():
        check_machine(job.spec)
        state = _processes()
        accumulation = accumulated(job.spec, state.num_processes)
        resumed = _shared(state, lambda: _prepare(job))
        micro_batches = MicroBatches(job)
        progress = _progress(job, resumed, micro_batches)
        model = _model(job)
        weights = lora.trainable(model)
        _shared(state, lambda: check_space(job.work, weights[0]))
        run = Run(
            job=job,
            progress=progress,
            batches=micro_batches,
            accumulation=accumulation,
            listen=listen,
            log=_log(job, progress) if state.is_main_process else None,
            latest=resumed,
        )
        if not progress.finished:
            with _memory_errors(job):
                _train(job, model, run, resumed)
    latest = _shared(state, lambda: cast("Path", run.latest))  # each end writes one
    if not progress.finished:
        raise Interrupted(checkpoints.step_of(latest), latest)
    return _shared(state, lambda: _result(job, latest, weights))


def _log(job: TrainingJob, progress: TrainingProgress) -> Lines:
    """Write what a checkpoint says of the log, in the place of what a killed attempt wrote."""
    if progress.samples:
        Lines(job.place / SAMPLES, progress.samples)
    return Lines(job.place / LOG, map(asdict, progress.curve))


def _processes() -> Any:
    """Return accelerate's account of the processes, each on a GPU of its own if there are any."""
    import torch
    from accelerate import PartialState

    state = PartialState(cpu=not torch.cuda.is_available())
    if torch.cuda.is_available():
        torch.cuda.set_device(state.device)
    return state


def _shared(state: Any, make: Callable[[], T]) -> T:
    """Return what *make* gives in the main process, in all of them; or raise what it raises."""
    from accelerate.utils import broadcast_object_list

    outcome: list[Any] = [None, None]
    if state.is_main_process:
        try:
            outcome[0] = make()
        except EmpathyError as error:
            outcome[1] = error
    broadcast_object_list(outcome)
    if outcome[1] is not None:
        raise outcome[1]
    return cast("T", outcome[0])


# ---------------------------------------------------------------------------- before


def _prepare(job: TrainingJob) -> Path | None:
    """Make this attempt's folder, and return the checkpoint to go on from; null to start."""
    make_dir(job.place)
    shutil.rmtree(job.place / checkpoints.PARTIAL, ignore_errors=True)
    found = checkpoints.adopt(job.work, job.place, job.identity)
    if found is not None:
        log.info("goes on after step %d from %s", checkpoints.step_of(found), found)
    return found


def _progress(
    job: TrainingJob, resumed: Path | None, micro_batches: MicroBatches
) -> TrainingProgress:
    if resumed is not None:
        return TrainingProgress.read(checkpoints.read_progress(resumed))
    return TrainingProgress(total_steps(job.spec, micro_batches.steps_per_epoch))


def _model(job: TrainingJob) -> Any:
    with _memory_errors(job):
        base = load_model(job.spec.base, job.folder)
        return lora.attach(base, job.spec)


@contextmanager
def _memory_errors(job: TrainingJob) -> Iterator[None]:
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        msg = (
            f"{job.spec.name}: a step of {job.spec.micro_batch} rows of up to "
            f"{job.spec.max_tokens} tokens does not fit in the GPU's memory; expected room for "
            "it; lower micro_batch or max_tokens, set gradient_checkpointing = true, or use a "
            "larger GPU"
        )
        raise ModelError(msg) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep libraries' advice out of the log; errors are raised all the same."""
    from transformers.utils import logging as theirs

    before = theirs.get_verbosity()
    theirs.set_verbosity_error()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # looks for another package
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            theirs.set_verbosity(before)


# ---------------------------------------------------------------------------- training


def _train(job: TrainingJob, model: Any, run: Run, resumed: Path | None) -> None:
    import torch
    from transformers import Trainer, TrainerCallback
    from transformers.trainer_callback import PrinterCallback

    steps = type("Steps", (StepsMixin, EvaluationMixin, SavingMixin, Trainer), {})
    trainer = steps(model=model, args=_arguments(run, start=resumed is None))
    plan = type("Plan", (PlanMixin, TrainerCallback), {})
    trainer.run = run
    trainer.add_callback(plan(trainer))
    trainer.remove_callback(PrinterCallback)
    for callback in trainer.callback_handler.callbacks:
        if type(callback).__name__ == "TensorBoardCallback":
            callback.logging_dir = str(make_dir(job.curves or job.place / "tensorboard"))
    if trainer.args.process_index:  # else the masks of dropout are those of the main process
        torch.manual_seed(job.spec.seed + trainer.args.process_index)
    trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)


def _arguments(run: Run, *, start: bool) -> Any:
    """Return transformers' settings; what is due when is said by ``PlanMixin``.

    The learning rates are ``StepsMixin``'s.
    """
    import torch
    from transformers import TrainingArguments

    spec = run.job.spec
    return TrainingArguments(
        output_dir=str(run.job.place),
        max_steps=run.progress.n_steps,
        per_device_train_batch_size=spec.micro_batch,
        gradient_accumulation_steps=run.accumulation,
        learning_rate=spec.learning_rate,
        weight_decay=spec.weight_decay,
        max_grad_norm=spec.max_grad_norm,
        seed=spec.seed,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        accelerator_config={"even_batches": False},
        ddp_find_unused_parameters=False,
        logging_steps=1,
        logging_nan_inf_filter=False,  # it would hide them
        eval_strategy="no",
        eval_on_start=start,
        save_strategy="no",
        report_to=list(spec.trackers),
        run_name=spec.name,
        disable_tqdm=True,
        log_level="error",
        log_level_replica="error",
    )


# ---------------------------------------------------------------------------- after


def _result(job: TrainingJob, last: Path, weights: tuple[int, int]) -> Trained:
    """Put the chosen adapter, log and samples in place, from the last checkpoint alone."""
    progress = TrainingProgress.read(checkpoints.read_progress(last))
    best = progress.best_step
    final, made = job.place / "final", job.place / checkpoints.PARTIAL / "final"
    checkpoints.copy_adapter(last if best is None else last / "best", made)
    replace_folder(made, final)
    return Trained(
        folder=final,
        log=job.place / LOG,
        samples=job.place / SAMPLES if progress.samples else None,
        curve=tuple(progress.curve),
        losses=progress.losses(),
        best_step=checkpoints.step_of(last) if best is None else best,
        n_steps=checkpoints.step_of(last),
        n_tokens=progress.n_tokens,
        seconds=progress.seconds,
        n_trainable=weights[0],
        n_weights=weights[1],
        chosen="last" if best is None else "validation",
    )
