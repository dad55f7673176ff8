"""What a training tells of itself: validation loss, samples, log."""

import logging
import math
import time
from dataclasses import asdict
from typing import Any

from empathy_core.errors import ModelError
from empathy_core.training.feed import validation_batches
from empathy_core.training.job import Point
from empathy_core.training.loop_plan import Run, undisturbed
from empathy_core.training.loss import loss_sum
from empathy_core.training.machine import memory_mb
from empathy_core.training.progress import Lines

log = logging.getLogger(__name__)

_Base: Any = object
"""Stands for a class of transformers, which is not imported at the top of a module."""

SAMPLES = "samples.jsonl"


class EvaluationMixin(_Base):  # type: ignore[misc] # joined with transformers.Trainer
    """Evaluation and log of ``transformers.Trainer``, in our words and places."""

    run: Run
    control: Any

    def evaluate(self, *_: object, **__: object) -> dict[str, float]:
        """Take the validation loss, if there are rows, and the samples; note both."""
        started, run, step = time.monotonic(), self.run, self.state.global_step
        self.model.eval()
        enough = False
        with undisturbed():
            loss = self._validation_loss()
            self._sample()
        if loss is not None:
            if not math.isfinite(loss):
                self._stop_validation()
            enough = run.progress.evaluated(step, loss, run.job.spec.patience)
            self.log({"eval_loss": loss})
            log.info("step %d of %d: validation loss %.4f", step, run.progress.n_steps, loss)
        metrics = {} if loss is None else {"eval_loss": loss}
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        if enough and not run.progress.finished:
            run.progress.finished = self.control.should_training_stop = True
            log.info("stops early: %d evaluations brought no lower loss", run.progress.stale)
        run.meter.pause(time.monotonic() - started)
        return metrics

    def _stop_validation(self) -> None:
        msg = (
            f"{self.run.job.spec.name}: the validation loss of step {self.state.global_step} is "
            f"not a finite number; {self.run.kept}; lower "
            "learning_rate, or look at the validation rows"
        )
        raise ModelError(msg)

    def _validation_loss(self) -> float | None:
        """Return the mean over all label tokens of the validation rows; null if there are none."""
        import torch

        mine = self.accelerator
        if not self.run.job.validation:
            return None
        total = torch.zeros(2, dtype=torch.float64, device=mine.device)  # loss, labels
        for batch in validation_batches(self.run.job, mine.process_index, mine.num_processes):
            tensors = self._prepare_inputs({k: v for k, v in batch.items() if k != "micro"})
            with torch.inference_mode(), self.compute_loss_context_manager():
                total[0] += loss_sum(self.model, self.model.get_base_model(), tensors)
            total[1] += batch["micro"].n_labels
        loss, n_labels = mine.reduce(total, "sum").tolist()
        return float(loss / max(n_labels, 1))

    def _sample(self) -> None:
        """Let the caller answer questions with the model as it stands."""
        import torch

        run = self.run
        if run.job.sample is not None and run.log is not None:
            with torch.inference_mode():
                rows = run.job.sample(self.model)
            for row in rows:
                run.progress.samples.append({"step": self.state.global_step, **row})
            Lines(run.job.place / SAMPLES, run.progress.samples)
        self.accelerator.wait_for_everyone()

    def log(self, logs: dict[str, float], *_: object) -> None:
        """Write a line to ``log.jsonl``, tell the caller, and hand all to the trackers."""
        run = self.run
        if "loss" in logs:
            self._log_step(logs)
        elif "eval_loss" in logs:
            self._note(Point(
                self.state.global_step, float(self.state.epoch or 0.0),
                validation_loss=logs["eval_loss"], n_tokens=run.progress.n_tokens,
                memory_mb=memory_mb(),
            ))  # fmt: skip
        super().log(logs, None)

    def _log_step(self, logs: dict[str, float]) -> None:
        run, step = self.run, self.state.global_step
        report, padding = run.meter.report(step, run.progress.n_steps, logs["loss"], memory_mb())
        run.progress.n_tokens += report.n_tokens
        point = Point(
            step, float(self.state.epoch or 0.0), report.loss, None, logs["learning_rate"],
            logs.get("grad_norm"), run.progress.n_tokens, report.tokens_per_s, padding,
            report.memory_mb, report.eta_s,
        )  # fmt: skip
        self._note(point)
        logs |= {name: getattr(point, name) for name in ("tokens_per_s", "padding", "memory_mb")}
        if run.log is not None:
            run.listen(report)

    def _note(self, point: Point) -> None:
        self.run.progress.curve.append(point)
        if self.run.log is not None:
            self.run.log.append(asdict(point))
