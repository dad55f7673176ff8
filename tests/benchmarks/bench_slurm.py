"""Submitting, looking and running on the simulated cluster, against budgets and bare scripts.

Plans and submits 10,000 shards (10 models of 1,000), calls the same sweep again, and status;
compares one element with a bare batch job that runs ``python -c pass`` and imports what an
element imports; and elements of 5 s with an array of bare ``sleep 5``: one for each core of this
machine, and 1,000 on 32 slots, where the start of Python on few cores decides. Needs Slurm's
packages (see slurm/sim/README.md).

    python tests/benchmarks/bench_slurm.py
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.runs.command_line import environment, write_questions
from tests.slurm.cluster import Cluster, missing

N_MODELS, N_SHARDS = 10, 1_000
PYTHON = sys.executable
HEAD = """
name = "large"
[data.sources.made]
path = "made.csv"
context = "question"
response = "answer"
[evaluate]
split = "all"
block_size = 1
[generation]
shards = 1000
[metrics.bleu]
[slurm]
cpus = 1
mem_gb = 0.2
time_min = 30
"""


def write(folder: Path, models: str, n: int = N_SHARDS) -> None:
    """Write *n* questions and a configuration."""
    write_questions(folder, n)
    (folder / "large.toml").write_text(HEAD + models)


def timed(cluster: Cluster, folder: Path, *arguments: str) -> tuple[float, str]:
    """Return how long one command took, and what it said; it must end well."""
    started = time.perf_counter()
    done = subprocess.run(
        [PYTHON, "-m", "jobs.launch", *arguments, "--config", "large.toml"],
        cwd=folder, env=environment(cluster.env), check=True, capture_output=True, text=True,
    )  # fmt: skip
    return time.perf_counter() - started, done.stdout


def submission(cluster: Cluster, folder: Path) -> None:
    """Submit 10,000 shards to a cluster whose nodes are too busy to run any."""
    models = [f'[models.m{i}]\nuse = "echo"\nprompts = ["none"]' for i in range(N_MODELS)]
    write(folder, "\n".join(models))
    block = ["-p", "all", "-N", "4", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 3600"]
    blocker = cluster.submit(*block)
    cluster.wait_for(lambda: cluster.queue().get(blocker) == "RUNNING")
    first, said = timed(cluster, folder, "sweep")
    again, _ = timed(cluster, folder, "sweep")
    looked, _ = timed(cluster, folder, "status")
    n_calls = said.count("submitted ")
    print(f"10,000 shards in {n_calls} sbatch calls: {first:.1f} s; again: {again:.1f} s; "
          f"status: {looked:.2f} s")  # fmt: skip
    print(f"submit-10000: {15 / first:.1f}x (asked 1.0x)")
    print(f"submit-nothing: {5 / again:.1f}x (asked 1.0x)")
    print(f"status-10000: {2 / looked:.1f}x (asked 1.0x)")
    timed(cluster, folder, "cancel")
    cluster.run("scancel", blocker)
    cluster.wait_for(lambda: not cluster.queue(), 120)


def seconds_of(cluster: Cluster, job: str) -> float:
    """Return how long an array took, from the first start to the last end."""
    cluster.wait_for(lambda: not any(name.startswith(job) for name in cluster.queue()), 1200)
    time.sleep(4)  # the accounting lags
    lines = cluster.run("sacct", "-X", "-n", "-P", "-j", job, "-o", "Start,End").splitlines()
    times = [line.split("|") for line in lines]
    parsed = [time.mktime(time.strptime(t, "%Y-%m-%dT%H:%M:%S")) for row in times for t in row]
    return max(parsed) - min(parsed)


def overhead(cluster: Cluster, folder: Path) -> None:
    """Measure one element by its own clock, bare Python with the same imports beside it."""
    imports = (
        "import jobs.executors.slurm.array_task, jobs.stages.generate, polars, numpy, pydantic"
    )
    write(folder, '[models.echo]\nprompts = ["none"]')
    (folder / "one.py").write_text(f"{imports}\n")
    env = f"export PYTHONPATH={Path(__file__).parents[2]}"
    scripts = {
        "bare": f"{PYTHON} -c pass",
        "imports": f"{env}; {PYTHON} {folder / 'one.py'}",
    }
    timed(cluster, folder, "sweep", "--set", "generation.shards=1")
    script = next((folder / "runs/large/slurm").glob("0001-*/*_submission.sh"))
    cluster.wait_for(lambda: not cluster.queue(), 120)
    # the same element again, with everything done: what is left is its overhead
    variables = "SLURM_ARRAY_JOB_ID=1 SLURM_ARRAY_TASK_ID=0"
    scripts["element"] = f"{variables} bash {script}"
    found = {name: [] for name in scripts}
    for _ in range(5):
        for name, line in scripts.items():
            out = folder / f"{name}.time"
            wrap = f"s=$(date +%s%N); ({line}) >/dev/null; e=$(date +%s%N); echo $((e-s)) > {out}"
            cluster.run("sbatch", "-W", "--mem=500", "-o", "/dev/null", "--wrap", wrap)
            found[name].append(int(out.read_text()) / 1e9)
    best = {name: statistics.median(values) for name, values in found.items()}
    extra = best["element"] - best["imports"]
    print(json.dumps({name: round(value, 2) for name, value in best.items()}))
    print(f"an element beside its imports: {extra:.2f} s")
    print(f"element-overhead: {0.5 / max(extra, 0.01):.1f}x (asked 1.0x)")


def throughput(cluster: Cluster, folder: Path, n: int, slots: int) -> None:
    """Run *n* elements that sleep 5 s, and an array of bare scripts, at most *slots* at once."""
    models = '[models.echo]\nprompts = ["none"]\noptions = { delay_s = 5.0 }'
    write(folder, models, n)
    settings = ["--set", "slurm.partition='all'", "--set", f"slurm.parallel={slots}"]
    _, said = timed(cluster, folder, "sweep", *settings)
    ours = seconds_of(cluster, said.split("submitted ")[1].split(":")[0])
    cluster.wait_for(lambda: not cluster.queue(), 300)
    array = ["-p", "all", "--mem=205", "-a", f"0-{n - 1}%{slots}", "-o", "/dev/null"]
    theirs = seconds_of(cluster, cluster.submit(*array, "--wrap", "sleep 5"))
    print(f"{n:,} elements of 5 s on {slots} slots: {ours:.0f} s; bare scripts: {theirs:.0f} s "
          f"({ours / theirs:.2f} times as long)")  # fmt: skip
    print(f"throughput-{slots}-slots: {1.3 * theirs / ours:.2f}x (asked 1.0x)")


def few(cluster: Cluster, folder: Path) -> None:
    """Run as many elements at once as the machine has cores, as a cluster would."""
    throughput(cluster, folder, 40, os.cpu_count() or 1)


def many(cluster: Cluster, folder: Path) -> None:
    """Run 1,000 elements on 32 slots; the nodes are simulated, the cores are this machine's."""
    throughput(cluster, folder, N_SHARDS, 32)


def main() -> None:
    """Print what was measured, and the ratios."""
    if missing():
        print(f"not measured: Slurm is not installed here (no {', '.join(missing())})")
        return
    print(f"{os.cpu_count()} cores; simulated cluster of four nodes with 8 CPUs each")
    with tempfile.TemporaryDirectory(prefix="sim-", dir="/tmp") as name:
        cluster = Cluster.start(Path(name), acct=True)
        try:
            for part in (submission, overhead, few, many):
                with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                    part(cluster, Path(folder))
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
