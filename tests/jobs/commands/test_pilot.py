"""The pilot's proposals: shards, time and memory from what one block took."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.commands import pilot as a_pilot
from jobs.launch import main
from jobs.planning.pilot import Measured, empty_share, propose
from tests.runs.command_line import ECHO, launch, write_config

measured = st.builds(
    Measured,
    rows=st.integers(1, 500),
    tokens=st.integers(0, 100_000),
    seconds=st.floats(0.01, 5_000),
    load_s=st.floats(0, 600),
    peak_mb=st.integers(0, 200_000),
)


@given(
    found=st.lists(measured, min_size=1, max_size=4),
    n_rows=st.integers(1, 100_000),
    n_blocks=st.integers(1, 5_000),
    target_min=st.integers(1, 600),
)
def test_what_is_proposed_suffices(
    found: list[Measured], n_rows: int, n_blocks: int, target_min: int
):
    """A shard takes no longer than asked, unless blocks run out; time and memory have room."""
    need = propose("m", found, n_rows, n_blocks, target_min)
    whole_s = sum(m.seconds / m.rows * n_rows for m in found)
    shard_s = whole_s / need.shards

    assert 1 <= need.shards <= n_blocks
    assert shard_s <= 60 * target_min * 1.000001 or need.shards == n_blocks
    assert need.time_min * 60 >= shard_s + max(m.load_s for m in found)
    assert need.mem_gb is None or need.mem_gb * 1024 >= max(m.peak_mb for m in found)


def test_hours_and_speed_are_those_of_all_conditions():
    """Two conditions of 10 s and 20 s a row need 30 s for each row of the run."""
    found = [Measured(1, 50, 10.0), Measured(2, 200, 40.0)]
    need = propose("m", found, n_rows=120, n_blocks=60, target_min=30)

    assert need.hours == pytest.approx(1.0)
    assert need.shards == 2
    assert need.tokens_per_s == pytest.approx(5.0)


def test_the_block_of_a_pilot_is_kept(tmp_path: Path):
    """Five answers of each condition are shown, and the sweep that follows has the same tables."""
    write_config(tmp_path)
    common = ["sweep", "--config", "echo.toml", "--executor", "local"]
    pilot = launch(*common, "--pilot", cwd=tmp_path)
    whole = launch(*common, cwd=tmp_path)
    fresh = launch(*common, "--name", "fresh", cwd=tmp_path)
    summaries = [tmp_path / "runs" / n / "report/summary.csv" for n in ("echo", "fresh")]

    assert pilot.returncode == whole.returncode == fresh.returncode == 0, pilot.stderr
    assert pilot.stdout.count("Q: ") == 15
    assert summaries[0].read_bytes() == summaries[1].read_bytes()


@pytest.mark.slow  # starts a worker
def test_a_pilot_with_empty_answers_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Above 5 % of empty answers the exit code is 1, and the message says where to look."""
    config = str(write_config(tmp_path))
    monkeypatch.setattr(a_pilot, "empty_share", lambda found: 0.5)
    code = main(["sweep", "--config", config, "--pilot", "--executor", "local",
                 "--runs", str(tmp_path / "runs")])  # fmt: skip

    assert code == 1
    assert "over 5% of the answers are empty" in capsys.readouterr().err


def test_a_target_of_minutes_cuts_what_is_left(tmp_path: Path):
    """With generation.target_min, a model's measured speed decides how its work is cut."""
    slow = ECHO.replace("[models.echo]", "[models.echo]\noptions = { delay_s = 0.2 }")
    write_config(tmp_path, slow.replace('"none", "prompt1", "prompt2"', '"none"'))
    common = ["--config", "echo.toml", "--executor", "local", "--set", "generation.target_min=1"]
    done = launch("sweep", *common, "--pilot", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shown = launch("sweep", *common, "--dry-run", cwd=tmp_path)

    assert "echo.none.greedy" in shown.stdout
    assert "1 shard, 1 of 15 blocks done" in shown.stdout


def test_the_share_of_empty_answers_counts_what_shows_nothing():
    """White space or special tokens are no answer; no answers at all have no share."""
    import polars as pl

    texts = ["a", " \n", "", "\u200b", "</s>"]
    assert empty_share(pl.DataFrame({"text": texts})) == pytest.approx(4 / 5)
    assert empty_share(pl.DataFrame({"text": []}, schema={"text": pl.String})) == 0
