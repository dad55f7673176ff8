"""A small fine-tune for the tests: sixty-four made rows, a random Llama of one layer, real nf4."""

import hashlib
import os
import signal
import subprocess
from contextlib import suppress
from itertools import permutations
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from tests.tiny_models import tiny_llama

FEELINGS = ("sad", "anxious", "afraid", "alone", "angry", "tired", "guilty", "lost")

TUNED = """
name = "tuned"
[data]
fractions = [0.5, 0.125, 0.375]
[data.sources.made]
path = "made.csv"
context = "question"
response = "answer"
licence = "none"
[decoding.greedy]
max_new_tokens = 12
[models.tiny]
weights = "./base"
architecture = "decoder"
chat_template = true
prompts = ["prompt2"]
[finetune.q]
base = "tiny"
train_sizes = [16, "all"]
epochs = 4.0
batch_size = 8
micro_batch = 4
learning_rate = 0.01
r = 32
modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
checkpoint_steps = 2
samples = 0
allow = ["overfit-not-regenerated"]
trackers = []
[metrics.bleu]
[metrics.rouge]
[metrics.length]
[metrics.diagnostics]
[local]
workers = 2
threads = 1
"""
"""A tiny random model that learns eight rows by heart does not always give all of them back.

Sampling answers at every evaluation would take longer than the training; see ``SAMPLED``.
"""

SAMPLED = TUNED.replace("samples = 0", "samples = 2")

LONG = (
    TUNED.replace('train_sizes = [16, "all"]', "train_sizes = [32]")
    .replace("epochs = 4.0", "epochs = 60.0\nevaluations = 1")
    .replace("checkpoint_steps = 2", "checkpoint_steps = 10")
)
"""240 steps, so that there is time to end it in the middle."""


def write_experiment(folder: Path, text: str = TUNED, name: str = "tuned.toml") -> None:
    """Write base, rows and configuration into *folder*."""
    tiny_llama(folder / "base", window=512, layers=1, generation={"eos_token_id": [1, 5]})
    rows = [
        f'"I feel {a} and {b}, and {c}. What can I do?","It takes courage to say {a}."'
        for a, b, c in permutations(FEELINGS, 3)
    ]
    (folder / "made.csv").write_text("\n".join(["question,answer", *rows[::5][:64]]) + "\n")
    (folder / name).write_text(text)


def kill_whole(process: subprocess.Popen[Any], run: Path) -> None:
    """Send SIGKILL to the workers of a run, and to the launcher that started them."""
    workers = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if b"jobs.executors.worker" in words and str(run).encode() in words:
                workers.append(int(path.parent.name))
    assert workers
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    process.kill()
    process.wait()


def adapters(run: Path) -> dict[str, Path]:
    """Return name → folder of each finished adapter."""
    found = sorted(p for p in (run / "adapters").glob("[!.]*") if p.is_dir())
    return {path.name.rpartition("-")[0]: path for path in found}


def weights_digest(adapter: Path) -> str:
    """Return the SHA-256 of an adapter's weights."""
    return hashlib.sha256((adapter / "adapter_model.safetensors").read_bytes()).hexdigest()


def distance(one: Path, other: Path) -> float:
    """Return the largest difference of any weight of two adapters."""
    a, b = (load_file(path / "adapter_model.safetensors") for path in (one, other))
    assert a.keys() == b.keys()
    return max(float(abs(a[key] - b[key]).max()) for key in a)
