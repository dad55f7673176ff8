"""Rows frozen, audited and planned, near duplicates included, in a process of its own.

Rows are made by seed. Lengths are log-normal as CounselChat's are (median words of a question 46,
of an answer 141), words follow Zipf's law, one answer in six begins with a stock phrase; two in a
hundred are near duplicates of another, whose number the audit must find exactly.

- Asked of a million rows are less than 60 s and, as the largest resident set the kernel saw, 3 GiB.
- The peer is datasets in the same minutes: the same file loaded, question and answer normalised and
  hashed with ``map``, duplicates dropped, split, saved. It looks for no near duplicates.

Seconds are those on the clock; those of CPU time are printed beside them, since the machine may be
shared.

    python tests/benchmarks/bench_data.py            a million rows
    python tests/benchmarks/bench_data.py 200000
"""

import hashlib
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

ROWS, BUDGET_S, BUDGET_BYTES = 1_000_000, 60.0, 3 * 2**30
NEAR, EXACT, MARKUP = 0.02, 0.01, 0.01
CHUNK = 10_000
CONFIG = """
name = "many"
[data.sources.made]
path = "made.jsonl"
context = "question"
response = "answer"
[models.echo]
prompts = ["none"]
[metrics.bleu]
"""
OPENINGS = (
    "Thank you for reaching out. I am sorry to hear that you are going through this.",
    "It sounds like you have been carrying this on your own for a long time.",
    "Hello, and thank you for your question. What you describe is more common than you think.",
    "I\u2019m so sorry that this happened to you. It was not your fault.",
    "First of all, I want to say that it takes courage to ask for help.",
)


# ---------------------------------------------------------------------------- rows


def vocabulary(rng: np.random.Generator) -> np.ndarray:
    """Return 65,536 words, each as often as Zipf's law has it; some with marks behind them."""
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = np.array(
        ["".join(rng.choice(letters, n)) for n in rng.integers(2, 9, 20_000)], dtype=object
    )
    shares = 1 / np.arange(1, len(words) + 1)
    table = words[rng.choice(len(words), 2**16, p=shares / shares.sum())]
    marked = rng.random(2**16)
    table[marked < 0.07] = table[marked < 0.07] + "."
    table[marked > 0.95] = table[marked > 0.95] + ","
    table[:18] = [f"{a}{sign}{b}" for sign in (".", "-", ":") for a in range(3) for b in range(2)]
    table[18:400] = table[18:400] + "\u2019s"
    return table


def rows(n: int, seed: int = 0) -> Iterator[tuple[str, str, int]]:
    """Yield question, answer, and 1 where the answer is a near duplicate of an earlier one."""
    rng = np.random.default_rng(seed)
    table = vocabulary(rng)
    for start in range(0, n, CHUNK):
        size = min(CHUNK, n - start)
        asked = texts(table, rng, size, 46, 0.73)
        given = texts(table, rng, size, 141, 0.68)
        of, opening = rng.random(size), rng.integers(0, 6 * len(OPENINGS), size)
        copied = ""
        for i in range(size):
            question, answer, near = asked[i], given[i], 0
            if of[i] < 0.3 and i:  # several answers to one question
                question = asked[i - 1]
            if opening[i] < len(OPENINGS):
                answer = f"{OPENINGS[opening[i]]} {answer}"
            if of[i] > 1 - EXACT and copied:
                question, answer = asked[i - 1], copied
            elif of[i] < NEAR and len(copied.split()) >= 60:
                answer, near = varied(copied), 1
            elif of[i] > 1 - EXACT - MARKUP:
                answer = f"<p>{answer}</p><p>&nbsp;Take care.</p>"
            asked[i], copied = question, "" if near else answer  # nobody has two near duplicates
            yield question, answer, near


def texts(
    table: np.ndarray, rng: np.random.Generator, n: int, median: int, spread: float
) -> list[str]:
    """Return texts of drawn words."""
    sizes = np.exp(rng.normal(np.log(median), spread, n)).astype(int).clip(3, 2_000)
    words = table[rng.integers(0, len(table), sizes.sum())].tolist()
    ends = np.cumsum(sizes)
    return [" ".join(words[e - s : e]) for s, e in zip(sizes, ends, strict=True)]


def varied(text: str) -> str:
    """Return a text with another word in its middle: 5 of its 56 or more sequences differ."""
    words = text.split(" ")
    words[len(words) // 2] = "otherwise"
    return " ".join(words)


def make(path: Path, n: int) -> int:
    """Write the rows, and return how many near duplicates are among them."""
    planted = 0
    with path.open("w", encoding="utf-8") as file:
        for question, answer, near in rows(n):
            planted += near
            file.write(json.dumps({"question": question, "answer": answer}, ensure_ascii=False))
            file.write("\n")
    return planted


# ---------------------------------------------------------------------------- what is timed


def suite(folder: Path) -> dict[str, object]:
    """Plan a sweep of the rows in *folder*, and return what the audit found."""
    from empathy_core.store import RunDir, read_json
    from jobs.config import read
    from jobs.planning.sweep import plan

    run = RunDir(folder / "run")
    plan(read.read(str(folder / "many.toml"), []), run, "bench")
    found = read_json(run.audit)
    near = found["near_duplicates"]
    return {
        "near": near["pairs_within_sources"],
        "rows": found["rows"],
        "evaluated": found["evaluated"]["rows"],
        "leaks": found["leaks"]["questions"],
    }


def peer(folder: Path) -> dict[str, object]:
    """Do with datasets what it does of it: load, normalise, drop duplicates, split, save."""
    import datasets

    datasets.disable_progress_bars()
    found = datasets.load_dataset(
        "json", data_files=str(folder / "made.jsonl"), split="train", cache_dir=str(folder / "hf")
    )
    seen: set[bytes] = set()

    def keys(batch: dict[str, list[str]]) -> dict[str, list[bytes]]:
        pairs = zip(batch["question"], batch["answer"], strict=True)
        texts = (re.sub(r"[\W_]+", "", f"{q}\n{a}".casefold()) for q, a in pairs)
        return {"key": [hashlib.sha256(text.encode()).digest() for text in texts]}

    def new(batch: dict[str, list[bytes]]) -> list[bool]:
        fresh = []
        for key in batch["key"]:
            fresh.append(key not in seen)
            seen.add(key)
        return fresh

    kept = found.map(keys, batched=True).filter(new, batched=True)
    kept.train_test_split(0.125, seed=0).save_to_disk(str(folder / "saved"))
    return {"rows": kept.num_rows}


WHO = {"suite": suite, "peer": peer}


def child(name: str, folder: str) -> None:
    """Do it, and print what it took and found."""
    started = time.monotonic()
    found = WHO[name](Path(folder))
    seconds, used = time.monotonic() - started, resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({
        **found, "seconds": seconds, "cpu": used.ru_utime + used.ru_stime,
        "bytes": used.ru_maxrss * 1024,
    }))  # fmt: skip


def timed(name: str, folder: str) -> dict[str, float]:
    """Run a child; return its seconds, bytes, and what it found."""
    command = [sys.executable, __file__, name, folder]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    told = f"{found['seconds']:.1f} s ({found['cpu']:.1f} s of CPU time)"
    print(f"{name}: {told}, {found['bytes'] / 2**20:,.0f} MiB, {found['rows']:,} rows kept")
    return found


def main() -> None:
    """Time both and print the ratios to what is asked."""
    if len(sys.argv) > 2:
        child(*sys.argv[1:])
        return
    n = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        planted = make(folder / "made.jsonl", n)
        (folder / "many.toml").write_text(CONFIG)
        size = (folder / "made.jsonl").stat().st_size
        print(f"{n:,} rows, {size / 2**20:,.0f} MiB, {planted:,} near duplicates planted")
        ours, theirs = timed("suite", name), timed("peer", name)
    if ours["near"] != planted or ours["leaks"]:
        sys.exit(f"found {ours['near']} near duplicates of {planted}, {ours['leaks']} leaks")
    label = f"{n // 1000}k"
    print(f"data-{label}: {BUDGET_S * n / ROWS / ours['seconds']:.2f}x (asked 1.0x)")
    print(f"data-{label}-memory: {BUDGET_BYTES / ours['bytes']:.2f}x (asked 1.0x)")
    print(f"data-{label}-datasets: {theirs['cpu'] / ours['cpu']:.2f}x (CPU time of datasets)")


if __name__ == "__main__":
    main()
