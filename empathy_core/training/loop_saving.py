"""Checkpoints of transformers' Trainer, made to appear whole and to hold all that is needed."""

import shutil
import time
from pathlib import Path
from typing import Any

from empathy_core.store import make_dir, write_json
from empathy_core.training import checkpoints
from empathy_core.training.loop_plan import Run

_Base: Any = object
"""Stands for a class of transformers, which is not imported at the top of a module."""


class SavingMixin(_Base):  # type: ignore[misc] # joined with transformers.Trainer
    """How ``transformers.Trainer`` writes a checkpoint; reading one is left as it is."""

    run: Run

    def _get_output_dir(self, *_: object, **__: object) -> str:
        """Return where a checkpoint is put together."""
        return str(self.run.job.place / checkpoints.PARTIAL)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the adapter, in the main process."""
        if self.args.should_save:
            checkpoints.save_adapter(self.model, Path(str(output_dir)))

    def _save_checkpoint(self, model: object, trial: object) -> None:
        """Write a checkpoint that appears whole, and remove the oldest."""
        started, run = time.monotonic(), self.run
        run.progress.finished |= self.state.global_step >= run.progress.n_steps
        made = run.job.place / checkpoints.PARTIAL
        if self.args.should_save:
            shutil.rmtree(made, ignore_errors=True)
            make_dir(made)
        self.accelerator.wait_for_everyone()
        with checkpoints.full_disk(run.job.place):
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                run.latest = self._complete(made / f"checkpoint-{self.state.global_step}")
        self.accelerator.wait_for_everyone()
        run.meter.pause(time.monotonic() - started)

    def _complete(self, made: Path) -> Path:
        """Add our part to what transformers wrote, and move it into place."""
        run = self.run
        best = run.progress.best_step
        if best == self.state.global_step:
            checkpoints.copy_adapter(made, made / "best")
        elif best is not None and run.latest is not None:
            checkpoints.copy_adapter(run.latest / "best", made / "best")
        run.progress.seconds += run.meter.lap()
        write_json(run.progress.as_json(), made / "progress.json")
        sealed = checkpoints.seal(made, run.job.identity, self.accelerator.num_processes)
        checkpoints.prune(run.job.place)
        return sealed
