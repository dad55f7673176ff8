"""The optimiser steps of one training, from the top down; stopped anywhere, it goes on anywhere.

Of each step: the micro-batches of this process, their losses and gradients, the clipped norm, what
is not finite, the optimiser, the log; then what is due: an evaluation, a checkpoint, the end. The
loss of a step is a mean over all its micro-batches and processes: over label tokens, or pairs.
"""

import logging
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from empathy_core.errors import ModelError
from empathy_core.training.loop import checkpoints, state
from empathy_core.training.loop.batches import (
    MicroBatches,
    evaluation_steps,
    validation_batches,
)
from empathy_core.training.loop.job import LogPoint, StepReport, TrainingJob
from empathy_core.training.loop.loss import find_out
from empathy_core.training.loop.machine import memory_mb, precision
from empathy_core.training.loop.objective import LossPart, Micro, Objective, Whole
from empathy_core.training.loop.progress import Lines, Meter, TrainingProgress
from empathy_core.training.loop.rates import rate_of

log = logging.getLogger(__name__)

SAMPLES = "samples.jsonl"
SAMPLED = ("sample_tokens", "samples_cut")
"""What a point of the curve says of answers that were sampled."""
_UNTRACKED = ("step", "margins")
"""What a point of the curve holds that is no number of its step."""


@dataclass(slots=True)
class Run:
    """What the parts of one training share.

    Attributes:
        log: ``log.jsonl``; null in all processes but the main one.
        latest: The newest checkpoint of this attempt; null before the first.
        gradients_seen: Whether every tensor of the adapter had a gradient in the first step.
    """

    job: TrainingJob
    objective: Objective
    progress: TrainingProgress
    batches: MicroBatches
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

    def epochs(self, step: int) -> float:
        """Return how many epochs are done after *step* steps."""
        per_epoch = self.batches.steps_per_epoch
        whole = max(step - 1, 0) // per_epoch
        return whole + (step - whole * per_epoch) / per_epoch


class TrainingLoop:
    """The steps of one training in one process; ``train`` runs them."""

    def __init__(self, run: Run, adapted: Any, accelerator: Any) -> None:
        """Take the parts.

        Args:
            run: What is trained, and how far it is.
            adapted: The base with its adapter, a peft model.
            accelerator: accelerate's ``Accelerator`` of this process, its trackers ready.
        """
        import torch

        spec = run.job.spec
        self.run, self.adapted, self.accelerator = run, adapted, accelerator
        self.base = adapted.get_base_model()
        self.weights = [(name, w) for name, w in adapted.named_parameters() if w.requires_grad]
        self.optimizer = torch.optim.AdamW(
            [weight for _, weight in self.weights],
            lr=spec.learning_rate, weight_decay=spec.weight_decay, fused=True,
        )  # fmt: skip
        self.model = accelerator.prepare_model(adapted)  # of several processes, the one to call
        self.rate = rate_of(spec, run.progress.n_steps)
        self.step = 0
        self._watched: dict[str, float] = {}
        self._margins: dict[str, float] = {}

    # ------------------------------------------------------------------------ all steps

    def train(self, resumed: Path | None) -> None:
        """Train to the end, or until the job is to stop; each of both writes a checkpoint.

        Args:
            resumed: The checkpoint to go on from; null to start.

        Raises:
            ModelError: A loss or gradient is not finite, or a part gets no gradient.
        """
        self._begin(resumed)
        run, stopped = self.run, False
        while not (run.progress.finished or stopped):
            self._take_step()
            stopped = bool(self._sum(int(run.job.stop_soon()))[0])
            evaluated = self.step in run.evaluate_at
            if evaluated:
                self._evaluate()
            if evaluated or stopped or self.step % run.job.spec.checkpoint_steps == 0:
                self._save()

    def _begin(self, resumed: Path | None) -> None:
        """Set random states, and go to the checkpoint or take the first evaluation."""
        state.seed(self.run.job.spec.seed, self.accelerator.process_index)
        self._find_out()
        self.run.meter.begin()  # what came before was loading
        if resumed is None:
            self._evaluate()
        else:
            self.step = checkpoints.step_of(resumed)
            state.read(resumed, self.adapted, self.optimizer, self.accelerator)

    def _find_out(self) -> None:
        """Learn how the model treats its logits."""
        tensors, _ = self.run.batches.first()
        with state.undisturbed(), self._precision():
            find_out(self.adapted, self.base, self._on_device(tensors))

    # ------------------------------------------------------------------------ one step

    def _take_step(self) -> None:
        run, spec = self.run, self.run.job.spec
        batches = run.batches.of_step(
            self.step, self.accelerator.process_index, self.accelerator.num_processes
        )
        micros = [micro for _, micro in batches]
        n_rows, n_labels, n_tokens, n_cells = self._sum(*_counts(micros))
        run.meter.count(n_tokens, n_cells)
        self.model.train()
        rate = spec.learning_rate * self.rate(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        parts = self._gradients([tensors for tensors, _ in batches], Whole(n_rows, n_labels))
        norm = self._norm()
        self._check_finite(micros, [part.loss for part in parts], norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        self._log_step(parts, rate, norm)

    def _gradients(self, batches: list[Mapping[str, Any]], whole: Whole) -> list[LossPart]:
        """Add up the gradients of the micro-batches, and return their parts of the step's loss.

        Gradients and logged losses are averaged over processes, hence their number.
        """
        processes = self.accelerator.num_processes
        parts = []
        for i, tensors in enumerate(batches, 1):
            last = i == len(batches)  # processes exchange their gradients once
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                with self._precision():
                    part = self._part(self.model, tensors, whole)
                loss = part.loss * processes
                self.accelerator.backward(loss)
            parts.append(LossPart(loss.detach(), part.watched * processes))
        return parts

    def _part(self, model: Any, tensors: Mapping[str, Any], whole: Whole) -> LossPart:
        return self.run.objective.part(model, self.base, self._on_device(tensors), whole)

    def _norm(self) -> float:
        """Return the norm of the step's gradients, which are clipped."""
        self._check_gradients()
        most = self.run.job.spec.max_grad_norm or math.inf
        return float(self.accelerator.clip_grad_norm_([w for _, w in self.weights], most))

    def _check_gradients(self) -> None:
        """Refuse, at the first step, an adapter of which a part would silently stay as it is."""
        if self.run.gradients_seen:
            return
        without = [name for name, weight in self.weights if weight.grad is None]
        if without:
            msg = (
                f"{self.run.job.spec.name}: {len(without)} of {len(self.weights)} tensors of the "
                f"adapter got no gradient ({', '.join(without[:3])} …); expected one for each; "
                f'name layers that the loss reaches: exclude = ["{_layers(without[0])}"], or other '
                "modules; on quantised weights, update bitsandbytes"
            )
            raise ModelError(msg)
        self.run.gradients_seen = True

    def _check_finite(self, micros: list[Micro], losses: list[Any], norm: float) -> None:
        bad = [
            micro.examples
            for micro, loss in zip(micros, losses, strict=True)
            if not math.isfinite(float(loss))
        ]
        if self._sum(int(bool(bad) or not math.isfinite(norm)))[0]:
            self._stop_at(bad or [micro.examples for micro in micros], loss=bool(bad))

    def _stop_at(self, examples: list[tuple[str, ...]], *, loss: bool) -> None:
        from accelerate.utils import gather_object

        everyones = gather_object([("the loss" if loss else "the gradient", examples)])
        # one that was computed wrong spoils the gradients of all
        worst = [said for said in everyones if said[0] == "the loss"] or everyones
        named = sorted({example for _, micros in worst for micro in micros for example in micro})
        msg = (
            f"{self.run.job.spec.name}: {worst[0][0]} of step {self.step + 1} is not "
            f"a finite number; the micro-batch held the examples {', '.join(named)}; "
            f"{self.run.kept}; expected finite numbers; lower learning_rate or max_grad_norm, "
            "or look at these rows"
        )
        raise ModelError(msg)

    def _log_step(self, parts: list[LossPart], rate: float, norm: float) -> None:
        run = self.run
        loss = float(self.accelerator.reduce(sum(part.loss for part in parts), "mean"))
        watched = self.accelerator.reduce(sum(part.watched for part in parts), "mean")
        report, padding = run.meter.report(self.step, run.progress.n_steps, loss, memory_mb())
        run.progress.n_tokens += report.n_tokens
        point = LogPoint(
            self.step, run.epochs(self.step), loss, None, rate, norm, run.progress.n_tokens,
            report.tokens_per_s, padding, report.memory_mb, report.eta_s, margins=None,
            **self._named(watched),
        )  # fmt: skip
        self._note(point)
        if run.log is not None:
            run.listen(report)

    def _note(self, point: LogPoint) -> None:
        """Write a line of ``log.jsonl``, and hand its numbers to the trackers."""
        self.run.progress.curve.append(point)
        if self.run.log is not None:
            self.run.log.append(asdict(point))
        values = {k: v for k, v in asdict(point).items() if v is not None and k not in _UNTRACKED}
        if "validation_loss" in values:
            shown = (*self.run.objective.watches, *SAMPLED)
            watched = {f"eval/{k}": values[k] for k in shown if k in values}
            values = {"eval/loss": values["validation_loss"]} | watched
        else:
            values = {f"train/{name}": value for name, value in values.items()}
        self.accelerator.log(values, step=self.step)

    # ------------------------------------------------------------------------ evaluation

    def _evaluate(self) -> None:
        """Take the validation loss, if there are rows, and the samples; note both."""
        started, run = time.monotonic(), self.run
        self.model.eval()
        with state.undisturbed():
            loss = self._validation_loss()
            watched = {} if loss is None else self._watched
            watched = watched | self._sample()
        if loss is not None:
            if not math.isfinite(loss):
                self._stop_validation()
            enough = run.progress.evaluated(self.step, loss, run.job.spec.patience)
            self._note(LogPoint(
                self.step, run.epochs(self.step), validation_loss=loss,
                n_tokens=run.progress.n_tokens, memory_mb=memory_mb(), **watched,
                margins=self._margins or None,
            ))  # fmt: skip
            log.info("step %d of %d: validation loss %.4f", self.step, run.progress.n_steps, loss)
            if enough:
                run.progress.finished = True
                log.info("stops early: %d evaluations brought no lower loss", run.progress.stale)
        run.meter.pause(time.monotonic() - started)

    def _stop_validation(self) -> None:
        msg = (
            f"{self.run.job.spec.name}: the validation loss of step {self.step} is "
            f"not a finite number; {self.run.kept}; lower "
            "learning_rate, or look at the validation rows"
        )
        raise ModelError(msg)

    def _validation_loss(self) -> float | None:
        """Return the mean over all validation rows, null if there are none; note what is watched.

        The mean is the objective's: over label tokens, or over pairs.
        """
        import torch

        mine, run = self.accelerator, self.run
        if not run.job.validation:
            return None
        batches = validation_batches(run.job, run.objective, mine.process_index, mine.num_processes)
        n_rows, n_labels, *_ = self._sum(*_counts([micro for _, micro in batches]))
        whole = Whole(n_rows, n_labels)
        n = 1 + len(run.objective.watches)
        total = torch.zeros(n, dtype=torch.float64, device=mine.device)
        margins: dict[str, float] = {}
        for tensors, micro in batches:
            with torch.inference_mode(), self._precision():
                part = self._part(self.adapted, tensors, whole)
                total[0] += part.loss
                total[1:] += part.watched
            if part.margins is not None:
                margins |= dict(zip(micro.examples, part.margins.tolist(), strict=True))
        self._margins = self._of_all(margins)
        loss, *_ = means = mine.reduce(total, "sum").tolist()
        self._watched = self._named(means[1:])
        return float(loss)

    def _of_all(self, margins: dict[str, float]) -> dict[str, float]:
        """Return the margins of all processes, by id of the pair."""
        if self.accelerator.num_processes > 1:
            from accelerate.utils import gather_object

            margins = dict(of for mine in gather_object([margins]) for of in mine.items())
        return dict(sorted(margins.items()))

    def _named(self, watched: Iterable[float]) -> dict[str, float]:
        return dict(zip(self.run.objective.watches, map(float, watched), strict=True))

    def _sample(self) -> dict[str, float]:
        """Let the caller answer questions with the model as it stands; return their length."""
        import torch

        run, rows = self.run, []
        if run.job.sample is not None and run.log is not None:
            with torch.inference_mode():
                rows = run.job.sample(self.adapted)
            for row in rows:
                run.progress.samples.append({"step": self.step, **row})
            Lines(run.job.place / SAMPLES, run.progress.samples)
        self.accelerator.wait_for_everyone()
        return lengths(rows)

    # ------------------------------------------------------------------------ checkpoints

    def _save(self) -> None:
        """Write a checkpoint that appears whole, and remove the oldest."""
        started, run = time.monotonic(), self.run
        run.progress.finished |= self.step >= run.progress.n_steps
        made = run.job.place / checkpoints.PARTIAL / f"checkpoint-{self.step}"
        main = self.accelerator.is_main_process
        if main:
            checkpoints.clear(made)
        self.accelerator.wait_for_everyone()
        with checkpoints.full_disk(run.job.place):
            state.write(made, self.adapted, self.optimizer, self.accelerator)
            self.accelerator.wait_for_everyone()
            if main:
                run.progress.seconds += run.meter.lap()
                run.latest = checkpoints.complete(
                    made, run.progress, run.latest, run.job.identity,
                    self.accelerator.num_processes,
                )  # fmt: skip
                run.job.saved(self.step)
        self.accelerator.wait_for_everyone()
        run.meter.pause(time.monotonic() - started)

    # ------------------------------------------------------------------------ parts

    def _precision(self) -> AbstractContextManager[object]:
        return precision(self.run.job.spec.base.dtype, self.accelerator.device.type)

    def _on_device(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        device = self.accelerator.device
        return {name: tensor.to(device, non_blocking=True) for name, tensor in tensors.items()}

    def _sum(self, *counts: int) -> list[int]:
        """Return *counts* added up over all processes."""
        if self.accelerator.num_processes == 1:
            return list(counts)
        import torch

        mine = torch.tensor(counts, device=self.accelerator.device)
        return [int(n) for n in self.accelerator.reduce(mine, "sum").tolist()]


def lengths(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the mean length of sampled answers, and how many were cut; nothing without any."""
    told = [(row["n_tokens"], row["stop"] == "length") for row in rows if "n_tokens" in row]
    means = (sum(column) / len(told) for column in zip(*told, strict=True))
    return dict(zip(SAMPLED, means, strict=True)) if told else {}


def _counts(micros: Sequence[Micro]) -> list[int]:
    """Return rows, labels, tokens, cells of micro-batches; those that only fill up have none."""
    counts = [
        (len(m.examples), m.n_labels, m.n_tokens, m.n_cells if m.examples else 0) for m in micros
    ]
    return [sum(column) for column in zip(*counts, strict=True)] or [0, 0, 0, 0]


def _layers(name: str) -> str:
    """Return a pattern of the layers beside the one whose update is called *name*."""
    layer = name.removeprefix("base_model.model.").partition(".lora_")[0]
    return re.sub(r"\.\d+\..*", ".*", layer)
