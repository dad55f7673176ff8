"""transformers' Trainer, made to train on our batches and to be stopped anywhere.

The mixins are joined with transformers' classes when those may be imported. What they change:
batches come from the schedule; the loss is the mean over the label tokens of the whole optimiser
step, over all processes; each step has a learning rate above 0 (``rates``); what is not finite
stops the training (here); validation, samples and log (``loop_evaluation``); a checkpoint appears
whole (``loop_saving``).
"""

import math
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import islice
from typing import Any

from empathy_core.errors import ModelError
from empathy_core.training.feed import Micro, Rows, batch_of
from empathy_core.training.loop_plan import Run, undisturbed
from empathy_core.training.loss import find_out, loss_sum
from empathy_core.training.rates import rate_of

_Base: Any = object
"""Stands for a class of transformers, which is not imported at the top of a module."""


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
