"""Start-up of the command line, and a sweep that finds nothing to do.

Budgets, so the peer is the limit itself: budget ÷ measured, the best of three (the machine is
shared, and what is asked is what the code needs).
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.runs.command_line import environment, write_questions

N_SHARDS = 1_000
CONFIG = f"""
name = "large"
[data.sources.made]
path = "made.csv"
context = "question"
response = "answer"
[evaluate]
split = "all"
block_size = 1
[generation]
shards = {N_SHARDS}
[models.echo]
prompts = ["none"]
[metrics.bleu]
[scoring]
shards = 10
[local]
workers = 2
"""


def seconds(*arguments: str, cwd: Path) -> float:
    """Return how long one command takes; it must end well."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "jobs.launch", *arguments, "--executor", "local"]
    subprocess.run(command, cwd=cwd, env=environment(), check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    """Print both ratios."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_questions(folder, N_SHARDS)
        (folder / "large.toml").write_text(CONFIG)
        first = seconds("sweep", "--config", "large.toml", cwd=folder)
        second = min(seconds("sweep", "--config", "large.toml", cwd=folder) for _ in range(3))
        shown = min(seconds("--help", cwd=folder) for _ in range(3))
    print(f"first sweep of {N_SHARDS} shards: {first:.1f} s; the second: {second:.2f} s")
    print(f"second-sweep: {3 / second:.1f}x (asked 1.0x)")
    print(f"--help: {shown * 1000:.0f} ms")
    print(f"help: {0.3 / shown:.1f}x (asked 1.0x)")


if __name__ == "__main__":
    main()
