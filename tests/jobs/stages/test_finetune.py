"""``finetune``, and fine-tunes inside a sweep, as a user calls them: real nf4, a tiny base."""

import json
import shutil
import subprocess
from pathlib import Path

import polars as pl
import pytest

from tests import preloaded
from tests.patience import until
from tests.runs.command_line import environment, launch
from tests.runs.finetunes import (
    LONG,
    SAMPLED,
    TUNED,
    adapters,
    distance,
    kill_whole,
    weights_digest,
    write_experiment,
)

LOCAL = ("--config", "tuned.toml", "--executor", "local")


@pytest.fixture
def swept(tuned: Path) -> Path:
    """The sweep of this session; it is read here, and copied where it is changed."""
    return tuned


def _copied(swept: Path, folder: Path) -> Path:
    shutil.copytree(swept, folder, dirs_exist_ok=True)
    return folder / "runs" / "tuned"


def _changed(folder: Path, *changes: tuple[str, str]) -> None:
    text = TUNED
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    write_experiment(folder, text)


def test_a_sweep_trains_answers_and_compares(swept: Path) -> None:
    """Base and adapters under the same prompt, on the same rows; differences with intervals."""
    run = swept / "runs" / "tuned"

    assert list(adapters(run)) == ["q-all-s0", "q-n16-s0"]
    compared = pl.read_csv(run / "report" / "comparisons.csv")
    assert set(compared["n"]) == {24}
    assert set(compared["train_size"]) == {16, 32}
    rouge = compared.filter(pl.col("column") == "rouge1", pl.col("train_size") == 32)
    assert rouge["low"][0] <= rouge["difference"][0] <= rouge["high"][0]
    summary = pl.read_csv(run / "report" / "summary.csv")
    models = set(summary["model"])
    assert {"tiny", "tiny (nf4)", "tiny, fine-tuned (all rows)"} <= models


def test_training_lowers_the_validation_loss(swept: Path) -> None:
    """What is learnt shows on rows that were not trained on, and in the record."""
    record = json.loads(
        (adapters(swept / "runs" / "tuned")["q-all-s0"] / "finetune.json").read_text()
    )

    assert record["losses"]["validation_best"] < record["losses"]["validation_start"]  # by 5 nats
    assert record["chosen"] == "validation"
    assert record["train"]["rows"] == 32
    assert record["findings"]["labels-misaligned"] == "passed"


def test_table_and_page_say_what_was_allowed(swept: Path, tmp_path: Path) -> None:
    """A finding that was allowed stands below every table with the adapter."""
    run = _copied(swept, tmp_path)
    record = adapters(run)["q-n16-s0"] / "finetune.json"
    found = json.loads(record.read_text())
    found["findings"]["overfit-not-regenerated"] = "allowed"  # as chance has it on some machines
    record.write_text(json.dumps(found))
    done = launch("report", "--config", "tuned.toml", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    below = (run / "report" / "table2.tex").read_text().replace(r"\allowbreak{}", "")
    assert "although the preflight found overfit-not-regenerated" in below
    assert (run / "report" / "figure-training.pdf").read_bytes().startswith(b"%PDF")
    assert "data:image/svg+xml," in (run / "report" / "index.html").read_text()


def test_a_second_sweep_trains_nothing(swept: Path, tmp_path: Path) -> None:
    """What is done is done: the same adapters, the same tables, at once."""
    run = _copied(swept, tmp_path)
    before = {name: weights_digest(path) for name, path in adapters(run).items()}
    logs = {p.name: p.stat().st_size for p in (run / "logs").iterdir()}
    done = launch("sweep", "--config", "tuned.toml", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert before == {name: weights_digest(path) for name, path in adapters(run).items()}
    assert logs == {p.name: p.stat().st_size for p in (run / "logs").iterdir()}


def test_an_adapter_that_is_gone_is_trained_again_to_the_same_weights(
    swept: Path, tmp_path: Path
) -> None:
    """Answers without their adapter cannot be proven: both are made anew, and are equal."""
    run = _copied(swept, tmp_path)
    gone = adapters(run)["q-n16-s0"]
    before = weights_digest(gone)
    table = (run / "report" / "table2.tex").read_bytes()
    shutil.rmtree(gone)
    done = launch("sweep", "--config", "tuned.toml", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "belongs to other work: its adapter is" in done.stderr
    assert weights_digest(adapters(run)["q-n16-s0"]) == before
    assert (run / "report" / "table2.tex").read_bytes() == table


def test_answers_of_another_adapter_make_no_table(swept: Path, tmp_path: Path) -> None:
    """An adapter that was put in the place of the one that answered is told by its weights."""
    run = _copied(swept, tmp_path)
    found = adapters(run)
    record = json.loads((found["q-all-s0"] / "finetune.json").read_text())
    record["adapter_sha256"] = "0" * 64
    (found["q-all-s0"] / "finetune.json").write_text(json.dumps(record))
    done = launch("report", "--config", "tuned.toml", cwd=tmp_path)

    assert done.returncode == 3
    assert "adapter" in done.stderr


def test_finetune_trains_and_answers_nothing(swept: Path, tmp_path: Path) -> None:
    """The command by itself: the same adapters as the sweep's, and no answers but samples."""
    write_experiment(tmp_path, SAMPLED)
    done = launch("finetune", "--config", "tuned.toml", cwd=tmp_path)
    run = tmp_path / "runs" / "tuned"

    assert done.returncode == 0, done.stderr
    assert "validation loss" in done.stdout
    assert not list((run / "generations").rglob("*.parquet"))
    ours, theirs = adapters(run), adapters(swept / "runs" / "tuned")
    for adapter in ours.values():
        samples = [
            json.loads(line) for line in (adapter / "samples.jsonl").read_text().splitlines()
        ]
        assert {len(one["text"]) > 0 for one in samples} == {True}
    # their bases lie in other folders, but are the same to the byte, and so are the adapters;
    # that answers are sampled on the way changes none
    assert [weights_digest(p) for p in ours.values()] == [
        weights_digest(p) for p in theirs.values()
    ]


def test_status_tells_of_adapters(swept: Path) -> None:
    """A line for each, trained or how far."""
    done = launch("status", "--config", "tuned.toml", "--json", cwd=swept)
    told = json.loads(done.stdout)["finetunes"]

    assert [one["trained"] for one in told] == [True, True]


def test_preflight_by_itself(swept: Path) -> None:
    """A row as tokens, every finding, exit code 0; nothing is trained."""
    done = launch("preflight", "--config", "tuned.toml", "--runs", "elsewhere", cwd=swept)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "<|eot|>" in done.stdout
    assert "ok      labels-shifted" in done.stdout
    assert "adapter-shape" in done.stdout
    assert not (swept / "elsewhere").exists()


def test_the_papers_labels_are_stopped_before_anything_is_submitted(tmp_path: Path) -> None:
    """Iteration 1 of the paper: the question as input, the response as labels."""
    _changed(tmp_path, ("[finetune.q]", '[finetune.q]\nlabels = "misaligned"'))
    done = launch("sweep", "--config", "tuned.toml", cwd=tmp_path)

    assert done.returncode == 2
    assert "labels-misaligned" in done.stderr
    assert "--allow labels-misaligned" in done.stderr
    assert not (tmp_path / "runs" / "tuned" / "adapters").exists()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "[decoding.greedy]",
            '[evaluate]\nsplit = "all"\n[decoding.greedy]',
            "training rows are evaluated",
        ),
        ('train_sizes = [16, "all"]', "train_sizes = [1000]", "train_size = 1000"),
        ('"q_proj", "k_proj"', '"q_prj", "k_prj"', "is named 'q_prj'"),
        ("r = 32", "max_tokens = 205\nmin_response_tokens = 4\nr = 32", "truncated"),
        ("trackers = []", 'trackers = ["wandbb"]', "wandbb"),
        ("learning_rate = 0.01", "learning_rate = 1e30", "a finite number"),
    ],
)
def test_bad_input_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    """Before anything is trained."""
    _changed(tmp_path, (old, new))
    done = launch("finetune", "--config", "tuned.toml", cwd=tmp_path)

    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr
    assert not adapters(tmp_path / "runs" / "tuned")


def _killed_in_the_middle(folder: Path) -> None:
    """Start a training and send SIGKILL to everything of it once it is past some checkpoints."""
    process = subprocess.Popen(
        [preloaded.python(), "-m", "jobs.launch", "finetune", *LOCAL],
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    run = folder / "runs" / "tuned"
    until(
        lambda: (
            process.poll() is not None or list(run.glob("adapters/.*.partial/*/checkpoint-[3-9]0"))
        )
    )
    assert process.poll() is None, "it ended before it was killed"
    kill_whole(process, run)


def test_killed_in_the_middle_gives_the_same_adapter(long_adapter: Path, tmp_path: Path) -> None:
    """SIGKILL after some checkpoints; the same command goes on, and nothing shows."""
    write_experiment(tmp_path, LONG)
    _killed_in_the_middle(tmp_path)
    run = tmp_path / "runs" / "tuned"
    assert not adapters(run)
    again = launch("finetune", "--config", "tuned.toml", cwd=tmp_path)

    assert again.returncode == 0, again.stderr
    [killed] = adapters(run).values()
    assert distance(long_adapter, killed) <= 1e-6
    steps = [json.loads(line)["step"] for line in (killed / "log.jsonl").read_text().splitlines()]
    assert len(steps) == len(set(steps)) or steps == sorted(steps)
    losses = [_losses(path) for path in (long_adapter, killed)]
    assert losses[0].keys() == losses[1].keys()
    assert max(abs(losses[0][s] - losses[1][s]) for s in losses[0]) <= 1e-6
    assert not list(run.glob("adapters/.*.partial"))


def _losses(adapter: Path) -> dict[int, float]:
    points = map(json.loads, (adapter / "log.jsonl").read_text().splitlines())
    return {p["step"]: p["loss"] for p in points if p["loss"] is not None}


def test_two_processes_train_what_one_does(swept: Path, tmp_path: Path) -> None:
    """Under accelerate, each process takes its part of every step."""
    for name, n in (("one", 1), ("two", 2)):
        (tmp_path / name).mkdir()
        _changed(
            tmp_path / name,
            ("r = 32", f"processes = {n}\ndropout = 0.0\nr = 32"),
            ('train_sizes = [16, "all"]', "train_sizes = [16]"),
        )
        done = launch("finetune", "--config", "tuned.toml", cwd=tmp_path / name)
        assert done.returncode == 0, done.stderr
    [one] = adapters(tmp_path / "one" / "runs" / "tuned").values()
    [two] = adapters(tmp_path / "two" / "runs" / "tuned").values()
    [log] = (tmp_path / "two" / "runs" / "tuned" / "logs").glob("finetune-*.log")
    assert "process 1 of 2" in log.read_text()

    assert one.name == two.name  # how many processes is no part of what is trained
    assert distance(one, two) <= 1e-4


def test_merge_writes_a_whole_model_within_the_bound(swept: Path, tmp_path: Path) -> None:
    """The distance is printed; beyond the bound nothing is written."""
    out = tmp_path / "merged"
    refused = launch(
        "merge", "q-all-s0", "--config", "tuned.toml", "--out", str(out), "--bound", "0",
        cwd=swept,
    )  # fmt: skip
    assert refused.returncode == 2
    assert not out.exists()
    done = launch("merge", "q-all-s0", "--config", "tuned.toml", "--out", str(out), cwd=swept)

    assert done.returncode == 0, done.stderr
    assert "against the adapter on the whole base" in done.stdout
    assert (out / "model.safetensors").is_file()
    unknown = launch("merge", "q-al-s0", "--config", "tuned.toml", "--out", str(out), cwd=swept)
    assert "Did you mean 'q-all-s0'" in unknown.stderr


def test_a_dry_run_shows_rows_steps_and_preflight(tmp_path: Path) -> None:
    """Before anything is written."""
    write_experiment(tmp_path)
    done = launch("sweep", "--config", "tuned.toml", "--dry-run", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "16 rows, 8 steps, nothing wrong with the rows" in done.stdout
    assert not (tmp_path / "runs").exists()


def test_an_adapter_asked_in_another_way_than_it_was_taught_is_named(
    swept: Path, tmp_path: Path
) -> None:
    """The paper's own comparison; the table's note says under which prompt it was trained."""
    folder = adapters(swept / "runs" / "tuned")["q-all-s0"]
    text = TUNED[: TUNED.index("[finetune.q]")] + TUNED[TUNED.index("[metrics.bleu]") :]
    base = swept / "base"
    text = text.replace("[models.tiny]", f'[models.tiny]\nadapter = "{folder}"').replace(
        'weights = "./base"', f'weights = "{base}"\nquantization = "nf4"'
    )
    write_experiment(tmp_path, text.replace('prompts = ["prompt2"]', 'prompts = ["none"]'))
    done = launch("sweep", "--config", "tuned.toml", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    table = (tmp_path / "runs" / "tuned" / "report" / "table1.tex").read_text()
    assert "the adapter was trained under prompt" in table
