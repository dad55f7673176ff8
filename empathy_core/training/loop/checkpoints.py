"""Checkpoints: complete or absent, found again by any later attempt, never of another fine-tune.

    <work>/<attempt>/checkpoint-<step>/
      adapter_model.safetensors adapter_config.json optimizer.pt scheduler.pt rng_state*.pth
      trainer_state.json
      progress.json          curve, samples, best step and patience so far
      best/                  the adapter of the best evaluation so far; absent before the first
      complete.json          written last: the fine-tune's identity, and every file's size

A checkpoint holds all that the next attempt needs, so attempts may run side by side, and each may
remove its own old ones, at any time.
"""

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from empathy_core.errors import ModelError, StorageError
from empathy_core.store import (
    disk_errors,
    make_dir,
    read_json,
    replace_folder,
    set_mode,
    write_json,
)
from empathy_core.training.loop.machine import CHECKPOINTS_KEPT
from empathy_core.training.loop.progress import TrainingProgress

log = logging.getLogger(__name__)

PARTIAL = ".partial"
"""Where checkpoints are put together; what is in there was cut off, or is being written."""

MARKER = "complete.json"
ADAPTER_FILES = ("adapter_model.safetensors", "adapter_config.json")


def save_adapter(model: Any, folder: Path) -> None:
    """Write the adapter of *model*, a peft model, to *folder*."""
    # "auto" would ask the Hub whether the base's vocabulary was changed
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # a form that nobody filled in


def copy_adapter(source: Path, target: Path) -> None:
    """Copy the two files of an adapter."""
    with disk_errors(target):
        make_dir(target)
        for name in ADAPTER_FILES:
            shutil.copyfile(source / name, target / name)
            set_mode(target / name)


def step_of(checkpoint: Path) -> int:
    """Return the step in the name of a checkpoint."""
    return int(checkpoint.name.rpartition("-")[2])


def seal(partial: Path, identity: str, processes: int) -> Path:
    """Mark the checkpoint in *partial* as complete, and move it to where it is found."""
    files = [path for path in sorted(partial.rglob("*")) if path.is_file()]
    for path in (partial, *sorted(partial.rglob("*"))):
        set_mode(path)
    for path in files:
        _flush(path)
    sizes = {str(path.relative_to(partial)): path.stat().st_size for path in files}
    marker = {"identity": identity, "files": sizes, "processes": processes}
    write_json(marker, partial / MARKER)
    final = partial.parent.parent / partial.name
    return replace_folder(partial, final)


def _flush(path: Path) -> None:
    import os

    with disk_errors(path), path.open("rb") as file:
        os.fsync(file.fileno())


def clear(partial: Path) -> None:
    """Make an empty folder for a checkpoint, and remove what a killed attempt left beside it."""
    shutil.rmtree(partial.parent, ignore_errors=True)
    make_dir(partial)


def complete(
    partial: Path, progress: TrainingProgress, last: Path | None, identity: str, processes: int
) -> Path:
    """Add progress and the best adapter to *partial*, move it into place, and return it.

    Args:
        partial: Holds the adapter and the states of this step.
        progress: How far the training is.
        last: The checkpoint before, from which the best adapter comes if it is not this one.
        identity: Of the fine-tune.
        processes: How many train.
    """
    best = progress.best_step
    if best == step_of(partial):
        copy_adapter(partial, partial / "best")
    elif best is not None and last is not None:
        copy_adapter(last / "best", partial / "best")
    write_json(progress.as_json(), partial / "progress.json")
    sealed = seal(partial, identity, processes)
    prune(sealed.parent)
    return sealed


def prune(place: Path) -> None:
    """Remove all but the newest checkpoints of one attempt."""
    found = sorted(place.glob("checkpoint-*"), key=step_of)
    for old in found[:-CHECKPOINTS_KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def newest(work: Path, identity: str) -> Path | None:
    """Return the complete checkpoint of most steps, of whichever attempt; null if there is none.

    Raises:
        ModelError: A checkpoint belongs to another fine-tune.
    """
    found = [path for path in work.glob("*/checkpoint-*") if _complete(path, identity)]
    return max(found, key=step_of, default=None)


def _complete(checkpoint: Path, identity: str) -> bool:
    try:
        marker = json.loads((checkpoint / MARKER).read_text())
        sizes = {name: (checkpoint / name).stat().st_size for name in marker["files"]}
        whole, found = bool(sizes == marker["files"]), str(marker["identity"])
    except (OSError, ValueError, KeyError, TypeError):
        whole, found = False, identity
    if found != identity:
        msg = (
            f"{checkpoint} is a checkpoint of another configuration ({found[:16]}), this "
            f"fine-tune is {identity[:16]}; expected only checkpoints of the same settings, "
            f"weights and rows; remove {checkpoint.parent}"
        )
        raise ModelError(msg)
    if not whole:
        log.warning("%s is not complete and is passed over", checkpoint)
    return whole


def adopt(work: Path, place: Path, identity: str) -> Path | None:
    """Return the newest checkpoint, as a copy in *place* if another attempt wrote it.

    The other attempt may still run and remove it meanwhile; then the next newest is taken.
    """
    for _ in range(5):
        found = newest(work, identity)
        if found is None or found.parent == place:
            return found
        own = make_dir(place / PARTIAL) / found.name
        shutil.rmtree(own, ignore_errors=True)
        try:
            with disk_errors(own):
                shutil.copytree(found, own)
        except (FileNotFoundError, shutil.Error):
            log.info("%s went while it was copied", found)
            continue
        if _complete(own, identity):
            return replace_folder(own, place / found.name)
    return None


def read_progress(checkpoint: Path) -> dict[str, Any]:
    """Return what ``progress.json`` says."""
    return dict(read_json(checkpoint / "progress.json"))


_WRITERS = ("inline_container", "PytorchStreamWriter", "iostream error", "IoError", "I/O error")
"""What stands in the errors of torch's and safetensors' own writers, which bear no number."""


@contextmanager
def full_disk(place: Path) -> Iterator[None]:
    """Turn what libraries raise when a disk is full into a ``StorageError``.

    What was written of a checkpoint is removed, so that the next attempt has the room.
    """
    from safetensors import SafetensorError

    try:
        with disk_errors(place):
            yield
    except StorageError:
        shutil.rmtree(place / PARTIAL, ignore_errors=True)
        raise
    except (RuntimeError, SafetensorError) as error:
        if not any(writer in str(error) for writer in _WRITERS):
            raise
        shutil.rmtree(place / PARTIAL, ignore_errors=True)
        last = max(place.glob("checkpoint-*"), key=step_of, default=None)
        kept = f"the last complete checkpoint is {last}" if last else "no checkpoint was complete"
        msg = (
            f"no space left while writing a checkpoint below {place}; {kept}; free some space or "
            "raise the quota, then run the same command again"
        )
        raise StorageError(msg) from error
