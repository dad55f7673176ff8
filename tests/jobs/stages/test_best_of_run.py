"""A run in which the best of n samples is chosen: what is chosen, proven, counted, and paid for."""

import csv
import hashlib
import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from empathy_core import store
from empathy_core.errors import Incomplete
from empathy_core.store import RunDir
from empathy_core.types import Condition
from jobs.config import read as configuration
from jobs.executors.worker import do_task
from jobs.planning import sweep
from jobs.planning.plan import Plan
from jobs.planning.progress import read_progress
from jobs.planning.stages import CHOOSE, SCORE_CHOSEN
from jobs.stages.report import report_spec
from reports.write import write_report
from tests.judging import run_of, sweep_here
from tests.runs.best_of import BEST_OF, SAMPLES, N, write_best_of
from tests.runs.judged import N_QUESTIONS

WARMTH, BLAMES = "judge:one:care:warmth", "judge:one:faults:blames"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run whose answers are chosen and scored, its report left out."""
    folder = tmp_path_factory.mktemp("best")
    write_best_of(folder)
    planned = sweep_here(folder)
    stages = list(dict.fromkeys(task.stage for task in planned.tasks))
    assert stages == ["generate", "score", "choose", "score_chosen", "report"]
    return folder


def named(plan: Plan, decoding: str) -> Condition:
    """Return the condition of that decoding."""
    return next(c for c in plan.conditions if c.decoding.name == decoding)


def answers(run: RunDir, condition: Condition) -> dict[tuple[str, int], dict[str, object]]:
    """Return (example, sample) → row, read by polars alone."""
    frame = pl.concat([pl.read_parquet(p) for p in run.generations(condition.id).glob("*.parquet")])
    return {(row["example"], row["sample"]): row for row in frame.iter_rows(named=True)}


def statistics(run: RunDir, plan: Plan, metric: str, condition: Condition) -> dict[tuple, dict]:
    """Return (example, sample) → statistics, read by polars alone."""
    key = next(m.key for m in plan.metrics if m.name == metric)
    folder = run.root / "scores" / key / condition.id
    frame = pl.concat([pl.read_parquet(path) for path in folder.glob("*.parquet")])
    return {(row["example"], row["sample"]): row for row in frame.iter_rows(named=True)}


def expected(run: RunDir, plan: Plan) -> dict[str, int | None]:
    """Return example → the sample that must be chosen; written without the implementation."""
    samples = named(plan, "sampled")
    warm = statistics(run, plan, WARMTH, samples)
    blames = statistics(run, plan, BLAMES, samples)
    found: dict[str, int | None] = {}
    for example in sorted({example for example, _ in warm}):
        best, of_best = None, None
        for i in range(N):
            score, fault = warm[example, i]["score"], blames[example, i]["score"]
            if score is None or fault is None or fault >= 0.5:
                continue
            draw = hashlib.sha256(f"best of n:0:{example}:{i}".encode()).hexdigest()
            if of_best is None or (-score, draw) < of_best:
                best, of_best = i, (-score, draw)
        found[example] = best
    return found


def test_the_best_sample_without_a_severe_fault_is_chosen_to_the_byte(finished: Path):
    """What cannot be chosen has no answer, and nothing of an answer is other than the sample's."""
    run, plan = run_of(finished)
    chosen, samples = named(plan, "best"), answers(run, named(plan, "sampled"))
    wanted = expected(run, plan)

    found = answers(run, chosen)
    record = pl.read_parquet(run.choice(chosen.id))

    assert dict(record.select("example", "sample").iter_rows()) == wanted
    assert len(samples) == SAMPLES * N_QUESTIONS
    assert 0 < list(wanted.values()).count(None) < N_QUESTIONS
    assert {example for example, _ in found} == {e for e, i in wanted.items() if i is not None}
    for (example, sample), row in found.items():
        of = samples[example, wanted[example]]
        assert sample == 0
        assert {**row, "condition": "", "sample": 0} == {**of, "condition": "", "sample": 0}


def test_what_the_choice_costs_is_counted(finished: Path):
    """Tokens of all samples are added up; the judge read each of them twice, each prompt whole."""
    run, plan = run_of(finished)
    samples = answers(run, named(plan, "sampled"))
    record = pl.read_parquet(run.choice(named(plan, "best").id))
    from transformers import AutoTokenizer

    from empathy_core import rubrics
    from empathy_core.rubrics.rendering import lettered, rating_text

    tokenizer = AutoTokenizer.from_pretrained(finished / "tiny")
    asked = [rubrics.read(finished / f"{name}.toml") for name in ("care", "faults")]
    # no and yes are no single tokens of the tiny judge, which is shown letters
    of = [(asked[0], asked[0].dimensions[0]), (asked[1], lettered(asked[1].dimensions[0]))]
    questions = pl.read_parquet(run.examples)
    contexts = dict(questions.select("id", "context").iter_rows())

    for row in record.head(3).iter_rows(named=True):
        mine = [samples[row["example"], i] for i in range(N)]
        texts = [
            f"<|start|>user<|stop|>{rating_text(rubric, dim, contexts[row['example']], m['text'])}"
            "<|eot|><|start|>assistant<|stop|>"
            for m in mine
            for rubric, dim in of
        ]
        ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
        assert row["output_tokens"] == sum(m["n_output_tokens"] for m in mine)
        assert row["judge_tokens"] == sum(map(len, ids))


def test_a_finished_choice_is_not_made_again_and_a_lost_one_is_to_the_byte(copy: Path):
    """A choice that was cut short before its record stands is made anew, its scores kept."""
    run, plan = run_of(copy)
    chosen = named(plan, "best")
    before = {p: p.read_bytes() for p in run.generations(chosen.id).rglob("*.*")}
    scored = {p: p.stat().st_mtime_ns for p in run.root.glob(f"scores/*/{chosen.id}/*.parquet")}

    assert not CHOOSE.lacking(plan, read_progress(run, plan))
    run.choice(chosen.id).with_suffix(".json").unlink()
    run.choice(chosen.id).unlink()
    assert CHOOSE.lacking(plan, read_progress(run, plan)) == CHOOSE.tasks(plan)
    sweep_here(copy)

    assert {p: p.read_bytes() for p in run.generations(chosen.id).rglob("*.*")} == before
    again = {p: p.stat().st_mtime_ns for p in run.root.glob(f"scores/*/{chosen.id}/*.parquet")}
    assert again == scored
    assert len(scored) == len(plan.metrics)


def test_other_scores_make_the_choice_stale_and_it_is_made_again(copy: Path):
    """Where the judge now finds every first sample warmest, these are chosen, and scored."""
    run, plan = run_of(copy)
    chosen, samples = named(plan, "best"), named(plan, "sampled")
    key = next(m.key for m in plan.metrics if m.name == WARMTH)
    [path] = (run.root / "scores" / key / samples.id).glob("*.parquet")
    piece, frame = store.read_piece(path)
    first = pl.when(pl.col("sample") == 0).then(2.0).otherwise(pl.col("score") / 2)
    kept = {k: v for k, v in piece.tags.items() if k in ("kind", "data", "signature", "condition")}
    store.write_piece(
        frame.with_columns(score=first), path, kept | {"inputs": piece.tags["inputs"]}
    )

    with pytest.raises(Incomplete, match="the answer is not the one that the scores beside it"):
        write_report(run, report_spec(run, plan))
    assert CHOOSE.lacking(plan, read_progress(run, plan)) == CHOOSE.tasks(plan)
    sweep_here(copy)

    wanted = expected(run, plan)
    assert dict(pl.read_parquet(run.choice(chosen.id)).select("example", "sample").iter_rows()) == (
        wanted
    )
    assert list(wanted.values()).count(0) > N_QUESTIONS / 4
    progress = read_progress(run, plan)
    assert not CHOOSE.lacking(plan, progress)
    assert not SCORE_CHOSEN.lacking(plan, progress)
    assert not write_report(run, report_spec(run, plan)).problems


def test_an_answer_that_was_not_the_best_is_found_out(copy: Path):
    """A sound file with another sample of the same question does not pass."""
    run, plan = run_of(copy)
    chosen, samples = named(plan, "best"), answers(run, named(plan, "sampled"))
    [path] = run.generations(chosen.id).glob("*.parquet")
    piece, frame = store.read_piece(path)
    example, wanted = frame["example"][0], expected(run, plan)
    other = samples[example, (wanted[example] + 1) % N]["text"]
    swapped = pl.when(pl.col("example") == example).then(pl.lit(other)).otherwise(pl.col("text"))
    tags = {k: v for k, v in piece.tags.items() if k in ("kind", "data", "condition")}
    store.write_piece(frame.with_columns(text=swapped), path, tags)

    with pytest.raises(Incomplete, match="is stale: of 1 of 20 examples the answer is not the one"):
        write_report(run, report_spec(run, plan))


def test_the_report_marks_the_row_and_says_what_it_costs(copy: Path):
    """It is named, not ranked, compared with one sample, and its judge's own ratings are grey."""
    run, plan = run_of(copy)
    written = write_report(run, report_spec(run, plan))
    report = run.report

    wanted = expected(run, plan)
    with (report / "best-of-n.csv").open() as file:
        [row] = csv.DictReader(file)
    record = pl.read_parquet(run.choice(named(plan, "best").id))
    none = list(wanted.values()).count(None)
    assert (int(row["n_none"]), int(row["n_chosen"])) == (none, N_QUESTIONS - none)
    assert float(row["output_tokens"]) == pytest.approx(record["output_tokens"].mean(), abs=1e-6)
    assert float(row["one_output_tokens"]) == pytest.approx(float(row["output_tokens"]) / N)
    summary = written.summary.filter(pl.col("decoding") == "best", pl.col("subset") == "all")
    assert not summary["ranked"].any()
    assert "No Prompt, best ‡" in written.text
    notes = json.loads((report / "summary.json").read_text())["notes"]
    for file in ("table1", "table3", "best-of-n"):
        told = " ".join(notes[file][0])
        assert "‡ best: best of 3, the answer with the best score (Warmth by judge)" in told
        assert "too good by construction" in told
    assert "nobody" not in (report / "table3.tex").read_text()
    page = (report / "index.html").read_text()
    assert "A base, and what was made of it" in page
    assert "Best of n" in page


def test_table_3_has_the_difference_to_one_sample_that_independent_code_finds(copy: Path):
    """Mean over examples of the chosen answer's rating less the mean over the samples'."""
    run, plan = run_of(copy)
    write_report(run, report_spec(run, plan))
    sampled, best = named(plan, "sampled"), named(plan, "best")
    of_samples, of_best = (statistics(run, plan, WARMTH, c) for c in (sampled, best))
    gaps, scores = [], []
    for (example, _), row in of_best.items():
        mine = [of_samples[example, i]["score"] for i in range(SAMPLES)]
        known = [score for score in mine if score is not None]
        gaps.append(row["score"] - sum(known) / len(known))
        scores.append(row["score"])

    with (run.report / "table3.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if r["column"] == "one_care_warmth"]
    [base, made] = rows
    assert (base["how"], made["how"]) == ("Base", "Best of 3")
    assert made["base"] == base["condition"] == sampled.id
    assert float(made["difference"]) == pytest.approx(sum(gaps) / len(gaps), abs=1e-6)
    assert float(made["score"]) == pytest.approx(sum(scores) / len(scores), abs=1e-6)
    assert float(made["n"]) == len(gaps)
    assert float(made["adjusted"]) == pytest.approx(adjusted(run, plan, gaps), abs=1e-6)


def adjusted(run: RunDir, plan: Plan, gaps: list[float]) -> float:
    """Return the intercept of the gaps on the difference in log(1 + words), by least squares."""
    import numpy as np

    samples, best = answers(run, named(plan, "sampled")), answers(run, named(plan, "best"))
    order = statistics(run, plan, WARMTH, named(plan, "best"))
    x = []
    for example, _ in order:
        mine = np.mean([len(samples[example, i]["text"].split()) for i in range(SAMPLES)])
        x.append(np.log1p(len(best[example, 0]["text"].split())) - np.log1p(mine))
    return float(np.polyfit(x, gaps, 1)[1])


def test_a_run_that_chooses_nothing_has_no_such_tasks(tmp_path: Path):
    """Its stages, and the ids of its conditions, are as before there were choices."""
    text = BEST_OF.replace(', "best"]', "]")
    start = text.index("[decoding.best]")
    text = text[:start] + text[text.index("[models.echo]") :]
    write_best_of(tmp_path, text)
    config = configuration.read(str(tmp_path / "judged.toml"))
    planned = sweep.plan(config, RunDir(tmp_path / "runs" / "judged"), "a test")

    assert {task.stage for task in planned.tasks} == {"generate", "score", "report"}
    assert "choice" not in planned.plan.conditions[0].identity


def test_the_samples_are_scored_anew_only_where_they_are_others(copy: Path):
    """Choosing and scoring what was chosen leave the samples' own files as they are."""
    run, plan = run_of(copy)
    task = SCORE_CHOSEN.tasks(plan)[0]
    chosen = named(plan, "best")
    before = {p: p.stat().st_mtime_ns for p in run.root.glob("scores/*/*/*.parquet")}
    shutil.rmtree(next(iter(run.root.glob(f"scores/*/{chosen.id}"))).parent / chosen.id)

    for task in SCORE_CHOSEN.lacking(plan, read_progress(run, plan)):
        do_task(run, plan, task, lambda _: None)

    after = {p: p.stat().st_mtime_ns for p in run.root.glob("scores/*/*/*.parquet")}
    assert set(after) == set(before)
    assert {p for p in after if after[p] != before[p]} <= {
        p for p in after if p.parent.name == chosen.id
    }
