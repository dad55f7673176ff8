"""Throughput and peak memory of preference tuning against TRL's DPOTrainer, on the same pairs.

The model, adapter and machine of ``bench_training``; pairs of 50 to 600 tokens a reply, prompts
of both replies the same. Every contender trains the same number of optimiser steps of eight pairs,
drawn from them in its own way, without dropout and without gradient checkpointing:

    ours         pairs of similar length meet in a batch; the reference is taken before
    trl          trl.DPOTrainer as it is set up by default: the reference is taken in each step
    trl_stored   the same with precompute_ref_log_probs, so that it is taken before, too

Each runs in a process of its own, and they take turns. Tokens count without padding, both replies
with their prompt, per second of CPU time on a processor and of the clock on a GPU; the first step,
and whatever comes before it, is not timed, but its memory counts.

    pip install --no-deps trl==1.16.0
    python -m tests.benchmarks.bench_dpo
"""

import argparse
import json
import random
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from empathy_core.training.loop.job import PreferenceTuning, StepReport, TrainingJob
from empathy_core.training.spec import (
    IGNORED,
    Lora,
    PreferenceRow,
    PreferenceSettings,
    TrainingRow,
)
from tests.benchmarks.bench_training import (
    GPU,
    PAD,
    ROUNDS,
    VOCABULARY,
    Clock,
    Result,
    clocked,
    lora_config,
    measured,
    middle,
    model_in,
    shared,
    spec_of,
)

PAIRS, BETA = 1024 if GPU else 64, 0.1


def pairs() -> tuple[PreferenceRow, ...]:
    """Return pairs of replies of 50 to 600 tokens, in no order."""
    draw = random.Random(0)
    made = []
    for i in range(PAIRS):
        n_prompt = min(max(int(draw.lognormvariate(4.4, 0.6)), 25), 280)
        prompt = tuple(draw.randrange(10, VOCABULARY) for _ in range(n_prompt))
        n_reply = min(max(int(draw.lognormvariate(5.0, 0.6)), 25), 320)
        sides = []
        for n in (n_reply, int(n_reply * draw.uniform(0.7, 1.4))):
            reply = tuple(draw.randrange(10, VOCABULARY) for _ in range(n))
            labels = (*[IGNORED] * n_prompt, *reply)
            sides.append(TrainingRow(f"{i:03d}", (*prompt, *reply), labels, n_prompt))
        made.append(PreferenceRow(f"{i:03d}", *sides))
    return tuple(made)


def ours(folder: Path, work: Path) -> Result:
    """Tune as the suite does."""
    from empathy_core.training.loop.trainer import train

    clock, cells = Clock(), []
    spec = replace(spec_of(folder), lora=Lora(dropout=0.0))
    tuning = PreferenceTuning(PreferenceSettings(beta=BETA), None, "m", "", work / "references")

    def listen(report: StepReport) -> None:
        cells.append(report.n_tokens)
        clock.step(report.n_tokens, report.n_tokens)

    job = TrainingJob(spec, folder, pairs(), (), PAD, work, "a", "0" * 64, preference=tuning)
    trained = train(job, listen)
    measured = [p for p in trained.curve if p.padding is not None][1:]
    clock.n_cells = round(
        sum(n / (1 - p.padding) for n, p in zip(cells[1:], measured, strict=True))
    )
    return clock.result()


def trl(folder: Path, work: Path, **changes: Any) -> Result:
    """Tune with TRL's DPOTrainer, on the same pairs, tokenised already."""
    from datasets import Dataset
    from transformers import AutoTokenizer, LlamaForCausalLM
    from trl import DPOConfig, DPOTrainer

    class OfTokens(DPOTrainer):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset

    clock = Clock()
    model = LlamaForCausalLM.from_pretrained(folder, dtype="bfloat16" if GPU else "float32")
    data = Dataset.from_list([
        {
            "prompt_ids": list(row.chosen.input_ids[: row.chosen.n_prompt]),
            "chosen_ids": list(row.chosen.input_ids[row.chosen.n_prompt :]),
            "rejected_ids": list(row.rejected.input_ids[row.rejected.n_prompt :]),
        }
        for row in pairs()
    ])  # fmt: skip
    trainer = clocked(OfTokens, clock)(
        model=model, args=DPOConfig(beta=BETA, max_length=1024, **shared(work), **changes),
        train_dataset=data, peft_config=lora_config(),
        processing_class=AutoTokenizer.from_pretrained(folder),
    )  # fmt: skip
    trainer.train()
    return clock.result()


def trl_stored(folder: Path, work: Path) -> Result:
    """Tune with TRL's DPOTrainer, the reference taken before the first step."""
    return trl(folder, work, precompute_ref_log_probs=True)


CONTENDERS = {"ours": ours, "trl": trl, "trl_stored": trl_stored}


def compare(folder: Path, rounds: int) -> None:
    """Print all measures and the ratios that are asked for."""
    model_in(folder)
    found: dict[str, list[Result]] = {name: [] for name in CONTENDERS}
    for _ in range(rounds):
        for name in CONTENDERS:
            found[name].append(measured(name, folder, "bench_dpo"))
    rate = {name: middle(results, "tokens_per_s") for name, results in found.items()}
    peak = {name: middle(results, "peak_mb") for name, results in found.items()}
    for name, results in found.items():
        print(f"{name:12} {rate[name]:6.0f} tokens/s, {middle(results, 'padding'):3.0%} padding, "
              f"peak {peak[name]:5.0f} MB, {middle(results, 'grown_mb'):5.0f} MB since the "
              "imports")  # fmt: skip
    for name in ("trl", "trl_stored"):
        grown = middle(found["ours"], "grown_mb") / middle(found[name], "grown_mb")
        print(f"dpo-vs-{name}: {rate['ours'] / rate[name]:.2f}x the tokens/s (asked 1.0x), "
              f"{peak['ours'] / peak[name]:.2f}x the peak memory (asked at most 0.7x), "
              f"{grown:.2f}x of what grew since the imports")  # fmt: skip


def main() -> None:
    """Compare, or be one of the contenders."""
    parser = argparse.ArgumentParser()
    parser.add_argument("contender", nargs="?", choices=CONTENDERS)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as work:
        if asked.contender:
            result = CONTENDERS[asked.contender](asked.folder, Path(work))
            print(json.dumps(asdict(result)))
        else:
            compare(Path(work), asked.rounds)


if __name__ == "__main__":
    main()
