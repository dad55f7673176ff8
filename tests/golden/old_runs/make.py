"""Make ``old_runs.tar.xz``: small run directories of each kind, as one version leaves them.

Run it with the code of the version that the runs shall be of (those that are here: commit d2ac38f)
and Slurm installed, never with a later one:

    git worktree add ../then d2ac38f && cp -r tests/golden/old_runs ../then/tests/golden/
    cd ../then && PYTHONPATH=. python tests/golden/old_runs/make.py

The runs: ``imported`` is finished (texts made elsewhere, echoes, a therapist); ``half`` was killed
while it generated; ``queued`` was submitted to a cluster that is gone; ``tuned`` trained a tiny
model; ``planned`` was planned and nothing else. All texts were written for them here. Interpreter,
host and platform are replaced by words; ``HOME`` stays in what an adapter records.
"""

import csv
import io
import json
import os
import platform
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from empathy_core.store import RunDir
from jobs import config as configuration
from jobs import sweep
from tests.slurm.cluster import Cluster
from tests.tiny_models import bpe_tokenizer

HOME = Path("/srv/study")
"""Files of the runs hold it, and some of those are checked by their size."""

FINISHED = Path(__file__).with_name("old_runs.tar.xz")
ROOT = Path(__file__).parents[3]

METRICS = """
[metrics.bleu]
[metrics.rouge]
[metrics.length]
[metrics.diagnostics]
"""

LOCAL = """
[local]
workers = 1
threads = 1
"""

IMPORTED = (
    """
name = "imported"
[data.sources.mine]
path = "questions.csv"
context = "question"
response = "answer"
author = "who"
keep = ["topic"]
licence = "Apache-2.0"
redistribute = true
[evaluate]
split = "all"
block_size = 4
[decoding.greedy]
max_new_tokens = 24
[models.therapist]
[models.echo]
prompts = ["none", "prompt2"]
[answers.samples]
path = "samples.csv"
sample = "k"
label = "Three samples"
[answers.single]
path = "single.csv"
label = "One answer"
[answers.blank]
path = "blank.csv"
label = "Some empty"
[answers.invisible]
path = "invisible.csv"
label = "Some invisible"
[report]
subgroups = ["topic"]
[report.contrasts.guidance]
first = "echo.none"
second = "echo.prompt2"
[scoring]
shards = 2
"""
    + METRICS
    + LOCAL
)

ECHOES = """
name = "half"
[data.sources.sample]
[evaluate]
split = "all"
block_size = 4
[generation]
shards = 3
[decoding.greedy]
max_new_tokens = 24
[models.therapist]
[models.echo]
prompts = ["none"]
options = { delay_s = 0.0 }
"""
HALF = ECHOES + METRICS + LOCAL
QUEUED = (
    HALF.replace('"half"', '"queued"').replace('["none"]', '["none", "prompt2"]')
    + "\n[slurm]\ncpus = 1\nmem_gb = 0.4\ntime_min = 30\n"
)
PLANNED = HALF.replace('"half"', '"planned"')

TUNED = (
    """
name = "tuned"
[data]
fractions = [0.5, 0.125, 0.375]
[data.sources.feelings]
path = "feelings.csv"
context = "question"
response = "answer"
licence = "Apache-2.0"
[decoding.greedy]
max_new_tokens = 8
[models.tiny]
weights = "./base"
architecture = "decoder"
chat_template = true
prompts = ["prompt2"]
[finetune.q]
base = "tiny"
quantization = "none"
train_sizes = [16]
epochs = 2.0
batch_size = 8
micro_batch = 4
learning_rate = 0.01
r = 2
allow = ["overfit-fails", "overfit-not-regenerated"]
trackers = []
samples = 1
"""
    + METRICS
    + LOCAL
)


# ---------------------------------------------------------------------------- inputs

WORDS = (  # noqa: SIM905  a list of words
    "you can feel sad today and still talk with someone who will listen to what is hard for you "
    "at work or home because nobody has to carry a worry like this alone for a long time"
).split()

TWINS = (
    ("I take 1.5 mg every evening. Is that much?", "Ask the doctor who gave you 1.5 mg."),
    ("I take 15 mg every evening. Is that much?", "Ask the doctor who gave you 15 mg."),
    ("My mood today is 😀. What does it mean?", "It may mean 😀, and that is good."),
    ("My mood today is 😢. What does it mean?", "It may mean 😢, and that is sad."),
    ("我 很 难过 , 怎么 办 ?", "谢谢 你 告诉 我 。 你 不 孤单 。"),
    ("I am sad &amp;nbsp;and tired. What now?", "Rest &amp;nbsp;first, then talk."),
)
"""Texts that cleaning, counting and keys have been known to get wrong."""


def _questions() -> list[tuple[str, str, str, str]]:
    """Return (question, answer, topic, who): 20 questions with two answers each, and the twins."""
    chance = random.Random(1)

    def words() -> str:
        return " ".join(chance.choice(WORDS) for _ in range(chance.randint(6, 14)))

    topics = ("work", "family", "sleep")
    rows = [
        (f"Number {i}: {words()}?", words(), topics[i % 3], who)
        for i in range(20)
        for who in ("Ann", "Ben")
    ]
    asked: dict[str, str] = {}
    rows = [(asked.setdefault(row[0].split(":")[0], row[0]), *row[1:]) for row in rows]
    return rows + [(question, answer, "work", "Ann") for question, answer in TWINS]


def _write_inputs(home: Path) -> None:
    chance = random.Random(2)
    rows = _questions()
    _write(home / "questions.csv", ("question", "answer", "topic", "who"), rows)
    feelings = ("sad", "anxious", "afraid", "alone", "angry", "tired", "guilty", "lost")
    pairs = [(a, b) for a in feelings for b in feelings if a != b][:48]
    made = [(f"I feel {a} and {b}. What now?", f"It takes courage to say {a}.") for a, b in pairs]
    _write(home / "feelings.csv", ("question", "answer"), made)

    def near(text: str, share: float) -> str:
        return " ".join(
            chance.choice(WORDS) if chance.random() < share else w for w in text.split()
        )

    ids = [f"mine-{i:05d}" for i in range(len(rows))]
    texts = dict(zip(ids, (row[1] for row in rows), strict=True))
    single = [(i, near(text, 0.5)) for i, text in texts.items()]
    samples = [(i, near(t, 0.8) if k == 0 else t, str(k)) for i, t in texts.items() for k in (0, 1)]
    blank = [(i, "" if n % 12 == 0 else text) for n, (i, text) in enumerate(single)]
    hidden = "\N{ZERO WIDTH SPACE}\N{WORD JOINER}"
    unseen = [(i, hidden if n % 10 == 0 else text) for n, (i, text) in enumerate(single)]
    _write(home / "single.csv", ("example", "text"), single)
    _write(home / "samples.csv", ("example", "text", "k"), samples)
    _write(home / "blank.csv", ("example", "text"), blank)
    _write(home / "invisible.csv", ("example", "text"), unseen)
    for name, text in (("imported", IMPORTED), ("half", HALF), ("queued", QUEUED),
                       ("tuned", TUNED), ("planned", PLANNED)):  # fmt: skip
        (home / f"{name}.toml").write_text(text)
    _write_base(home / "base")


def _write(path: Path, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)


def _write_base(folder: Path) -> None:
    """Write a random Llama of some thousand weights, with its tokenizer."""
    torch.manual_seed(0)
    words = bpe_tokenizer()
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=8, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=512,
        initializer_range=0.5, bos_token_id=words.bos_token_id, eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id, tie_word_embeddings=False,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    model.generation_config.eos_token_id = [1, 5]
    model.save_pretrained(folder)
    words.save_pretrained(folder)


# ---------------------------------------------------------------------------- runs


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "jobs.launch", *arguments]


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "PASSIVE"}


def _sweep(name: str, *arguments: str) -> None:
    local = ["--executor", "local", *arguments]
    command = _command("sweep", "--config", f"{name}.toml", *local)
    subprocess.run(command, cwd=HOME, env=_environment(), check=True)


def _half() -> None:
    """Finish one prompt, then kill the launcher and its workers while the second is answered."""
    _sweep("half")
    both = ("models.echo.prompts=['none','prompt2']", "models.echo.options.delay_s=0.15")
    changes = [word for change in both for word in ("--set", change)]
    local = ["--executor", "local", *changes]
    command = _command("sweep", "--config", "half.toml", *local)
    process = subprocess.Popen(command, cwd=HOME, env=_environment(), start_new_session=True)
    second = "runs/half/generations/echo.prompt2.*"
    while len(list(HOME.glob(f"{second}/0*.parquet"))) < 1:
        time.sleep(0.05)
    while not any(len(p.read_bytes()) > 2000 for p in HOME.glob(f"{second}/journal/*.jsonl")):
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(1)  # workers end with their launcher


def _queued() -> None:
    """Submit to a cluster, let it begin, and take the cluster away."""
    cluster = Cluster.start(HOME / "sim", acct=False, cpu_nodes=1, gpu_nodes=0, cpus=1)
    try:
        slow = "models.echo.options.delay_s=0.15"
        command = _command("sweep", "--config", "queued.toml", "--set", slow)
        env = cluster.env | {"PYTHONPATH": str(ROOT)}
        subprocess.run(command, cwd=HOME, env=env, check=True)
        pieces = "runs/queued/generations/echo.none.*/0*.parquet"
        cluster.wait_for(lambda: len(list(HOME.glob(pieces))) >= 1, 120)
        time.sleep(1)
    finally:
        cluster.stop()
    shutil.rmtree(HOME / "sim")
    shutil.rmtree(HOME / "runs/queued/slurm/code")  # the suite itself, once more


def _planned() -> None:
    config = configuration.read(str(HOME / "planned.toml"))
    sweep.plan(config, RunDir(HOME / "runs" / "planned"), "python -m jobs.launch sweep")


# ---------------------------------------------------------------------------- packing

LEFT_OUT = ("/locks/", "/.lock", "workers.log", ".html", ".svg", ".pdf", "-standalone.tex")
"""What is large or empty, and read by nothing."""


def _replaced(data: bytes) -> bytes:
    """Replace what names this machine by words that a test can put its own paths in place of."""
    words = {
        sys.executable: "@PYTHON@", sys.prefix: "@ENV@", str(ROOT): "@SUITE@",
        json.dumps(platform.platform())[1:-1]: "Linux",
    }  # fmt: skip
    for word, placeholder in words.items():
        data = data.replace(word.encode(), placeholder.encode())
    host = re.escape(socket.gethostname().encode())
    return re.sub(rb'"host": ?"' + host + b'"', b'"host": "node"', data)


def _named(path: Path) -> str:
    """Return a file's name in the archive; journals bear the host's name."""
    return str(path.relative_to(HOME)).replace(f".{socket.gethostname()}-", ".node-")


def _pack() -> None:
    """Write the archive."""
    with tarfile.open(FINISHED, "w:xz", preset=9) as archive:
        for path in sorted(p for p in HOME.rglob("*") if p.is_file()):
            name, data = _named(path), path.read_bytes()
            if any(part in f"/{name}" for part in LEFT_OUT):
                continue
            if path.suffix not in (".parquet", ".safetensors"):
                data = _replaced(data)
            elif data != _replaced(data):
                msg = f"{path} names this machine: expected neither path nor host in it"
                raise RuntimeError(msg)
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o600
            archive.addfile(entry, io.BytesIO(data))


def main() -> None:
    """Make all runs and pack them."""
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    _write_inputs(HOME)
    _sweep("imported")
    _half()
    _queued()
    _sweep("tuned")
    _planned()
    _pack()


if __name__ == "__main__":
    main()
