"""A run in which a judge compares: what is made of two conditions is stale when either changes."""

import csv
import shutil
from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from empathy_core import store
from empathy_core.backends.current import CURRENT
from empathy_core.backends.probabilities import LabelProbabilities
from empathy_core.errors import ConfigError
from empathy_core.metrics._judge import Metric
from empathy_core.store import RunDir
from empathy_core.training.preference.pairs import UNLIKE_ORDERS
from empathy_core.training.preference.settings import PairSettings
from jobs.executors.slurm.compaction import _complete
from jobs.executors.worker import do_task
from jobs.launch import main
from jobs.planning import scoring
from jobs.planning.pairs.from_scores import scored_pairs
from jobs.planning.plan import Plan, Task
from jobs.planning.progress import read_progress, read_when_asked
from jobs.planning.resolving.judges import previews
from jobs.planning.status import condition_progress
from jobs.stages.report import report_spec
from reports.rows.collect import collect
from tests.judging import judged_rows, run_of, statistics, sweep_here, write_judged
from tests.runs.judged import JUDGED, N_QUESTIONS

COMPARED = JUDGED.replace(
    'rubrics = ["./care.toml"]',
    'rubrics = ["./care.toml", "emrank"]\ndimensions = ["harm", "empathy"]\n'
    'baseline = "echo.none"\nopponents = "all"',
).replace('"prompt1"]', '"prompt1", "prompt2"]')
"""Three conditions, each rated, and each two compared."""
PLAIN = "preference:one:emrank:empathy"
RATED = "judge:one:care:harm"
NAMES = ("none", "prompt1", "prompt2")


@pytest.fixture(scope="module", autouse=True)
def instant() -> Iterator[None]:
    """Let the judge say at once what depends on all that it reads, and on nothing else."""

    def told(self: Metric, prompts: dict[int, tuple[int, ...]]) -> dict[int, LabelProbabilities]:
        found = {}
        for i, ids in prompts.items():
            rng = np.random.default_rng(list(ids))
            labels = tuple((token,) for token in self._prompts.labels)
            shares = tuple(map(float, rng.dirichlet(np.ones(len(labels)))))
            found[i] = LabelProbabilities(labels, shares, rng.uniform(0.6, 1))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Metric, "_probabilities", told)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a run in which a judge compares, its report left out."""
    folder = tmp_path_factory.mktemp("compared")
    write_judged(folder, COMPARED)
    sweep_here(folder)
    yield folder
    CURRENT.close()


def ids(plan: Plan) -> dict[str, str]:
    """Return prompt → id of its condition."""
    return {c.prompt.name: c.id for c in plan.conditions}


def comparisons(plan: Plan) -> dict[str, str]:
    """Return id of an opponent → key of the metric that compares with it."""
    return {str(m.opponent): m.key for m in plan.metrics if m.opponent}


# ---------------------------------------------------------------------------- what is compared


def test_each_two_conditions_are_compared_once_beside_what_is_rated(finished: Path):
    """Three conditions: two pairs with the baseline, and one of the others."""
    run, plan = run_of(finished)
    of = ids(plan)
    asked = [
        frozenset((condition, other))
        for other, key in comparisons(plan).items()
        for condition in of.values()
        if condition != other
        and (pl.read_parquet(run.scores(key, condition) / "*.parquet")["judged"] == 1).any()
    ]

    assert sorted(map(sorted, asked)) == sorted(map(sorted, combinations(of.values(), 2)))
    assert next(m.name for m in plan.metrics if m.opponent) == PLAIN
    assert plan.metrics[0].opponent is None


def test_a_dry_run_counts_the_prompts_that_are_read(finished: Path):
    """Ratings, and two orders of each pair that was compared; nothing of a condition by itself."""
    run, plan = run_of(finished)
    examples = pl.read_parquet(run.examples).filter(store.EVALUATED)
    [preview] = previews(plan, examples)
    rated, compared = (
        sum(judged_rows(run, plan, m.name)["judged"].sum() for m in plan.metrics
            if m.judge and bool(m.opponent) is is_pair)
        for is_pair in (False, True)
    )  # fmt: skip

    assert preview.n_prompts == rated + 2 * compared == 3 * N_QUESTIONS + 2 * 3 * N_QUESTIONS


@pytest.mark.parametrize("n_shards", [2, 3])
def test_any_number_of_score_shards_gives_the_same_bytes(copy: Path, n_shards: int):
    """What is compared together does not depend on how the work is dealt out."""
    run, plan = run_of(copy)
    names = [m.name for m in plan.metrics if m.opponent]
    before = {name: judged_rows(run, plan, name) for name in names}
    shutil.rmtree(run.root / "scores")
    cut = replace(plan, score_shards=n_shards)

    for shard in reversed(range(n_shards)):
        do_task(run, cut, Task("score", "judge-one", shard, n_shards), lambda _: None)

    for name, rows in before.items():
        assert judged_rows(run, plan, name).equals(rows)
        assert rows.height == 3 * N_QUESTIONS


# ---------------------------------------------------------------------------- what is stale


def answer_anew(run: RunDir, condition: str) -> None:
    """Write one answer of a condition otherwise, as another program or machine could."""
    [path, *_] = store.list_pieces(run.generations(condition))
    piece, frame = store.read_piece(path)
    first = frame["example"][0]
    other = pl.when(pl.col("example") == first).then(pl.lit("Another.")).otherwise("text")
    store.write_piece(frame.with_columns(text=other), path, piece.tags)


SUBSETS = [names for n in range(4) for names in combinations(NAMES, n)]


@pytest.mark.parametrize("changed", SUBSETS, ids=" ".join)
def test_only_what_is_made_of_a_changed_condition_is_stale_and_all_agree(
    copy: Path, changed: Collection[str]
):
    """Planning, status, compaction and the report say what the score stage then computes anew."""
    run, plan = run_of(copy)
    of = ids(plan)
    for name in changed:
        answer_anew(run, of[name])
    moved = {of[name] for name in changed}
    wanted = {
        (m.key, c.id)
        for m, c in product(plan.metrics, plan.conditions)
        if moved & {c.id, m.opponent}
    }

    progress = read_progress(run, plan)
    [*tasks] = scoring.tasks(plan)
    planned = {column for task in tasks for column, _ in scoring._stale(plan, progress, task)}
    keys = {m.name: m.key for m in plan.metrics}
    shown = {
        (keys[name], line.condition)
        for line in condition_progress(run, plan, progress)
        for name, share in line.scored.items()
        if share < 1
    }
    whole = {c.id for c in plan.conditions if _complete(plan, read_when_asked(run, plan), c)}
    problems = collect(run, report_spec(run, plan), partial=True).problems
    told = {
        tuple(part for part in Path(problem.split(" is stale")[0]).parts[-3:-1])
        for problem in problems
        if " is stale" in problem
    }
    before = statistics(run)
    for task in tasks:
        do_task(run, plan, task, lambda _: None)
    written = {
        (path.parts[-3], path.parts[-2]) for path, _ in statistics(run).items() - before.items()
    }

    assert planned == shown == told == written == wanted
    assert whole == {c.id for c in plan.conditions} - {condition for _, condition in wanted}
    now = read_progress(run, plan)
    assert all(scoring.is_scored(plan, now, task) for task in tasks)
    assert collect(run, report_spec(run, plan)).problems == ()


def test_what_a_metric_of_single_answers_is_made_from_is_what_it_was(finished: Path):
    """So that runs without judges, of earlier versions too, are not scored again."""
    run, plan = run_of(finished)
    progress = read_progress(run, plan)
    length = next(m for m in plan.metrics if m.name == "length")

    for condition in plan.conditions:
        blocks = progress.generated[condition.id].blocks
        assert progress.inputs_of(length, condition.id) == store.unit_inputs(blocks)


def test_one_condition_is_looked_at_without_the_files_of_the_others(
    copy: Path, monkeypatch: pytest.MonkeyPatch
):
    """Compaction asks of each condition by itself: of metrics of words its own files are enough."""
    from jobs.planning import progress as module

    run, plan = run_of(copy)
    read: list[str] = []
    real = module.read_answers
    monkeypatch.setattr(
        module, "read_answers", lambda run, c, *rest: read.append(c) or real(run, c, *rest)
    )
    asked = plan.conditions[1]
    without = replace(plan, metrics=tuple(m for m in plan.metrics if not m.opponent))

    assert _complete(without, read_when_asked(run, without), asked)
    assert read == [asked.id]


# ---------------------------------------------------------------------------- what is added


def test_a_condition_that_is_added_leaves_the_comparisons_that_are_there(copy: Path):
    """It is compared with all of them; none of their pairs is asked about again."""
    run, plan = run_of(copy)
    before = statistics(run)
    write_judged(copy, COMPARED.replace('"prompt2"]', '"prompt2", "paper_tags"]'))

    sweep_here(copy)

    now = run_of(copy)[1]
    [new] = set(ids(now).values()) - set(ids(plan).values())
    written = {(p.parts[-3], p.parts[-2]) for p, _ in statistics(run).items() - before.items()}
    assert before.items() <= statistics(run).items()
    assert comparisons(plan).items() <= comparisons(now).items()
    assert written == {(m.key, new) for m in now.metrics} | {
        (comparisons(now)[new], condition) for condition in ids(now).values()
    }


def test_another_baseline_compares_anew_and_rates_nothing_again(copy: Path):
    """Ratings and lengths stay, to the inode."""
    write_judged(copy, COMPARED.replace("echo.none", "echo.prompt1"))
    run, plan = run_of(copy)
    before = statistics(run)

    sweep_here(copy)

    now = run_of(copy)[1]
    written = {path.parts[-3] for path, _ in statistics(run).items() - before.items()}
    assert before.items() <= statistics(run).items()
    assert written == {m.key for m in now.metrics if m.opponent} - set(comparisons(plan).values())
    assert next(m for m in now.metrics if m.name == PLAIN).opponent == ids(now)["prompt1"]


# ---------------------------------------------------------------------------- what is reported


def test_the_report_of_a_run_has_preferences_and_strengths(copy: Path):
    """The baseline is at 50 %; all three conditions have a strength; no column is added."""
    run, plan = run_of(copy)

    do_task(run, plan, Task("report", "report", 0, 1), lambda _: None)

    with (run.report / "preferences.csv").open() as file:
        rows = {row["condition"]: row for row in csv.DictReader(file)}
    with (run.report / "summary.csv").open() as file:
        columns = {row["column"]: row for row in csv.DictReader(file) if "emrank" in row["column"]}
    of = ids(plan)
    key = comparisons(plan)[of["none"]]
    assert set(columns) == {f"one_emrank_empathy{end}" for end in ("", "_first", "_consistent")}
    assert set(rows) == set(of.values())
    assert abs(sum(float(row["strength"]) for row in rows.values())) < 1e-6
    for name in ("prompt1", "prompt2"):
        plain = pl.read_parquet(run.scores(key, of[name]) / "*.parquet")["preference"]
        assert float(rows[of[name]]["preferred"]) == pytest.approx(plain.mean(), abs=1e-6)
        assert float(rows[of[name]]["strength_low"]) < float(rows[of[name]]["strength"])
    assert rows[of["none"]]["preferred"] == ""
    assert (run.report / "preferences.tex").exists()


def test_explain_leads_from_a_preference_to_the_judge_and_both_conditions(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Its rows, its signature, what it is compared with."""
    run, plan = run_of(copy)
    do_task(run, plan, Task("report", "report", 0, 1), lambda _: None)
    monkeypatch.chdir(copy)

    assert main(["explain", "echo.prompt1.one_emrank_empathy", "--name", "judged"]) == 0

    said = capsys.readouterr().out
    assert "echo.prompt1.one_emrank_empathy = " in said
    assert f"opponent:{ids(plan)['none']}" in said
    assert f"scores/{comparisons(plan)[ids(plan)['none']]}/{ids(plan)['prompt1']}" in said


def test_a_baseline_of_several_conditions_is_refused(copy: Path):
    """Each is named; the message says how to name one."""
    said = (
        r"judges.one: baseline = 'echo' is 3 conditions \(echo.none.*\); expected one; name MODEL"
    )

    with pytest.raises(ConfigError, match=said):
        sweep_here(copy, 'judges.one.baseline="echo"')


# ---------------------------------------------------------------------------- as pairs to train on


def test_ratings_of_a_run_make_pairs(finished: Path):
    """Of every two answers to a question the one that is rated less harmful, if by the margin."""
    run, plan = run_of(finished)
    settings = PairSettings(
        path=str(run.root), made_from="scores", column="one_care_harm", margin=0.3, licence="MIT"
    )
    found = scored_pairs("p", settings)
    rows = judged_rows(run, plan, RATED)
    said = {(c, e): s for c, e, s in rows.select("condition", "example", "score").iter_rows()}
    expected = set()
    for a, b in combinations(ids(plan).values(), 2):
        for example in rows["example"].unique():
            x, y = said[a, example], said[b, example]
            if abs(x - y) >= 0.3:
                low, high = sorted(((x, a), (y, b)))
                expected.add((f"{low[1]}#0", f"{high[1]}#0", low[0], high[0]))

    assert {(p.chosen_by, p.rejected_by, *(p.scores or ())) for p in found.candidates} == expected
    assert len(found.candidates) + sum(found.left_out.values()) == 3 * N_QUESTIONS
    assert 0 < len(expected) < 3 * N_QUESTIONS
    assert "is uncalibrated on" in found.warnings[0]
    assert found.origin["chosen_by"] == [plan.metrics[-1].judged_by]


def test_comparisons_of_a_run_make_pairs_where_both_orders_agree(finished: Path):
    """Each two conditions are compared once, and asked for in both orders."""
    run, plan = run_of(finished)
    settings = PairSettings(
        path=str(run.root), made_from="scores", column="one_emrank_empathy", margin=0.2
    )
    found = scored_pairs("p", settings)
    told = {
        (row["condition"], metric.opponent, row["example"]): (
            row["p_first_as_a"],
            row["p_first_as_b"],
        )
        for metric in plan.metrics
        if metric.name.startswith("preference:")
        for row in judged_rows(run, plan, metric.name).iter_rows(named=True)
        if row["judged"] == 1
    }
    wins = [min(a, 1 - b) >= 0.6 for a, b in told.values()]
    losses = [max(a, 1 - b) <= 0.4 for a, b in told.values()]

    assert len(told) == 3 * N_QUESTIONS
    assert len(found.candidates) == sum(wins) + sum(losses)
    assert found.left_out[UNLIKE_ORDERS] == sum((a > 0.5) == (b > 0.5) for a, b in told.values())
    assert 0 < len(found.candidates) < 3 * N_QUESTIONS
