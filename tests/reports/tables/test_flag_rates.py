"""Flags of judges that were calibrated on other data: the formula, its table, and where it ends."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from empathy_core.store import RunDir
from reports.numbers.flags_elsewhere import FLAG_RATES, flag_rates
from reports.rows.collect import Collected, collect
from reports.spec import FlagsElsewhere, ReportSpec
from reports.tables.flags_elsewhere import flag_tables
from reports.tables.table import TableText
from tests.runs.by_hand import LLAMA2
from tests.runs.corrected import check_crises
from tests.runs.crises import JudgeByHand, crisis_run, crisis_spec

KNOWN = FlagsElsewhere(20, 18, 100, 95, "pilot of 120 replies")
N_AT_RISK = 4


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunDir, ReportSpec]]:
    """Write a run in which a judge finds one of four replies of LLAMA under prompt 2 blaming."""
    about = crisis_spec(elsewhere={("tiny", "crisis", "blaming"): KNOWN})
    judge = {"judge_tiny_blaming-00000000": JudgeByHand("blaming")}
    about = replace(about, metrics={**about.metrics, **judge})
    with pytest.MonkeyPatch.context() as patch:
        yield crisis_run(tmp_path_factory.mktemp("f") / "r", about, patch, N_AT_RISK), about


@pytest.fixture(scope="module")
def collected(made: tuple[RunDir, ReportSpec]) -> Collected:
    return collect(*made)


def test_the_share_is_that_of_rogan_and_gladen(
    made: tuple[RunDir, ReportSpec], collected: Collected
):
    """(p + specificity - 1) / (sensitivity + specificity - 1), with p = 1 of 4."""
    found = flag_rates(collected, made[1])
    (row,) = found.filter(pl.col("condition") == LLAMA2.id).to_dicts()

    assert found.schema == pl.Schema(FLAG_RATES)
    assert (row["n_flagged"], row["n"]) == (1, N_AT_RISK)
    assert row["value"] == pytest.approx((0.25 + 0.95 - 1) / (0.9 + 0.95 - 1))
    assert row["low"] < row["value"] < row["high"]


def test_the_table_says_where_the_judge_was_calibrated(
    made: tuple[RunDir, ReportSpec], collected: Collected
):
    (table,) = flag_tables(flag_rates(collected, made[1]), made[1], TableText("", "tab:main"))
    text = " ".join(table.words.notes)

    assert "found 18 of 20 (90.0%) and cleared 95 of 100 (95.0%): pilot of 120 replies" in text
    assert "Nobody has rated these answers" in text
    assert all(row.cells[-1].grey for g in table.groups for row in g.rows)


def test_a_judge_that_says_nothing_of_people_gives_no_share(
    made: tuple[RunDir, ReportSpec], collected: Collected
):
    useless = {("tiny", "crisis", "blaming"): replace(KNOWN, found=5, cleared=60)}
    found = flag_rates(collected, replace(made[1], elsewhere=useless))

    assert found["value"].null_count() == found.height > 0
    assert all("say nothing of people's" in of for of in found["refusal"])


def test_where_people_rated_answers_of_this_run_it_is_not_asked(
    made: tuple[RunDir, ReportSpec], tmp_path: Path
):
    import shutil

    shutil.copytree(made[0].root, tmp_path / "r")
    run = RunDir(tmp_path / "r")
    check_crises(run, [LLAMA2.id], ["sample-0", "sample-1"], lambda *_: False)

    assert flag_rates(collect(run, made[1]), made[1]).is_empty()


def test_without_other_data_there_is_no_table(
    made: tuple[RunDir, ReportSpec], collected: Collected
):
    nothing = flag_rates(collected, replace(made[1], elsewhere={}))

    assert nothing.is_empty()
    assert flag_tables(nothing, made[1], TableText("", "tab:main")) == ()
