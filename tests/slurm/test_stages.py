"""A stage that a user adds, on a real cluster: submitted, awaited, shown, cancelled, retried."""

import re
from pathlib import Path

from tests.jobs.planning.test_stages import counts, expected
from tests.runs.command_line import ECHO
from tests.slurm.cluster import Cluster
from tests.slurm.runs import SLURM, drained, held, launch, on_cluster, quick
from tests.words_stage import with_words

CONFIG = ("--config", "echo.toml")
ARRAY = re.compile(r"^submitted (\d+): (\S+ \S+), .*?(?:, after ([\d ]+))?$", re.MULTILINE)


def arrays(said: str) -> dict[str, tuple[str, set[str]]]:
    """Return stage and key → job id and the jobs that it waits for, as the launcher printed it."""
    return {name: (job, set(after.split())) for job, name, after in ARRAY.findall(said)}


def test_a_stage_that_is_added_is_one_of_the_cluster(cluster: Cluster, tmp_path: Path):
    """Two places of code make a stage that every command about the cluster knows."""
    suite = {"PYTHONPATH": str(with_words(tmp_path / "suite"))}

    def said(*words: str) -> str:
        done = launch(cluster, *words, *CONFIG, cwd=tmp_path, env=suite)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def shown() -> dict[str, str]:
        lines = [line.split() for line in said("status").splitlines()]
        return {f"{line[0]} {line[1]}": " ".join(line[2:6]) for line in lines if len(line) >= 6}

    small = ECHO.replace("block_size = 4", "block_size = 4\nlimit = 16")
    on_cluster(tmp_path, quick(small + SLURM))
    with held(cluster):
        first = arrays(said("sweep"))
        again = said("sweep")
        waiting = shown()
        said("cancel", "words-echo-00000-of-00001")
    drained(cluster)
    after = shown()
    failed = said("explain", "--failed")
    retried = arrays(said("retry"))
    drained(cluster)
    run = tmp_path / "runs" / "echo"

    answers, report = first["generate echo"][0], first["report report"][1]
    assert first["words echo"][1] == {answers}
    assert first["words therapist"][1] == set()
    assert {first["words echo"][0], first["words therapist"][0]} < report
    assert arrays(again) == {}
    assert (waiting["words echo"], waiting["words therapist"]) == ("0 0 1 0", "0 0 1 0")
    assert (after["words echo"], after["words therapist"]) == ("0 0 0 1", "1 0 0 0")
    assert "words-echo-00000-of-00001" in failed
    assert "cancelled" in failed or "never started" in failed
    assert set(retried) == {"words echo", "report report"}
    assert retried["report report"][1] == {retried["words echo"][0]}
    assert shown()["words echo"] == "1 0 0 0"
    assert counts(run) == expected(run)
    assert arrays(said("sweep")) == {}
