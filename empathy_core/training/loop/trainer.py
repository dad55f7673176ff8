"""Trains one adapter: from located weights and tokenised rows to a folder peft can load.

An attempt may end anywhere, by a kill or because it was asked to, and another one, under another
name, goes on from the newest complete checkpoint as if nothing had been.
"""

import logging
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from empathy_core.backends.loading import load_model
from empathy_core.errors import DataError, EmpathyError, ModelError
from empathy_core.store import make_dir, replace_folder
from empathy_core.training.loop import checkpoints, lora, reference
from empathy_core.training.loop.batches import MicroBatches, check_shares, total_steps
from empathy_core.training.loop.job import (
    Interrupted,
    Losses,
    StepReport,
    Trained,
    TrainingJob,
)
from empathy_core.training.loop.machine import check_machine, check_space
from empathy_core.training.loop.objective import Objective
from empathy_core.training.loop.preference import PreferenceObjective
from empathy_core.training.loop.progress import Lines, TrainingProgress
from empathy_core.training.loop.response import ResponseObjective
from empathy_core.training.loop.train_loop import SAMPLES, Run, TrainingLoop
from empathy_core.training.spec import PreferenceRow

__all__ = ["Interrupted", "Losses", "StepReport", "Trained", "TrainingJob", "train"]

log = logging.getLogger(__name__)

T = TypeVar("T")

LOG = "log.jsonl"
PROJECT = "empathy-suite"
"""What trackers call the project; each fine-tune is a run of it."""


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
        check_shares(job.spec, state.num_processes)
        resumed = _shared(state, lambda: _prepare(job))
        model = _model(job)
        job, objective = _objective(job, model, state)
        micro_batches = MicroBatches(job, objective)
        progress = _progress(job, resumed, micro_batches)
        weights = lora.trainable(model)
        _shared(state, lambda: check_space(job.work, weights[0]))
        run = Run(
            job=job,
            objective=objective,
            progress=progress,
            batches=micro_batches,
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
        adapted = lora.attach(base, job.spec)
        if job.preference is not None and job.preference.start is not None:
            lora.go_on_from(adapted, job.preference.start)
        return adapted


def _objective(job: TrainingJob, model: Any, state: Any) -> tuple[TrainingJob, Objective]:
    """Return what is minimised, and the job; of pairs, each with its reference.

    The model is as no step has changed it, whatever checkpoint the training goes on from.
    """
    if job.preference is None:
        return job, ResponseObjective(job)
    tuning = job.preference
    objective = PreferenceObjective(tuning.settings, job.pad, job.encoder_decoder)
    pairs = [row for row in (*job.rows, *job.validation) if isinstance(row, PreferenceRow)]
    known = _shared(state, lambda: reference.stored(tuning))
    absent = reference.lacking(pairs, known)
    if absent:
        log.info("taking the reference's log-probabilities of %d pairs before step 1", len(absent))
        with _memory_errors(job):
            mine = absent[state.process_index :: state.num_processes]
            found = reference.take(objective, model.get_base_model(), job.spec, mine)
        for part in _everyones(found) if state.num_processes > 1 else [found]:
            known |= part
        _shared(state, lambda: reference.keep(known, tuning))
    n_train = len(job.rows)
    rows = reference.with_reference(pairs, known)
    return replace(job, rows=rows[:n_train], validation=rows[n_train:]), objective


def _everyones(found: dict[str, float]) -> list[dict[str, float]]:
    from accelerate.utils import gather_object

    return cast("list[dict[str, float]]", gather_object([found]))


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
    from accelerate import Accelerator

    accelerator = Accelerator(
        cpu=not torch.cuda.is_available(), mixed_precision="no", log_with=_trackers(job)
    )
    accelerator.init_trackers(PROJECT, init_kwargs={"wandb": {"name": job.spec.name}})
    TrainingLoop(run, model, accelerator).train(resumed)
    for tracker in accelerator.trackers:
        tracker.finish()


def _trackers(job: TrainingJob) -> list[Any]:
    """Return the trackers as accelerate takes them: by name, or ready to log into a folder."""
    from accelerate.tracking import TensorBoardTracker

    folder = job.curves or job.place / "tensorboard"
    return [
        TensorBoardTracker("", make_dir(folder)) if name == "tensorboard" else name
        for name in job.spec.trackers
    ]


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
