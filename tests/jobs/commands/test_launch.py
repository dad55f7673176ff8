"""The command line as a user meets it: exit codes, messages, and nothing lost."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from empathy_core.store import EVALUATED
from tests import preloaded
from tests.patience import until
from tests.runs.command_line import ECHO, contents, environment, launch, write_config

LOCAL = ("--config", "echo.toml", "--executor", "local")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run ``echo``."""
    folder = tmp_path_factory.mktemp("finished")
    done = launch("sweep", "--config", str(write_config(folder)), cwd=folder)
    assert done.returncode == 0, done.stderr + done.stdout
    return folder


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run that a test may break."""
    subprocess.run(["cp", "-a", f"{finished}/.", str(tmp_path)], check=True)
    return tmp_path


def test_a_sweep_writes_the_files_that_scripts_rely_on(finished: Path):
    """The report holds the named files, and the summary no name, path or time."""
    report = finished / "runs" / "echo" / "report"
    names = {p.name for p in report.iterdir()}

    assert {"table1.tex", "table1.html", "summary.csv", "summary.json", "index.html"} <= names
    summary = (report / "summary.csv").read_text()
    assert str(finished) not in summary
    assert "local" not in summary


def test_a_second_sweep_does_nothing_and_changes_no_byte(copy: Path):
    """A finished run has no task; its files stay as they are."""
    before = contents(copy / "runs" / "echo")
    dry = launch("sweep", "--config", "echo.toml", "--dry-run", "--json", cwd=copy)
    done = launch("sweep", "--config", "echo.toml", cwd=copy)

    assert json.loads(dry.stdout)["tasks"] == []
    assert done.returncode == 0, done.stderr
    assert contents(copy / "runs" / "echo") == before


@pytest.mark.parametrize("shards", [1, 2, 7])
def test_any_partition_gives_the_same_tables(finished: Path, tmp_path: Path, shards: int):
    """Shards, workers and score shards change no byte of the report."""
    write_config(tmp_path)
    changes = (f"generation.shards={shards}", f"scoring.shards={shards}", "local.workers=1")
    arguments = [part for change in changes for part in ("--set", change)]
    done = launch("sweep", "--config", "echo.toml", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr

    def tables(folder: Path) -> dict[str, str]:
        found = contents(folder / "runs" / "echo")
        return {k: v for k, v in found.items() if k.startswith("report/")}

    assert tables(tmp_path) == tables(finished)


def test_a_finished_run_may_be_cut_into_other_shards(copy: Path):
    """More shards on a finished run leave nothing to do; a new prompt uses the new ones."""
    more = launch("sweep", "--config", "echo.toml", "--set", "generation.shards=5", cwd=copy)
    assert more.returncode == 0, more.stderr
    status = launch("status", "--config", "echo.toml", "--json", cwd=copy)

    assert all(line["done"] for line in json.loads(status.stdout)["conditions"])


def test_a_new_prompt_and_metric_grow_the_run(copy: Path):
    """What is there stays; only the new condition is generated and only new scores are made."""
    before = contents(copy / "runs" / "echo")
    text = ECHO.replace('"prompt2"]', '"prompt2", "special_tokens"]')
    write_config(copy, text.replace("[metrics.rouge]", "[metrics.rouge]\nuse_stemmer = true"))
    done = launch("sweep", "--config", "echo.toml", cwd=copy)
    after = contents(copy / "runs" / "echo")

    assert done.returncode == 0, done.stderr
    kept = {k: v for k, v in before.items() if not k.startswith("report/")}
    assert kept.items() <= after.items()
    assert any("special_tokens" in name for name in after)


def test_changed_data_are_refused_and_nothing_is_touched(copy: Path):
    """Another split in the same run is exit 2, and says which setting differs."""
    before = contents(copy / "runs" / "echo")
    done = launch("sweep", "--config", "echo.toml", "--set", "data.seed=9", cwd=copy)

    assert done.returncode == 2
    assert "seed" in done.stderr
    assert contents(copy / "runs" / "echo") == before


def _a_piece(folder: Path, prompt: str = "prompt1") -> Path:
    (path,) = folder.glob(f"runs/echo/generations/echo.{prompt}.*/00001-of-00003.parquet")
    return path


@pytest.mark.parametrize("harm", ["cut", "flip", "foreign", "missing"])
def test_a_bad_shard_stops_the_report_and_the_next_sweep_mends_it(copy: Path, harm: str):
    """Report exits 3 and names the file; sweep sets it aside and ends with the same bytes."""
    before, path = contents(copy / "runs" / "echo"), _a_piece(copy)
    data = bytearray(path.read_bytes())
    if harm == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif harm == "flip":
        data[len(data) // 3] ^= 4
        path.write_bytes(data)
    elif harm == "foreign":
        path.write_bytes(_a_piece(copy, "prompt2").read_bytes())
    else:
        path.unlink()
    refused = launch("report", "--config", "echo.toml", cwd=copy)
    partial = launch("report", "--config", "echo.toml", "--partial", cwd=copy)
    table = (copy / "runs/echo/report/table1.tex").read_text()
    mended = launch("sweep", "--config", "echo.toml", cwd=copy)

    assert refused.returncode == 3
    assert path.parent.name in refused.stderr
    assert partial.returncode == 0, partial.stderr
    assert "PARTIAL" in table
    assert mended.returncode == 0, mended.stderr
    assert contents(copy / "runs" / "echo") == before


def test_a_failed_shard_stops_nothing_else(tmp_path: Path):
    """One condition's failure exits 1 with its log; the others are done, and it is mended later."""
    text = ECHO + "[models.bad]\nuse = 'echo'\nprompts = ['none']\noptions = { fail = 'e' }\n"
    write_config(tmp_path, text)
    failed = launch("sweep", "--config", "echo.toml", cwd=tmp_path)
    status = launch("status", "--config", "echo.toml", "--json", cwd=tmp_path)
    conditions = json.loads(status.stdout)["conditions"]
    lines = {line["condition"].split(".")[0]: line for line in conditions}

    assert failed.returncode == 1
    assert "generate-bad-00000-of-00003 failed" in failed.stderr
    assert "log: " in failed.stderr
    assert lines["echo"]["done"]
    assert not lines["bad"]["done"]


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(tmp_path: Path):
    """SIGINT ends the launcher and its workers; the same command finishes the run."""
    slow = ECHO.replace("[models.echo]", "[models.echo]\noptions = { delay_s = 0.05 }")
    write_config(tmp_path, slow)
    process = subprocess.Popen(
        [sys.executable, "-m", "jobs.launch", "sweep", *LOCAL],
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert until(lambda: list(tmp_path.glob("runs/echo/generations/*/journal/*")))
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=300)

    assert process.returncode == 130
    assert "the same command continues" in said
    assert launch("sweep", "--config", "echo.toml", cwd=tmp_path).returncode == 0


def test_two_sweeps_at_once_do_the_work_once(tmp_path: Path):
    """Started together on one run, both end well, and the tables are those of one."""
    write_config(tmp_path)
    command = [preloaded.python(), "-m", "jobs.launch", "sweep", *LOCAL]
    both = [
        subprocess.Popen(
            command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300)[1] for process in both]
    alone = launch("sweep", "--config", "echo.toml", "--name", "alone", cwd=tmp_path)

    assert [process.returncode for process in both] == [0, 0], said
    assert alone.returncode == 0
    assert contents(tmp_path / "runs/echo") == contents(tmp_path / "runs/alone")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("models.echo.prompts=['nonne']", "Did you mean 'none'"),
        ("metrics.blue={}", "Did you mean 'bleu'"),
        ("evaluate.limt=3", "Did you mean 'limit'"),
        ("data.sources.x={path='absent.csv', context='q', response='a'}", "absent.csv"),
        ("answers.gpt={path='absent.csv'}", "absent.csv"),
    ],
)
def test_a_mistake_exits_2_and_touches_nothing(copy: Path, change: str, expected: str):
    """One message on standard error, no traceback, the run as it was."""
    before = contents(copy / "runs" / "echo")
    done = launch("sweep", "--config", "echo.toml", "--set", change, cwd=copy)

    assert done.returncode == 2, done.stderr
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert contents(copy / "runs" / "echo") == before


def test_answers_made_elsewhere_are_a_condition_like_any_other(copy: Path):
    """A CSV of ids and texts is scored; what it lacks is told by name before anything is done."""
    examples = pl.read_parquet(copy / "runs/echo/examples/examples.parquet")
    ids = examples.filter(EVALUATED)["id"]
    texts = pl.DataFrame({"example": ids, "text": ["I am here with you."] * len(ids)})
    texts.write_csv(copy / "all.csv")
    texts.head(5).write_csv(copy / "few.csv")
    whole = launch(
        "sweep", "--config", "echo.toml", "--set", "answers.gpt={path='all.csv'}", cwd=copy
    )
    lacking = launch(
        "sweep", "--config", "echo.toml", "--set", "answers.gpt={path='few.csv'}", "--dry-run",
        cwd=copy,
    )  # fmt: skip

    assert whole.returncode == 0, whole.stderr
    assert "gpt" in (copy / "runs/echo/report/summary.csv").read_text()
    assert lacking.returncode == 0, lacking.stderr
    assert f"answers 5 of {len(ids)} examples; no answer to '{ids[5]}'" in lacking.stdout


def test_the_dry_run_shows_what_the_model_sees_and_writes_nothing(tmp_path: Path):
    """Conditions, shards, work and one rendered prompt each; no run directory appears."""
    write_config(tmp_path)
    done = launch("sweep", "--config", "echo.toml", "--dry-run", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "You are a licensed therapist." in done.stdout
    assert not (tmp_path / "runs").exists()


def test_status_and_report_of_no_run_name_the_runs_that_are_there(copy: Path):
    """A misspelt run is exit 2 with the names that exist."""
    done = launch("status", "--config", "echo.toml", "--name", "ecco", cwd=copy)

    assert done.returncode == 2
    assert "echo" in done.stderr


def test_a_look_at_a_run_reads_no_configuration_and_imports_nothing_for_it(copy: Path):
    """It is asked for often, and a configuration that is being changed must not hide a run."""
    config = copy / "echo.toml"
    config.write_text(config.read_text() + '\n[models.new]\nuse = "no such model"\n')
    unneeded = ("nltk", "scipy", "sklearn", "pandas", "jinja2", "jobs.config.read", "reports")
    code = (
        "import sys; from jobs.launch import main; "
        "code = main(['status', '--config', 'echo.toml']); "
        f"print(code, [m for m in {unneeded} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=copy,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert "conditions are complete" in done.stdout, done.stderr
    assert done.stdout.endswith("0 []\n")
    assert launch("sweep", "--config", "echo.toml", cwd=copy).returncode == 2


@pytest.mark.skipif(
    not Path("/usr/bin/sbatch").exists() and os.environ.get("CI") != "true",
    reason="Slurm's client is not installed (slurm-client)",
)
def test_slurm_configured_but_silent_is_exit_2(tmp_path: Path):
    """Auto does not fall back in silence where a cluster is configured and does not answer."""
    write_config(tmp_path)
    conf = tmp_path / "slurm.conf"
    conf.write_text(
        "ClusterName=none\nSlurmctldHost=localhost(127.0.0.1)\nSlurmctldPort=9\n"
        "AuthType=auth/none\nCryptoType=crypto/none\nMessageTimeout=2\n"
        "NodeName=localhost\nPartitionName=p Nodes=localhost Default=YES\n"
    )
    done = launch("sweep", "--config", "echo.toml", cwd=tmp_path, env={"SLURM_CONF": str(conf)})

    assert done.returncode == 2
    assert "--executor local" in done.stderr
    assert not (tmp_path / "runs").exists()


def _tmpfs(folder: Path, size: str) -> bool:
    """Mount a small file system; only root may."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("size", ["200k", "400k", "700k"])
def test_a_full_disk_exits_2_and_the_sweep_goes_on_when_there_is_room(
    finished: Path, tmp_path: Path, size: str
):
    """On a file system that really is too small: one message; enlarged, the run is finished."""
    if not _tmpfs(tmp_path / "small", size):
        pytest.skip("only root may mount a small file system")
    try:
        config = str(write_config(tmp_path))
        arguments = ("sweep", "--config", config, "--runs", str(tmp_path / "small"))
        full = launch(*arguments, cwd=tmp_path)
        remount = ["mount", "-o", "remount,size=50m", str(tmp_path / "small")]
        subprocess.run(remount, check=True)
        again = launch(*arguments, cwd=tmp_path)

        assert full.returncode == 2, full.stderr
        assert "no space left" in full.stderr
        assert "Traceback" not in full.stderr
        assert again.returncode == 0, again.stderr
        assert contents(tmp_path / "small/echo") == contents(finished / "runs/echo")
    finally:
        subprocess.run(["umount", str(tmp_path / "small")], check=True)


def test_several_samples_a_row_are_all_there_and_scored(tmp_path: Path):
    """Three sampled answers for each example beside the greedy one; each condition has its n."""
    warm = "[decoding.warm]\nsample = true\ntemperature = 0.7\nsamples = 3\n[models.therapist]"
    text = ECHO.replace("[models.therapist]", warm).replace(
        '"prompt2"]', '"prompt2"]\ndecodings = ["greedy", "warm"]'
    )
    write_config(tmp_path, text)
    done = launch("sweep", "--config", "echo.toml", cwd=tmp_path)
    status = launch("status", "--config", "echo.toml", "--json", cwd=tmp_path)
    rows = {line["condition"]: line for line in json.loads(status.stdout)["conditions"]}
    greedy = [r["rows"] for c, r in rows.items() if ".greedy-" in c]
    warm_rows = [r["rows"] for c, r in rows.items() if ".warm-" in c]

    assert done.returncode == 0, done.stderr
    assert len(greedy) == len(warm_rows) == 3
    assert warm_rows == [3 * n for n in greedy]


def test_prefetch_then_offline(tmp_path: Path):
    """Everything a configuration needs is found, and then the sweep needs no network."""
    write_config(tmp_path)
    fetched = launch("prefetch", "--config", "echo.toml", cwd=tmp_path)
    offline = launch("sweep", "--config", "echo.toml", cwd=tmp_path, env={"HF_HUB_OFFLINE": "1"})

    assert fetched.returncode == 0, fetched.stderr
    assert "HF_HUB_OFFLINE=1" in fetched.stdout
    assert offline.returncode == 0, offline.stderr


def test_a_model_that_is_nowhere_offline_exits_2(tmp_path: Path):
    """A Hub id that the cache lacks is one message that names prefetch."""
    write_config(tmp_path)
    done = launch(
        "sweep", "--config", "echo.toml", "--set", "models.flan_t5_small.prompts=['none']",
        cwd=tmp_path, env={"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")},
    )  # fmt: skip

    assert done.returncode == 2
    assert "prefetch" in done.stderr
    assert "Traceback" not in done.stderr


def test_pickled_weights_are_refused(tmp_path: Path):
    """A folder with only a pickle says why it is not loaded."""
    write_config(tmp_path)
    folder = tmp_path / "pickled"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "pytorch_model.bin").write_bytes(b"not loaded")
    model = "{weights='./pickled', architecture='decoder', prompts=['none']}"
    done = launch("sweep", "--config", "echo.toml", "--set", f"models.own={model}", cwd=tmp_path)

    assert done.returncode == 2
    assert "safetensors" in done.stderr
