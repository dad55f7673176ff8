"""Training throughput and peak memory against TRL's SFTTrainer, and against plain padding.

A random Llama of four layers with a vocabulary of 32,000, LoRA as the paper has it, float32 on a
processor (one thread) and bfloat16 on a GPU. 512 rows of 50 to 600 tokens, prompts shorter than
answers, as on counselling sites; every contender trains the same number of optimiser steps of
eight rows, drawn from them in its own way, with loss on the answers:

    ours         rows of similar length meet in a batch
    trl          trl.SFTTrainer as it is set up by default, without gradient checkpointing; it
                 takes the head's loss in tiles, on a GPU by kernels of its own, on a processor in
                 torch and over prompts and padding, too
    trl_grouped  the same with transformers' grouping by length, once, to be seen beside it
    padding      transformers.Trainer in data-set order, each batch padded to its longest row

Each runs in a process of its own, so that peaks of memory are its own, and they take turns.
Tokens count without padding, per second of CPU time on a processor, which other users of the
machine disturb little, and per second of the clock on a GPU. The first step warms up.

    pip install --no-deps trl==1.16.0      # optional, best into a copy of the environment
    python -m tests.benchmarks.bench_training
"""

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from empathy_core.prompts import prompt
from empathy_core.training.loop.batches import collate
from empathy_core.training.loop.job import StepReport, TrainingJob
from empathy_core.training.spec import IGNORED, FinetuneSpec, TrainingRow
from empathy_core.types import ModelSpec
from tests.tiny_models import bpe_tokenizer

GPU = torch.cuda.is_available()
ROWS, ROUNDS, STEPS = 512, 3 if GPU else 2, 60 if GPU else 4
BATCH, MICRO, PAD, RATE = 8, 4, 2, 2e-4
VOCABULARY, HIDDEN, LAYERS = 32_000, *((1024, 12) if GPU else (256, 4))
INSTALL = "pip install --no-deps trl==1.16.0"


@dataclass(frozen=True)
class Result:
    """What one contender's process measured."""

    tokens_per_s: float
    peak_mb: float
    grown_mb: float
    padding: float


def rows() -> tuple[TrainingRow, ...]:
    """Return rows of 50 to 600 tokens, in no order."""
    draw = random.Random(0)
    made = []
    for i in range(ROWS):
        n_prompt = min(max(int(draw.lognormvariate(4.4, 0.6)), 25), 280)
        n_answer = min(max(int(draw.lognormvariate(5.0, 0.6)), 25), 320)
        ids = tuple(draw.randrange(10, VOCABULARY) for _ in range(n_prompt + n_answer))
        made.append(TrainingRow(f"{i:03d}", ids, (IGNORED,) * n_prompt + ids[n_prompt:], n_prompt))
    return tuple(made)


def model_in(folder: Path) -> None:
    """Write the model to *folder*."""
    torch.manual_seed(0)
    words = bpe_tokenizer(template=None)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=HIDDEN, intermediate_size=3 * HIDDEN,
        num_hidden_layers=LAYERS, num_attention_heads=HIDDEN // 64,
        num_key_value_heads=HIDDEN // 64, max_position_embeddings=1024,
        bos_token_id=words.bos_token_id, eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id, tie_word_embeddings=False,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    print(f"{model.num_parameters() / 1e6:.0f} M weights, "
          f"{torch.cuda.get_device_name() if GPU else 'a processor, one thread'}")  # fmt: skip
    model.save_pretrained(folder)
    words.save_pretrained(folder)


def spec_of(folder: Path) -> FinetuneSpec:
    """Return the settings that all contenders share."""
    dtype: Any = "bfloat16" if GPU else "float32"
    base = ModelSpec("small", "Small", "hf", "decoder", str(folder), dtype=dtype)
    return FinetuneSpec(
        "bench", "Bench", base, prompt("none"), False, batch_size=BATCH, micro_batch=MICRO,
        max_steps=STEPS, learning_rate=RATE, trackers=(), checkpoint_steps=10_000,
    )  # fmt: skip


class Clock:
    """Tokens, cells and time from the end of the first step to that of the last."""

    def __init__(self) -> None:
        self._at: list[float] = []
        self.n_tokens = self.n_cells = 0
        self._before = _peak_mb()

    def step(self, n_tokens: int, n_cells: int) -> None:
        """Note the end of an optimiser step."""
        if GPU:
            torch.cuda.synchronize()
        self._at.append(time.perf_counter() if GPU else time.process_time())
        if len(self._at) > 1:
            self.n_tokens, self.n_cells = self.n_tokens + n_tokens, self.n_cells + n_cells

    def result(self) -> Result:
        """Return what was measured."""
        peak = _peak_mb()
        return Result(
            self.n_tokens / (self._at[-1] - self._at[0]), peak, peak - self._before,
            1 - self.n_tokens / self.n_cells,
        )  # fmt: skip


def _peak_mb() -> float:
    if GPU:
        return torch.cuda.max_memory_allocated() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def ours(folder: Path, work: Path) -> Result:
    """Train as the suite does."""
    from empathy_core.training.loop.trainer import train

    clock, spec = Clock(), spec_of(folder)
    cells: list[int] = []

    def listen(report: StepReport) -> None:
        cells.append(report.n_tokens)
        clock.step(report.n_tokens, report.n_tokens)

    job = TrainingJob(spec, folder, rows(), (), PAD, work, "a", "0" * 64)
    trained = train(job, listen)
    measured = [p for p in trained.curve if p.padding is not None][1:]
    clock.n_cells = round(
        sum(n / (1 - p.padding) for n, p in zip(cells[1:], measured, strict=True))
    )
    return clock.result()


def lora_config() -> Any:
    """Return the paper's adapter for peft."""
    from peft import LoraConfig

    return LoraConfig(
        r=8, lora_alpha=16, lora_dropout=0.1, target_modules=["q_proj", "v_proj"],
        task_type="CAUSAL_LM",
    )  # fmt: skip


def shared(work: Path) -> dict[str, Any]:
    """Return the arguments that transformers' and TRL's trainers share."""
    return {
        "output_dir": str(work), "max_steps": STEPS, "per_device_train_batch_size": MICRO,
        "gradient_accumulation_steps": BATCH // MICRO, "learning_rate": RATE,
        "lr_scheduler_type": "cosine", "warmup_steps": 1, "max_grad_norm": 0.3, "seed": 0,
        "logging_steps": 1, "report_to": "none", "save_strategy": "no", "disable_tqdm": True,
        "use_cpu": not GPU, "bf16": GPU, "gradient_checkpointing": False,
        "dataloader_pin_memory": GPU,
    }  # fmt: skip


def clocked(kind: Any, clock: Clock) -> Any:
    """Return the trainer class *kind*, counting what passes through it."""
    from transformers import TrainerCallback

    class Clocked(kind):  # type: ignore[misc]
        seen = (0, 0)

        def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            tokens, cells = int(inputs["attention_mask"].sum()), inputs["input_ids"].numel()
            self.seen = (self.seen[0] + tokens, self.seen[1] + cells)
            return super().training_step(model, inputs, *args, **kwargs)

    class Tell(TrainerCallback):
        trainer: Any

        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.step(*self.trainer.seen)
            self.trainer.seen = (0, 0)

    tell = Tell()

    def make(**given: Any) -> Any:
        tell.trainer = Clocked(callbacks=[tell], **given)
        return tell.trainer

    return make


def trl(folder: Path, work: Path, **changes: Any) -> Result:
    """Train with TRL's SFTTrainer, on the same rows, tokenised already."""
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    clock = Clock()
    model = LlamaForCausalLM.from_pretrained(folder, dtype="bfloat16" if GPU else "float32")
    data = Dataset.from_list([
        {
            "input_ids": list(row.input_ids),
            "completion_mask": [int(label != IGNORED) for label in row.labels],
        }
        for row in rows()
    ])  # fmt: skip
    trainer = clocked(SFTTrainer, clock)(
        model=model, args=SFTConfig(max_length=1024, **shared(work), **changes),
        train_dataset=data, peft_config=lora_config(),
        processing_class=AutoTokenizer.from_pretrained(folder),
    )  # fmt: skip
    trainer.train()
    return clock.result()


def trl_grouped(folder: Path, work: Path) -> Result:
    """Train with TRL's SFTTrainer and transformers' grouping by length."""
    return trl(folder, work, train_sampling_strategy="group_by_length")


def padding(folder: Path, work: Path) -> Result:
    """Train with transformers' Trainer in data-set order, padding each batch."""
    from peft import get_peft_model
    from transformers import Trainer, TrainingArguments

    clock = Clock()
    model = LlamaForCausalLM.from_pretrained(folder, dtype="bfloat16" if GPU else "float32")
    trainer = clocked(Trainer, clock)(
        model=get_peft_model(model, lora_config()),
        args=TrainingArguments(
            **shared(work), train_sampling_strategy="sequential", remove_unused_columns=False
        ),
        train_dataset=rows(),
        data_collator=lambda batch: collate(batch, PAD, encoder_decoder=False),
    )
    trainer.train()
    return clock.result()


CONTENDERS = {"ours": ours, "trl": trl, "padding": padding, "trl_grouped": trl_grouped}


def measured(name: str, folder: Path, benchmark: str = "bench_training") -> Result:
    """Let a contender of a benchmark train in a process of its own."""
    command = [sys.executable, "-m", f"tests.benchmarks.{benchmark}", name, str(folder)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr)
    return Result(**json.loads(done.stdout.splitlines()[-1]))


def middle(results: list[Result], field: str) -> float:
    """Return the median of one measure."""
    return statistics.median(getattr(result, field) for result in results)


def compare(folder: Path) -> None:
    """Print all measures and the ratios that are asked for."""
    model_in(folder)
    names = ["ours", "trl", "padding"] if find_spec("trl") else ["ours", "padding"]
    found: dict[str, list[Result]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        for name in names:
            found[name].append(measured(name, folder))
    if find_spec("trl"):
        found["trl_grouped"] = [measured("trl_grouped", folder)]
    for name, results in found.items():
        rates, shares = middle(results, "tokens_per_s"), middle(results, "padding")
        peaks, grown = middle(results, "peak_mb"), middle(results, "grown_mb")
        print(f"{name:12} {rates:6.0f} tokens/s, {shares:3.0%} padding, peak {peaks:5.0f} MB, "
              f"of which {grown:5.0f} MB since the imports")  # fmt: skip
    rate = {name: middle(results, "tokens_per_s") for name, results in found.items()}
    peak = {name: middle(results, "peak_mb") for name, results in found.items()}
    if "trl" in found:
        print(f"training-vs-trl: {rate['ours'] / rate['trl']:.2f}x (asked 1.0x)")
    else:
        print(f"trl is not installed; to compare with it: {INSTALL}")
    print(f"training-vs-padding: {rate['ours'] / rate['padding']:.2f}x (asked 1.3x)")
    if "trl" in found:
        print(f"training-memory-vs-trl: {peak['trl'] / peak['ours']:.2f}x (asked 1.0x)")


def main() -> None:
    """Compare, or be one of the contenders."""
    parser = argparse.ArgumentParser()
    parser.add_argument("contender", nargs="?", choices=CONTENDERS)
    parser.add_argument("folder", nargs="?", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as work:
        if asked.contender:
            result = CONTENDERS[asked.contender](asked.folder, Path(work))
            print(json.dumps(asdict(result)))
        else:
            compare(Path(work))


if __name__ == "__main__":
    main()
