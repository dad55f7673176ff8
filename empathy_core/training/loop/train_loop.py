"""transformers' Trainer, made to train on our batches and to be stopped anywhere.

The mixins are joined with transformers' classes when those may be imported. What they change:
batches come from the schedule; the loss is the mean over the label tokens of the whole optimiser
step, over all processes; each step has a learning rate above 0 (``rates``); what is not finite
stops the training (here); validation, samples and log (``loop_evaluation``); a checkpoint appears
whole (``loop_saving``).
"""

import logging
import math
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from empathy_core.errors import ModelError
from empathy_core.store import make_dir, write_json
from empathy_core.training.loop import checkpoints
from empathy_core.training.loop.batches import (
    Micro,
    MicroBatches,
    Rows,
    batch_of,
    evaluation_steps,
    validation_batches,
)
from empathy_core.training.loop.job import LogPoint, StepReport, TrainingJob
from empathy_core.training.loop.loss import find_out, loss_sum
from empathy_core.training.loop.machine import memory_mb
from empathy_core.training.loop.progress import Lines, Meter, TrainingProgress
from empathy_core.training.loop.rates import rate_of

log = logging.getLogger(__name__)

_Base: Any = object
"""Stands for a class of transformers, which is not imported at the top of a module."""

SAMPLES = "samples.jsonl"


@dataclass(slots=True)
class Run:
    """What the parts of one training share.

    Attributes:
        accumulation: Micro-batches of one process in a step.
        log: ``log.jsonl``; null in all processes but the main one.
        latest: The newest checkpoint of this attempt; null before the first.
        gradients_seen: Whether every tensor of the adapter had a gradient in the first step.
    """

    job: TrainingJob
    progress: TrainingProgress
    batches: MicroBatches
    accumulation: int
    listen: Callable[[StepReport], None]
    log: Lines | None
    latest: Path | None
    meter: Meter = field(default_factory=Meter)
    gradients_seen: bool = False
    evaluate_at: frozenset[int] = field(init=False)

    def __post_init__(self) -> None:
        per_epoch = self.batches.steps_per_epoch
        self.evaluate_at = evaluation_steps(self.job.spec, per_epoch, self.progress.n_steps)

    @property
    def kept(self) -> str:
        """What an error says of the checkpoints."""
        last = self.latest
        return f"the last good checkpoint is {last}" if last else "no checkpoint was due yet"


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
            self._note(LogPoint(
                self.state.global_step, float(self.state.epoch or 0.0),
                validation_loss=logs["eval_loss"], n_tokens=run.progress.n_tokens,
                memory_mb=memory_mb(),
            ))  # fmt: skip
        super().log(logs, None)

    def _log_step(self, logs: dict[str, float]) -> None:
        run, step = self.run, self.state.global_step
        report, padding = run.meter.report(step, run.progress.n_steps, logs["loss"], memory_mb())
        run.progress.n_tokens += report.n_tokens
        point = LogPoint(
            step, float(self.state.epoch or 0.0), report.loss, None, logs["learning_rate"],
            logs.get("grad_norm"), run.progress.n_tokens, report.tokens_per_s, padding,
            report.memory_mb, report.eta_s,
        )  # fmt: skip
        self._note(point)
        logs |= {name: getattr(point, name) for name in ("tokens_per_s", "padding", "memory_mb")}
        if run.log is not None:
            run.listen(report)

    def _note(self, point: LogPoint) -> None:
        self.run.progress.curve.append(point)
        if self.run.log is not None:
            self.run.log.append(asdict(point))


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


class PlanMixin(_Base):  # type: ignore[misc] # joined with transformers.TrainerCallback
    """Says at each step what is due."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def on_train_begin(self, *_: object, **__: object) -> None:
        """Start the clock, when all is known of the model that takes a forward pass."""
        self._trainer.find_out()
        self._trainer.run.meter.begin()

    def on_epoch_begin(self, _args: object, state: Any, *_: object, **__: object) -> None:
        """Choose the epoch's order; accelerate does not hand the epoch through after a resume."""
        batches = self._trainer.run.batches
        batches.set_epoch(state.global_step // batches.steps_per_epoch)

    def on_step_end(self, _args: object, state: Any, control: Any, **_: object) -> Any:
        """Ask for an evaluation, a checkpoint, or an end."""
        run, step = self._trainer.run, state.global_step
        if step in run.evaluate_at:
            control.should_evaluate = control.should_save = True
        if step % run.job.spec.checkpoint_steps == 0:
            control.should_save = True
        if self._trainer._sum(int(run.job.stop_soon()))[0]:
            control.should_save = control.should_training_stop = True
        return control


@contextmanager
def undisturbed() -> Iterator[None]:
    """Leave the random states of Python, numpy and torch as they were."""
    import numpy as np
    import torch

    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        yield
    random.setstate(python)
    np.random.set_state(numpy)


class StepsMixin(_Base):  # type: ignore[misc] # joined with transformers.Trainer
    """Batches and loss of ``transformers.Trainer``; ``run`` is set after construction."""

    run: Run
    lr_scheduler: Any
    loss_is_scaled_for_ga = True
    _micros: tuple[Micro, ...] = ()
    _losses: tuple[Any, ...] = ()

    # ------------------------------------------------------------------------ batches

    def get_train_dataloader(self) -> Any:
        """Return the loader of this process's micro-batches."""
        import torch

        job = self.run.job
        loader: Any = torch.utils.data.DataLoader(
            Rows(job.rows),  # type: ignore[arg-type] # has all of a dataset that is used
            batch_sampler=self.run.batches,
            collate_fn=partial(batch_of, job=job),
            generator=torch.Generator(),  # else each epoch draws from the one of dropout
            pin_memory=torch.cuda.is_available(),
        )
        return self.accelerator.prepare(loader)

    def get_batch_samples(
        self, epoch_iterator: Iterator[dict[str, Any]], num_batches: int, *_: object
    ) -> tuple[list[dict[str, Any]], Any]:
        """Return the micro-batches of one step, and its label tokens over all processes."""
        batches = list(islice(epoch_iterator, num_batches))
        self._micros = tuple(batch["micro"] for batch in batches)
        self._losses = ()
        counts = [
            (micro.n_labels, micro.n_tokens, micro.n_cells if micro.examples else 0)
            for micro in self._micros
        ]
        n_labels, n_tokens, n_cells = self._sum(*map(sum, zip(*counts, strict=True)))
        self.run.meter.count(n_tokens, n_cells)
        return batches, n_labels

    def _sum(self, *counts: int) -> list[int]:
        """Return *counts* added up over all processes."""
        if self.accelerator.num_processes == 1:
            return list(counts)
        import torch

        mine = torch.tensor(counts, device=self.accelerator.device)
        return [int(n) for n in self.accelerator.reduce(mine, "sum").tolist()]

    # ------------------------------------------------------------------------ learning rate

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Return what sets the learning rate of each step; see ``rates``."""
        import torch

        if self.lr_scheduler is None:
            rate = rate_of(self.run.job.spec, num_training_steps)
            given = self.optimizer if optimizer is None else optimizer
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(given, rate)
            self._created_lr_scheduler = True
        return self.lr_scheduler

    # ------------------------------------------------------------------------ loss

    def autocast_smart_context_manager(self, *_: object) -> AbstractContextManager[object]:
        """Return bfloat16 for a bfloat16 base, whose adapter is float32; else nothing.

        Trainer's own ``bf16`` would copy the logits to float32, all of them, before the loss.
        """
        import torch

        if self.run.job.spec.base.dtype != "bfloat16":
            return nullcontext()
        return torch.autocast(self.args.device.type, dtype=torch.bfloat16)

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any) -> Any:
        """Return this micro-batch's part of the step's loss, and add up its gradients."""
        filler = not inputs.pop("micro").examples
        if filler and self.accelerator.num_processes == 1:  # else it waits for the others
            loss = inputs["input_ids"].new_zeros((), dtype=self._tr_loss.dtype)
        else:
            loss = super().training_step(model, inputs, num_items_in_batch)
        self._losses += (loss,)
        return loss

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], *_: object, num_items_in_batch: int, **__: object
    ) -> Any:
        """Return the sum over the micro-batch's labels, divided by the labels of the whole step.

        Gradients and logged losses are averaged over processes, hence the factor.
        """
        total = loss_sum(model, self.model.get_base_model(), inputs)
        return total * self.accelerator.num_processes / max(num_items_in_batch, 1)

    def find_out(self) -> None:
        """Learn how the model treats its logits."""
        first = batch_of(self.run.job.rows[:1], self.run.job)
        del first["micro"]
        with undisturbed(), self.compute_loss_context_manager():
            find_out(self.model, self.model.get_base_model(), self._prepare_inputs(first))

    def floating_point_ops(self, *_: object) -> int:
        """Return 0: nobody reads the number."""
        return 0

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> float:
        """Return the norm of the step's gradients; stop where it or a loss is not finite.

        It is asked once a step, before the optimiser, on every process.
        """
        self._check_gradients()
        norm = float(super()._get_grad_norm(model, grad_norm))
        bad = [
            micro.examples
            for micro, loss in zip(self._micros, self._losses, strict=True)
            if not math.isfinite(float(loss))
        ]
        if self._sum(int(bool(bad) or not math.isfinite(norm)))[0]:
            self._stop_at(bad or [micro.examples for micro in self._micros], loss=bool(bad))
        return norm

    def _check_gradients(self) -> None:
        """Refuse, at the first step, an adapter of which a part would silently stay as it is."""
        if self.run.gradients_seen:
            return
        weights = [(name, w) for name, w in self.model.named_parameters() if w.requires_grad]
        without = [name for name, weight in weights if weight.grad is None]
        if without:
            msg = (
                f"{self.run.job.spec.name}: {len(without)} of {len(weights)} tensors of the "
                f"adapter got no gradient ({', '.join(without[:3])} …); expected one for each; "
                f'name layers that the loss reaches: exclude = ["{_part(without[0])}"], or other '
                "modules; on quantised weights, update bitsandbytes"
            )
            raise ModelError(msg)
        self.run.gradients_seen = True

    def _stop_at(self, examples: list[tuple[str, ...]], *, loss: bool) -> None:
        from accelerate.utils import gather_object

        everyones = gather_object([("the loss" if loss else "the gradient", examples)])
        # one that was computed wrong spoils the gradients of all
        worst = [said for said in everyones if said[0] == "the loss"] or everyones
        named = sorted({example for _, micros in worst for micro in micros for example in micro})
        msg = (
            f"{self.run.job.spec.name}: {worst[0][0]} of step {self.state.global_step + 1} is not "
            f"a finite number; the micro-batch held the examples {', '.join(named)}; "
            f"{self.run.kept}; expected finite numbers; lower learning_rate or max_grad_norm, "
            "or look at these rows"
        )
        raise ModelError(msg)


def _part(name: str) -> str:
    """Return a pattern of the layers beside the one whose update is called *name*."""
    layer = name.removeprefix("base_model.model.").partition(".lora_")[0]
    return re.sub(r"\.\d+\..*", ".*", layer)
