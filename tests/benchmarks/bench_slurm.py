"""Submitting, looking and running on the simulated cluster, against budgets and bare scripts.

Plans and submits 10,000 shards (10 models of 1,000), calls the same sweep again, and status, with
submitit's own ``map_array`` for as many tasks before and after it; counts files and Slurm's calls;
compares one element with a bare batch job that runs ``python -c pass`` and imports what an
element imports; and elements of 5 s with an array of bare ``sleep 5``: one for each core of this
machine, and 1,000 on 32 slots, where the start of Python on few cores decides. Needs Slurm's
packages (see slurm/sim/README.md).

    python tests/benchmarks/bench_slurm.py                   # everything
    python tests/benchmarks/bench_slurm.py submission 2000   # 20,000 shards, and nothing else
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.runs.command_line import environment, write_questions
from tests.slurm.cluster import Cluster, missing

N_MODELS, N_SHARDS = 10, 1_000
PYTHON = sys.executable
PROGRAMS = ("sbatch", "squeue", "sacct", "scancel", "scontrol", "sacctmgr", "sinfo")
MAP_ARRAY = """
import sys, time
import submitit
executor = submitit.SlurmExecutor(sys.argv[1])
executor.update_parameters(time=30, mem="205MB", cpus_per_task=1, array_parallelism=256)
for _ in range(int(sys.argv[2])):
    executor.map_array(time.sleep, [0] * int(sys.argv[3]))
"""
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


def as_user(cluster: Cluster) -> dict[str, str]:
    """Return a user's environment: what was once imported stays compiled."""
    env = environment(cluster.env)
    return {name: value for name, value in env.items() if name != "PYTHONDONTWRITEBYTECODE"}


def core_s() -> float:
    """Return how long a core has worked for this process's children, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def timed(cluster: Cluster, folder: Path, *arguments: str) -> tuple[float, str]:
    """Return how long one command took, and what it said; it must end well."""
    started, before = time.perf_counter(), core_s()
    done = subprocess.run(
        [PYTHON, "-m", "jobs.launch", *arguments, "--config", "large.toml"],
        cwd=folder, env=as_user(cluster), check=True, capture_output=True, text=True,
    )  # fmt: skip
    seconds = time.perf_counter() - started
    print(f"{arguments[0]}: {seconds:.2f} s, of one core {core_s() - before:.2f} s")
    return seconds, done.stdout


def with_counted_calls(cluster: Cluster, folder: Path) -> Cluster:
    """Return the cluster with programs that write their name into ``calls`` first."""
    programs = folder / "bin"
    programs.mkdir()
    for name in PROGRAMS:
        real = cluster.run("which", name).strip()
        path = programs / name
        path.write_text(f'#!/bin/sh\necho {name} >> "{folder}/calls"\nexec {real} "$@"\n')
        path.chmod(0o755)
    env = cluster.env | {"PATH": f"{programs}:{cluster.env['PATH']}"}
    return replace(cluster, env=env)


def calls(folder: Path) -> str:
    """Return how often each program was called since this was last asked."""
    path = folder / "calls"
    counts = Counter(path.read_text().split()) if path.exists() else Counter()
    path.unlink(missing_ok=True)
    return ", ".join(f"{n} {name}" for name, n in counts.most_common()) or "no calls"


def n_files(folder: Path) -> int:
    """Count the files under a folder."""
    return sum(path.is_file() for path in folder.rglob("*"))


def map_array(cluster: Cluster, folder: Path, n_shards: int) -> float:
    """Return how long submitit takes for as many arrays of as many tasks, and remove its jobs."""
    script, jobs = folder / "map_array.py", folder / f"map_array-{time.time_ns()}"
    script.write_text(MAP_ARRAY)
    started, before = time.perf_counter(), core_s()
    command = [PYTHON, str(script), str(jobs), str(N_MODELS), str(n_shards)]
    subprocess.run(command, cwd=folder, env=as_user(cluster), check=True)
    seconds = time.perf_counter() - started
    print(f"map_array: {seconds:.1f} s, of one core {core_s() - before:.2f} s, "
          f"{n_files(jobs):,} files, {calls(folder)}")  # fmt: skip
    cluster.run("scancel", "--state=PENDING", "-u", str(os.getuid()))
    cluster.wait_for(lambda: len(cluster.queue()) <= 1, 120)  # the one that keeps the nodes busy
    calls(folder)  # these two are not its own
    return seconds


def submission(cluster: Cluster, folder: Path, n_shards: int = N_SHARDS) -> None:
    """Submit 10,000 shards to a cluster whose nodes are too busy to run any.

    Once with everything that a run does first (its rows are read, audited and frozen, its code is
    copied and compiled), and once more after they were cancelled: the plan and the arrays alone.
    """
    models = [f'[models.m{i}]\nuse = "echo"\nprompts = ["none"]' for i in range(N_MODELS)]
    write(folder, "\n".join(models), n_shards)
    block = [
        "-p",
        "all",
        "-N",
        "4",
        "--exclusive",
        "-t",
        "60",
        "-o",
        "/dev/null",
        "--wrap",
        "sleep 3600",
    ]
    blocker = cluster.submit(*block)
    cluster.wait_for(lambda: cluster.queue().get(blocker) == "RUNNING")
    counted = with_counted_calls(cluster, folder)
    theirs = [map_array(counted, folder, n_shards)]
    shards = ("--set", f"generation.shards={n_shards}")
    first, _ = timed(counted, folder, "sweep", *shards)
    print(f"{N_MODELS * n_shards:,} shards: {first:.1f} s, {n_files(folder / 'runs'):,} files, "
          f"{calls(folder)}")  # fmt: skip
    again, _ = timed(counted, folder, "sweep", *shards)
    print(f"again: {again:.1f} s, {calls(folder)}")
    looked, _ = timed(counted, folder, "status")
    print(f"status: {looked:.2f} s, {calls(folder)}")
    ended, _ = timed(counted, folder, "cancel")
    print(f"cancel: {ended:.2f} s, {calls(folder)}")
    cluster.wait_for(lambda: len(cluster.queue()) <= 1, 120)
    theirs.append(map_array(counted, folder, n_shards))
    anew, _ = timed(counted, folder, "sweep", *shards)
    print(f"{N_MODELS * n_shards:,} shards anew: {anew:.1f} s, {calls(folder)}")
    timed(counted, folder, "cancel")
    cluster.wait_for(lambda: len(cluster.queue()) <= 1, 120)
    calls(folder)
    theirs.append(map_array(counted, folder, n_shards))
    pace = statistics.mean(theirs)
    print(f"submit-{N_MODELS * n_shards}: {pace / anew:.2f} of map_array's pace, with a new run's "
          f"rows and code {pace / first:.2f} (asked 1.0); load {os.getloadavg()[0]:.1f} on "
          f"{os.cpu_count()} cores")  # fmt: skip
    print(f"submit-nothing: {3 / again:.1f}x (asked 1.0x)")
    print(f"status: {1.5 / looked:.1f}x (asked 1.0x)")
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
    only, n_shards, *_ = [*sys.argv[1:], "", ""]
    parts = (submission, overhead, few, many)
    print(f"{os.cpu_count()} cores; simulated cluster of four nodes with 8 CPUs each")
    with tempfile.TemporaryDirectory(prefix="sim-", dir="/tmp") as name:
        cluster = Cluster.start(Path(name), acct=True)
        try:
            for part in (part for part in parts if only in ("", part.__name__)):
                with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                    part(cluster, Path(folder), *([int(n_shards)] if n_shards else []))
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
