"""Array tasks that stand by: what fails is tried again with more, and nobody submits it."""

import json
import os
import signal
from pathlib import Path

from tests.runs.command_line import ECHO
from tests.runs.finetunes import TUNED, adapters, write_experiment
from tests.slurm.cluster import Cluster
from tests.slurm.runs import (
    SLURM,
    drained,
    explained,
    held,
    job_ids,
    launch,
    on_cluster,
    processes,
    quick,
    status,
    sweep,
)

RETRY = """
[slurm.retry]
times = 2
mem_factor = 3.0
time_factor = 2.0
gpu_hours = 10
"""
HUNGRY = (
    ECHO.replace("[models.echo]", '[models.echo]\noptions = { hog = "panic", hog_mb = 700 }')
    .replace("[models.therapist]\n", "")
    .replace('["none", "prompt1", "prompt2"]', '["none"]')
)
TASK = "generate-echo-00000-of-00003"


def test_what_runs_out_of_memory_is_tried_again_with_more_and_nobody_submits_it(
    cluster: Cluster, tmp_path: Path
):
    """The first try has 0.4 GB and is killed, the second 1.2 GB: the report is whole."""
    on_cluster(tmp_path, HUNGRY + SLURM + RETRY)
    said = sweep(cluster, tmp_path)
    drained(cluster)
    seen = status(cluster, tmp_path)
    told = launch(cluster, "explain", TASK, "--config", "echo.toml", cwd=tmp_path).stdout
    generate, first, second = job_ids(said)[:3]
    slurm = tmp_path / "runs/echo/slurm"

    assert f"submitted {first}: generate echo, 3 array tasks, retry 1 (1.2 GB, 60 min)" in said
    assert f"retry 2 (3.6 GB, 120 min), if {generate} and {first} fail" in said
    assert explained(cluster, tmp_path, TASK) == ["out of memory", "done"]
    assert f"array task {first}_0, retry 1 (1.2 GB, 60 min)" in told
    assert seen["failures"] == []
    assert all(line["done"] for line in seen["conditions"])
    assert [stage["done"] for stage in seen["stages"]] == [3, 2, 1]
    assert (tmp_path / "runs/echo/report/results.csv").exists()
    # what was done already was not done again, and what nothing needed never began
    assert "0 of 1 tasks are to be done" in (slurm / "0002-generate-echo/logs/1.log").read_text()
    assert not list((slurm / "0003-generate-echo/logs").iterdir())
    assert second not in cluster.queue()


def test_answers_wait_for_whichever_try_of_a_fine_tune_ends_well(cluster: Cluster, tmp_path: Path):
    """The first training is killed; the second makes the adapter, and the third never begins."""
    write_experiment(tmp_path, quick(TUNED.replace('[16, "all"]', "[16]") + SLURM + RETRY))
    done = launch(cluster, "sweep", "--config", "tuned.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    first, second, third = job_ids(done.stdout)[:3]
    assert f", after {first} or {second} or {third}" in done.stdout
    cluster.wait_for(lambda: bool(processes(cluster, first, 0)))
    for pid in processes(cluster, first, 0):
        os.kill(pid, signal.SIGKILL)
    drained(cluster)
    run = tmp_path / "runs/tuned"

    assert len(adapters(run)) == 1
    assert "PARTIAL" not in (run / "report/table2.tex").read_text()
    assert list(run.glob("slurm/0002-finetune*/logs/0.log"))
    assert not list(run.glob("slurm/0003-finetune*/logs/*"))


def test_what_does_not_fit_into_the_budget_is_not_submitted_and_that_is_said(
    cluster: Cluster, tmp_path: Path
):
    """Two arrays on GPUs share it; a second sweep adds nothing; cancel takes what stands by."""
    gpus = "[slurm.generate]\npartition = 'gpu'\ngres = 'gpu:1'\n"
    two = ECHO.replace(
        "[metrics.bleu]", "[models.other]\nuse = 'echo'\nprompts = ['none']\n[metrics.bleu]"
    )
    on_cluster(tmp_path, quick(two + SLURM) + gpus + RETRY.replace("= 10", "= 2.5"))
    with held(cluster):
        first = launch(cluster, "sweep", "--config", "echo.toml", "--json", cwd=tmp_path)
        again = launch(cluster, "sweep", "--config", "echo.toml", "--json", cwd=tmp_path)
        waiting = status(cluster, tmp_path)["stages"]
        told = launch(cluster, "explain", TASK, "--config", "echo.toml", cwd=tmp_path).stdout
        before = set(cluster.queue())
        launch(cluster, "cancel", TASK, "--config", "echo.toml", cwd=tmp_path)
        cancelled = before - set(cluster.queue())
        launch(cluster, "cancel", "--config", "echo.toml", cwd=tmp_path)
    made = json.loads(first.stdout)["submitted"]
    tries = [(a["stage"], a["key"], a["retry"], a["elements"]) for a in made if a["retry"]]
    of_echo = [a["job"] for a in made if a["key"] == "echo"]

    assert tries == [
        ("generate", "echo", 1, 1),
        ("generate", "other", 1, 1),
        ("score", "lexical", 1, 2),
        ("score", "lexical", 2, 2),
    ]
    assert first.returncode == 0, first.stderr
    assert "not every retry of generate 'echo' stands by: one array task would take 3 " in (
        first.stderr
    )
    assert "slurm.retry.gpu_hours = 2.5 is 1.25" in first.stderr
    assert json.loads(again.stdout)["submitted"] == []
    assert [(s["queued"], s["standing_by"]) for s in waiting] == [(3, 3), (3, 3), (2, 2), (1, 0)]
    assert f"if it fails: array task {of_echo[1]}_0, retry 1 (1.2 GB, 60 min)" in told
    assert cancelled == {f"{job}_0" for job in of_echo}


def test_efficiency_tells_what_was_used_and_what_would_fit(cluster: Cluster, tmp_path: Path):
    """Memory, time and processors as the accounting has them; the proposal runs as it is."""
    gpus = "[slurm.generate]\npartition = 'gpu'\ngres = 'gpu:1'\n"
    on_cluster(tmp_path, ECHO + SLURM + gpus)
    sweep(cluster, tmp_path)
    drained(cluster)
    command = ("status", "--efficiency", "--config", "echo.toml")
    cluster.wait_for(lambda: cluster.run("sacct", "-n", "-o", "MaxRSS").strip())
    told = launch(cluster, *command, cwd=tmp_path)
    read = json.loads(launch(cluster, *command, "--json", cwd=tmp_path).stdout)
    one = launch(cluster, *command, "--stage", "score", "--json", cwd=tmp_path)
    show = ("status", "--config", "echo.toml", "--json", "--model")
    of_model, wrong = (launch(cluster, *show, name, cwd=tmp_path) for name in ("echo", "ecco"))
    generate, score, report = read["efficiency"]
    page = (tmp_path / "runs/echo/report/index.html").read_text()
    taken = page[page.index('<section id="resources"') :]

    assert (generate["stage"], generate["key"], generate["n"]) == ("generate", "echo", 3)
    assert (generate["mem_gb_asked"], generate["min_asked"]) == (0.4, 30)
    assert 0 < generate["mem_gb_used"] < 0.4
    most = 2 * (os.cpu_count() or 1)  # no core is withheld here, and time is in whole seconds
    assert 0 < generate["cpu_share"] <= most
    assert 0 < generate["gpu_h_used"] < 0.1
    assert (generate["gpu_h_wasted"], score["gpu_h_used"]) == (0, 0)
    assert generate["mem_gb_used"] < read["fits"]["models.echo.slurm"]["mem_gb"] < 0.6
    assert read["fits"]["slurm.score"]["time_min"] == 5
    assert 0 < score["cpu_share"] <= most
    assert report["n"] == 1
    assert "[models.echo.slurm]\nmem_gb = " in told.stdout
    assert [line["stage"] for line in json.loads(one.stdout)["efficiency"]] == ["score"]
    assert json.loads(of_model.stdout)["stages"][0]["key"] == "echo"
    assert {c["condition"].split(".")[0] for c in json.loads(of_model.stdout)["conditions"]} == {
        "echo"
    }
    assert wrong.returncode == 2
    assert "Did you mean 'echo'?" in wrong.stderr
    assert f"{generate['min_used']:.1f} of 30" in taken
    assert "score lexical" in taken


def test_the_end_of_a_run_is_told_whether_it_is_whole_or_not(cluster: Cluster, tmp_path: Path):
    """A command gets the state and the counts; that it fails itself changes nothing."""
    config = ECHO.replace("[models.echo]", "[models.echo]\noptions = { fail = 'panic' }")
    told = tmp_path / "told.json"
    on_cluster(tmp_path, quick(config + SLURM) + f"notify = 'cat >{told}; echo no; exit 7'\n")
    sweep(cluster, tmp_path)
    drained(cluster)
    first = json.loads(told.read_text())
    log = next((tmp_path / "runs/echo/slurm").glob("*-report-report/logs/0.log")).read_text()
    launch(
        cluster,
        "sweep",
        "--config",
        "echo.toml",
        "--set",
        "models.echo.options.fail=",
        cwd=tmp_path,
    )
    drained(cluster)

    assert (first["run"], first["state"], first["conditions"]) == ("echo", "partial", 4)
    assert first["conditions_done"] < 4
    assert 0 < first["rows_done"] < first["rows"]
    assert first["path"] == str(tmp_path / "runs/echo")
    assert "nobody was told: the command ended with 7: no" in log
    assert explained(cluster, tmp_path, "report-report-00000-of-00001")[-1] == "done"
    assert json.loads(told.read_text())["state"] == "complete"
