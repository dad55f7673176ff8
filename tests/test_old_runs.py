"""Run directories made by an older version of the suite go on, and their tables say what is old."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import polars as pl
import pytest

from empathy_core import store
from empathy_core.data import CLEANING_VERSION
from empathy_core.store import RunDir
from empathy_core.types import GENERATION_VERSION
from jobs.planning.plan_file import last_plan, read_plan
from reports.changes import VERSION
from tests.old_runs import launch, raised, unpack
from tests.runs.finetunes import adapters, weights_digest

BOTH = ("--set", "models.echo.prompts=['none','prompt2']")
CLEANED = "Rows cleaned by version 1 of the cleaning rules"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """All runs as d2ac38f left them, with their inputs."""
    return unpack(tmp_path / "home")


def files(run: Path, *folders: str) -> dict[str, str]:
    """Return path → digest of every file below some folders of a run."""
    paths = [p for folder in folders for p in (run / folder).rglob("*") if p.is_file()]
    return {str(p.relative_to(run)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


def answers(run: Path) -> pl.DataFrame:
    """Return all answers of a run, by condition, example and sample."""
    found = [store.read_piece(p)[1] for p in sorted(run.glob("generations/*/0*.parquet"))]
    return pl.concat(found).sort("condition", "example", "sample")


def sweep(home: Path, name: str, *arguments: str, **suite: Path) -> str:
    """Sweep a run, which must succeed, and return what was said on standard error."""
    done = launch("sweep", "--config", f"{name}.toml", *arguments, cwd=home, **suite)
    assert done.returncode == 0, done.stderr
    assert not (home / "runs" / name / "set-aside").exists()
    return done.stderr


def table(home: Path, name: str, which: str = "table1") -> str:
    """Return the source of a table."""
    return (home / "runs" / name / "report" / f"{which}.tex").read_text()


# ---------------------------------------------------------------------------- today's versions


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run, swept by today's version; what was said stands in ``said``."""
    home = unpack(tmp_path_factory.mktemp("swept"))
    (home / "said").write_text(sweep(home, "imported"))
    return home


def test_a_finished_run_is_reported_and_nothing_is_answered_again(home: Path, swept: Path):
    """Its answers and rows stay to the byte; the old report is kept; every command works."""
    before = files(home / "runs" / "imported", "generations", "examples")
    report = files(home / "runs" / "imported", "report")
    run, said = swept / "runs" / "imported", (swept / "said").read_text()

    assert files(run, "generations", "examples") == before
    assert {n.replace("report/", ""): d for n, d in report.items()} == {
        n.replace("report-of-version-0/", ""): d
        for n, d in files(run, "report-of-version-0").items()
    }
    assert "report-of-version-0" in said
    assert json.loads((run / "report" / "version.json").read_text())["numbers"] == VERSION
    named = ("--name", "imported")
    claim = swept / "claims.toml"
    claim.write_text('[[claims]]\nsays = "single > blank on rouge1"\n')
    for command in (
        ("status", *named),
        ("report", *named, "--json"),
        ("claims", str(claim), *named),
        ("explain", "samples.none-vs-single.none.rouge1", *named),
        ("explain", "blank.none.rouge1", *named),
    ):
        done = launch(*command, cwd=swept)
        assert done.returncode == 0, (command, done.stderr)


def test_what_moved_in_the_tables_is_explained(swept: Path):
    """Every number that is another one than in the old report has a declared change to name."""
    kept = str(swept / "runs" / "imported" / "report-of-version-0")

    done = launch("report", "--compare", kept, "imported", "--json", cwd=swept)

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["versions"] == [0, VERSION]
    assert told["same"] + len({m["key"] for m in told["moved"]}) >= 800
    assert [m for m in told["moved"] if not m["changes"]] == []


def test_a_half_done_run_goes_on_from_its_journal(home: Path):
    """What was answered before the kill is not answered again."""
    run = home / "runs" / "half"
    pieces = files(run, "generations")
    [journal] = run.glob("generations/echo.prompt2.*/journal/*.jsonl")
    done = store.read_journal(journal)

    sweep(home, "half", *BOTH)

    log = (run / "logs" / "generate-echo-00001-of-00003.log").read_text()
    assert f"{len(done)} blocks found, {5 - len(done)} to do" in log
    kept = {n: d for n, d in pieces.items() if n.endswith(".parquet")}
    assert kept.items() <= files(run, "generations").items()
    assert answers(run).filter(pl.col("condition").str.contains("prompt2")).height == 128
    assert "PARTIAL" not in table(home, "half")


@pytest.mark.parametrize("name", ["queued", "planned"])
def test_what_was_queued_or_only_planned_is_done(home: Path, name: str):
    """Jobs that are gone, or never were, leave their part to the next sweep."""
    run = home / "runs" / name
    before = {n: d for n, d in files(run, "generations").items() if n.endswith(".parquet")}
    status = launch("status", "--name", name, cwd=home)

    sweep(home, name)

    assert status.returncode == 0, status.stderr
    assert before.items() <= files(run, "generations").items()
    assert "PARTIAL" not in table(home, name)


def test_an_adapter_is_not_trained_again(home: Path):
    """Adapter and answers stay to the byte; Table 2 is there, and explain knows it."""
    run = home / "runs" / "tuned"
    before = files(run, "generations", "adapters")

    sweep(home, "tuned")

    assert files(run, "generations", "adapters") == before
    assert "fine-tuned" in table(home, "tuned", "table2")
    done = launch("explain", "q-n16-s0.prompt2.rouge1", "--name", "tuned", cwd=home)
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------------------- raised versions


def test_rows_stay_frozen_when_the_cleaning_rules_change(home: Path, tmp_path: Path):
    """Tables and planning say by which rules; a new run takes new ones; settings still count."""
    suite = raised(tmp_path / "suite", "CLEANING_VERSION")
    run = home / "runs" / "imported"
    before = files(run, "generations", "examples")

    said = sweep(home, "imported", suite=suite)

    assert files(run, "generations", "examples") == before
    sentence = f"{CLEANED}; a new run would use version {CLEANING_VERSION + 1}"
    assert sentence in said
    assert sentence in table(home, "imported")
    changed = launch(
        "sweep", "--config", "imported.toml", "--set", "data.seed=9", cwd=home, suite=suite
    )
    assert changed.returncode == 2
    assert "seed: 0" in changed.stderr
    new = launch("sweep", "--config", "planned.toml", "--name", "new", cwd=home, suite=suite)
    assert new.returncode == 0
    assert CLEANED not in new.stderr + table(home, "new")


def test_carried_columns_are_read_for_the_rows_that_are_frozen(home: Path, tmp_path: Path):
    """Other rules would keep other rows; what is carried along belongs to those there are."""
    suite = raised(tmp_path / "suite", "CLEANING_VERSION")
    cleaning = suite / "empathy_core" / "data" / "cleaning.py"
    text = cleaning.read_text()
    assert text.count('return "empty context"') == 1
    dropping = 'return "empty context"\n    if "😀" in context:\n        return "as a test asks"'
    cleaning.write_text(text.replace('return "empty context"', dropping))
    run = RunDir(home / "runs" / "imported")
    rows = pl.read_parquet(run.examples)
    old = pl.read_parquet(run.columns)
    shutil.rmtree(run.report)

    more = "data.sources.mine.keep=['topic','who']"
    sweep(home, "imported", "--set", more, suite=suite)

    carried = pl.read_parquet(run.columns)
    assert sorted(carried["id"]) == sorted(rows["id"])
    assert carried.select(old.columns).sort("id").equals(old.sort("id"))
    assert carried["who"].null_count() == 0


def test_lost_rows_are_not_replaced_by_others_under_old_answers(home: Path, tmp_path: Path):
    """Without its rows a run is refused if they cannot be made again, with the ways out."""
    suite = raised(tmp_path / "suite", "CLEANING_VERSION")
    run = home / "runs" / "imported"
    frozen = run / "examples" / "data.json"
    copy = frozen.read_bytes()
    frozen.unlink()
    before = files(run, "generations")

    done = launch("sweep", "--config", "imported.toml", cwd=home, suite=suite)

    assert done.returncode == 2
    assert "restore" in done.stderr
    assert "--name" in done.stderr
    assert files(run, "generations") == before
    assert not frozen.exists()
    frozen.write_bytes(copy)
    dry = launch("sweep", "--config", "imported.toml", "--dry-run", cwd=home, suite=suite)
    assert dry.returncode == 0, dry.stderr


def test_answers_stay_when_the_generation_code_changes(home: Path, tmp_path: Path):
    """The rest is made by the new code, block by block recorded, and the table counts it."""
    suite = raised(tmp_path / "suite", "GENERATION_VERSION")
    run = home / "runs" / "half"
    before = answers(run)

    sweep(home, "half", *BOTH, suite=suite)
    launched = launch("report", "--name", "half", cwd=home, suite=suite)

    after = answers(run)
    assert launched.returncode == 0, launched.stderr
    assert set(before["condition"]) == set(after["condition"])
    same = before.join(after, on=["condition", "example", "sample"], suffix="_after")
    assert same.height == before.height
    assert (same["text"] == same["text_after"]).all()
    by = {
        block: version
        for path in run.glob("generations/echo.prompt2.*/0*.parquet")
        for block, version in store.versions(path).items()
    }
    assert set(by.values()) == {GENERATION_VERSION + 1}
    n_new = after.filter(
        pl.col("condition").str.contains("prompt2"), pl.col("block").is_in(list(by))
    ).height
    assert 0 < n_new < 128
    new = GENERATION_VERSION + 1
    told = f"Echo, Prompt 2 ({128 - n_new} of 128); a new run would use version {new}"
    assert told in table(home, "half")
    again = launch(
        "sweep", "--config", "half.toml", *BOTH, "--dry-run", "--json", cwd=home, suite=suite
    )
    assert json.loads(again.stdout)["tasks"] == []


def test_what_was_never_answered_is_answered_under_the_new_version(home: Path, tmp_path: Path):
    """A condition that was only planned has nothing to keep."""
    suite = raised(tmp_path / "suite", "GENERATION_VERSION")
    old = last_plan(RunDir(home / "runs" / "planned"))[0]

    sweep(home, "planned", suite=suite)

    new = last_plan(RunDir(home / "runs" / "planned"))[0]
    made = set(old.imported)
    assert set(new.imported) == made
    assert {c.generation_version for c in new.conditions if c.id not in made} == {
        GENERATION_VERSION + 1
    }
    assert "generation code" not in table(home, "planned")


def test_an_adapter_stays_when_the_training_code_changes(home: Path, tmp_path: Path):
    """It is not trained again, and Table 2 says by which version it was."""
    suite = raised(tmp_path / "suite", "TRAINING_VERSION")
    run = home / "runs" / "tuned"
    [adapter] = adapters(run).values()
    before = weights_digest(adapter), files(run, "generations")

    said = sweep(home, "tuned", suite=suite)

    [adapter] = adapters(run).values()
    assert (weights_digest(adapter), files(run, "generations")) == before
    sentence = "Adapters trained by version 1 of the training code: tiny, fine-tuned"
    assert sentence in said
    assert sentence in table(home, "tuned", "table2")


def test_a_plan_without_versions_is_of_the_versions_that_wrote_it(home: Path):
    """Ids are made of them, and answers lie under ids."""
    plan = read_plan(home / "runs" / "tuned" / "plans" / "0001.json")

    for condition in plan.conditions:
        assert (home / "runs" / "tuned" / "generations" / condition.id).is_dir()
    [made] = plan.finetunes
    assert made.spec.id(made.base_fingerprint, plan.data_digest) == made.id


def test_scores_of_an_older_metric_are_made_again_and_the_old_ones_stay(
    swept: Path, tmp_path: Path
):
    """The report says what it is made of; sweep scores anew and generates nothing."""
    suite = raised(tmp_path / "suite")
    length = suite / "empathy_core" / "metrics" / "length.py"
    text = length.read_text()
    assert text.count('ratio="of-sums"') == 1
    length.write_text(text.replace('ratio="of-sums"', 'ratio="of-sums", test="1"'))
    run = swept / "runs" / "imported"
    before = files(run, "generations", "scores")

    told = launch("report", "--name", "imported", cwd=swept, suite=suite)
    sweep(swept, "imported", suite=suite)

    assert told.returncode == 0, told.stderr
    assert re.search("length: these scores were computed as .*run sweep", told.stderr)
    after = files(run, "generations", "scores")
    assert before.items() <= after.items()
    new = {n.split("/")[1] for n in after.keys() - before.keys()}
    assert len(new) == 1
    assert new.pop().startswith("length-")
