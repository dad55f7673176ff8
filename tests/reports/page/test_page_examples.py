"""The examples that a page holds: all of them, flagged and scored, or withheld to the last word."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from empathy_core import data, metrics, store
from empathy_core.data import DataSpec, EvaluateSpec
from empathy_core.errors import ConfigError
from empathy_core.store import RunDir
from empathy_core.types import Condition, Decoding
from jobs.planning.plan import Plan, PlannedMetric, PlanNotes
from jobs.planning.plan_file import read_plan, write_plan
from jobs.stages.report import report_spec
from reports.labels import number
from reports.page import examples as browser
from reports.rows.collect import collect
from reports.spec import Analysis, ReportSpec
from reports.write import write_report
from tests.pages import EVIL, examples_of, texts_of
from tests.runs.by_hand import DATA, FLAN, HUMAN, LLAMA, N_EXAMPLES, Toy, make, spec

SECRET = "zanzibar"


def page_of(run: RunDir, about: ReportSpec) -> str:
    """Write the report and return its page."""
    write_report(run, about)
    return (run.report / "index.html").read_text(encoding="utf-8")


def with_sources(run: RunDir, sources: Sequence[str]) -> RunDir:
    """Say of the run's examples which source each is from, by turns."""
    rows = pl.read_parquet(run.examples)
    named = [sources[i % len(sources)] for i in range(rows.height)]
    store.write_bytes(store.frame_bytes(rows.with_columns(source=pl.Series(named))), run.examples)
    return run


# ---------------------------------------------------------------------------- all of them


def test_every_text_is_in_the_page_letter_by_letter(tmp_path: Path):
    """Question, reference and each answer, whatever it holds; null where a row is not covered."""
    about = spec(LLAMA, HUMAN)

    def answer(made_by: Condition, row: int, sample: int) -> str:
        return f"{EVIL}{row}" if made_by is LLAMA else f"a person says {row}"

    run = make(tmp_path / "run", about, answer)
    found = texts_of(page_of(run, about))

    assert len(found) == N_EXAMPLES
    for i, (question, reference, llama, human) in enumerate(found.values()):
        assert question == f"What shall I do about worry {i}?"
        assert reference == "w0 w1 w2 w3 w4 w5 w6 w7"
        assert llama == f"{EVIL}{i}"
        assert human == (None if i % 2 else f"a person says {i}")


def test_what_a_text_holds_is_letters_and_digits_in_the_file(tmp_path: Path):
    """No answer can end the element that it stands in."""
    about = spec(LLAMA)
    page = page_of(make(tmp_path / "run", about, lambda c, i, s: EVIL), about)

    assert "hacked" not in page
    assert page.count("</script>") == 1 + len(re.findall('class="piece"', page))


def test_samples_stand_beside_each_other(tmp_path: Path):
    """A condition of three samples has three texts of each example, in order."""
    warm = replace(LLAMA, decoding=Decoding("warm", sample=True, samples=3, max_new_tokens=64))
    about = spec(warm, FLAN)
    run = make(tmp_path / "run", about, lambda c, i, s: f"{c.model.name} {i} {s}")
    page = page_of(run, about)

    index, scores, _ = examples_of(page)
    assert [c["samples"] for c in index["conditions"]] == [3, 1]
    assert [len(of[0]) for of in scores] == [3 * N_EXAMPLES, N_EXAMPLES]
    assert texts_of(page)["sample-7"][2:] == ["llama 7 0", "llama 7 1", "llama 7 2", "flan_t5 7 0"]


def test_scores_of_single_answers_are_those_of_the_metric(tmp_path: Path):
    """Digits as the tables print them: the metric's own reduction, of one row."""
    found = {n: metrics.load(n, {}) for n in ("bleu", "rouge", "diagnostics")}
    about = spec(LLAMA, HUMAN, metrics={metrics.key(n, m): m for n, m in found.items()})
    run = make(tmp_path / "run", about)
    index, scores, _ = examples_of(page_of(run, about))

    collected, compared = collect(run, about), 0
    places = {name: i for i, name in enumerate(collected.examples["id"])}
    columns = [(k, i, c) for k, m in about.metrics.items() for i, c in enumerate(m.columns)]
    for condition, mine in zip(about.conditions, scores, strict=True):
        for (key, i, column), shown in zip(columns, mine, strict=True):
            rows = collected.scores[condition.id, key]
            for row in rows.iter_rows(named=True):
                statistics = np.array([row[s] for s in about.metrics[key].statistics], float)
                value = float(about.metrics[key].score(statistics)[i])
                text = number(value, column).replace(",", "").strip("%")
                digits = shown[places[row["example"]]]
                if digits is None:
                    assert np.isnan(value)
                else:
                    assert f"{digits / 10**column.decimals:.{column.decimals}f}" == text
                    compared += 1
    assert compared > 500
    assert [column["key"] for column in index["columns"]] == [c.name for _, _, c in columns]


def test_flags_are_those_of_the_tables(tmp_path: Path):
    """Empty, cut, said elsewhere, not scored, and the diagnostics' faults, answer by answer."""
    said = {0: " ", 1: "skip", 2: "Take heart, my friend.", 3: "Take heart, my friend.",
            4: "Take heart, my friend.", 5: "ab <|im_end|> cd"}  # fmt: skip
    toy, faults = Toy(unscored="skip"), metrics.load("diagnostics", {})
    about = spec(LLAMA, metrics={"toy-00000000": toy, metrics.key("diagnostics", faults): faults})
    run = make(tmp_path / "run", about, lambda c, i, s: said.get(i, f"its own text {i}"))
    index = examples_of(page_of(run, about))[0]

    names = [kind["name"] for kind in index["kinds"]]

    def flagged(row: int) -> set[str]:
        bits = index["answers"][0]["flags"][row]
        return {name for i, name in enumerate(names) if bits >> i & 1}

    assert flagged(0) == {"empty"}
    assert flagged(1) == {"unscored"}
    assert flagged(2) == flagged(3) == flagged(4) == {"duplicate"}  # of two questions
    assert flagged(5) == {"special_tokens"}
    assert flagged(9) == set()


def test_a_condition_without_any_answer_has_gaps_only(tmp_path: Path):
    """While it is not generated yet; the others are there."""
    about = spec(LLAMA, FLAN)
    run = make(tmp_path / "run", about)
    for path in store.list_pieces(run.generations(FLAN.id)):
        path.unlink()
    write_report(run, about, partial=True)
    page = (run.report / "index.html").read_text()

    flags = [answers["flags"] for answers in examples_of(page)[0]["answers"]]
    assert set(flags[1]) == {browser.NO_ANSWER}
    assert min(flags[0]) >= 0
    assert {texts[3] for texts in texts_of(page).values()} == {None}


def test_of_too_many_examples_the_page_holds_some_of_each_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Evenly spaced in the run's order, and it says so."""
    monkeypatch.setattr(browser, "MOST_ANSWERS", 20)
    about = spec(LLAMA, FLAN)
    page = page_of(make(tmp_path / "run", about), about)

    ids = examples_of(page)[0]["examples"]["id"]
    assert ids == [f"sample-{i}" for i in range(2, 40, 4)]
    assert "20 answers to 10 examples, evenly spaced among the 40 of the run" in page


def test_texts_are_cut_into_pieces_that_are_unpacked_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """An example's texts are all in one piece, and a text that is said often is there once."""
    about = spec(LLAMA)
    run = make(tmp_path / "run", about, lambda c, i, s: "the same")
    whole = texts_of(page_of(run, about))
    monkeypatch.setattr(browser, "PIECE_CHARACTERS", 300)
    page = page_of(run, about)

    index, _, pieces = examples_of(page)
    assert texts_of(page) == whole
    assert len(pieces) > 3
    assert index["starts"] == [piece["start"] for piece in pieces]
    assert all(piece["texts"].count("the same") == 1 for piece in pieces)


# ---------------------------------------------------------------------------- withheld


def test_a_withheld_source_leaves_no_word_in_any_file(tmp_path: Path):
    """Not of the question, the reference or an answer, in no file of the report."""
    about = spec(LLAMA, HUMAN, withheld={"sample": "licence: RAIL-D"})

    def answer(made_by: Condition, row: int, sample: int) -> str:
        return f"{SECRET} {made_by.model.name} {row}"

    run = make(tmp_path / "run", about, answer)
    rows = pl.read_parquet(run.examples)
    secret = rows.with_columns(
        pl.format(f"{SECRET} {{}}", c).alias(c) for c in ("context", "response")
    )
    store.write_bytes(store.frame_bytes(secret), run.examples)
    page = page_of(run, about)

    for path in run.report.iterdir():
        content = path.read_bytes()
        assert SECRET.encode() not in content, path.name
        assert b"What shall I do about worry" not in content, path.name
    index, _, pieces = examples_of(page)
    assert SECRET not in json.dumps([index, pieces])
    assert "RAIL-D" in page


@pytest.mark.parametrize("column", ["context", "response"])
def test_texts_divide_no_table(tmp_path: Path, column: str):
    """A subgroup's name stands in every file, so that a text cannot be one."""
    about = spec(LLAMA, analysis=Analysis(subgroups=(column,)))
    run = make(tmp_path / "run", about, n=4)

    with pytest.raises(ConfigError, match=f"'{column}' is a text"):
        write_report(run, about)


def test_in_place_of_a_withheld_text_stands_its_digest(tmp_path: Path):
    """Who has the texts can tell that they are the same; ids, flags and scores stay."""
    about = spec(LLAMA, withheld={"sample": "licence: RAIL-D"})
    run = make(tmp_path / "run", about, lambda c, i, s: f"{SECRET} {i}")
    page = page_of(run, about)

    def digest(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()[: browser.DIGEST_DIGITS]

    question, _, answer = texts_of(page)["sample-3"]
    assert question == digest("What shall I do about worry 3?")
    assert answer == digest(f"{SECRET} 3")
    open_page = page_of(run, replace(about, withheld={}))
    index, scores, _ = examples_of(page)
    open_index, open_scores, _ = examples_of(open_page)
    assert scores == open_scores
    assert index["answers"] == open_index["answers"]
    assert set(index["examples"]["lead"]) == {""}


def test_of_two_sources_only_the_one_is_withheld(tmp_path: Path):
    """Each source has its own licence."""
    about = spec(LLAMA, withheld={"closed": "licence: RAIL-D"})
    run = with_sources(
        make(tmp_path / "run", about, lambda c, i, s: f"{SECRET} {i}"), ["open", "closed"]
    )
    page = page_of(run, about)

    texts = texts_of(page)
    assert [SECRET in str(of[2]) for of in texts.values()] == [
        i % 2 == 0 for i in range(N_EXAMPLES)
    ]
    assert examples_of(page)[0]["examples"]["hidden"] == [i % 2 for i in range(N_EXAMPLES)]
    assert "closed (licence: RAIL-D)" in page


def test_a_page_that_shows_what_must_not_be_passed_on_says_so(tmp_path: Path):
    """Whoever asked for the texts is told to keep the file."""
    about = spec(LLAMA, not_to_pass_on={"sample": "licence: RAIL-D"})
    page = page_of(make(tmp_path / "run", about), about)

    assert "Do not share this file." in page
    assert "What shall I do about worry 3?" in str(texts_of(page))


# ---------------------------------------------------------------------------- the setting


def planned(run: RunDir, config: dict[str, Any] | None = None) -> Plan:
    """Write a plan and an audit of two sources, one of which may be passed on."""
    metric = PlannedMetric("bleu", {}, "bleu-1", "sig", "lexical")
    plan = Plan((LLAMA,), DATA, 1, {"llama": 1}, 1, "error", (metric,), PlanNotes(),
                config=config or {})  # fmt: skip
    write_plan(plan, run.next_plan())
    source = {"hub": None, "homepage": "", "raw": 1, "kept": 1, "dropped": {}, "repaired": {}}
    prepared = data.prepare(DataSpec((data.source("sample"),)), EvaluateSpec(limit=3))
    audit = dict(prepared.audit)
    audit["sources"] = [
        {**source, "name": "free", "licence": "MIT", "redistribute": True},
        {**source, "name": "amod", "licence": "RAIL-D", "redistribute": False},
    ]
    data.freeze(replace(prepared, audit=audit), run)
    return plan


@pytest.mark.parametrize(
    ("override", "withheld", "kept"),
    [
        ((), {"amod": "not to be passed on; licence: RAIL-D"}, {}),
        (("report.redact=auto",), {"amod": "not to be passed on; licence: RAIL-D"}, {}),
        (("report.redact=false",), {}, {"amod": "not to be passed on; licence: RAIL-D"}),
        (("report.redact=true",), dict.fromkeys(("free", "amod"), "[report] redact = true"), {}),
    ],
)
def test_licences_decide_unless_the_setting_does(
    tmp_path: Path, override: tuple[str, ...], withheld: dict[str, str], kept: dict[str, str]
):
    """What may not be passed on is withheld by default; to show it takes a word, and is marked."""
    run = RunDir(tmp_path / "run")
    about = report_spec(run, planned(run), override)

    assert about.withheld == withheld
    assert about.not_to_pass_on == kept
    assert about.commands.unredacted == (
        f"python -m jobs.launch report --set report.redact=false --runs {tmp_path} --name run"
    )


def test_another_value_of_the_setting_is_a_mistake(tmp_path: Path):
    """Named, with its path."""
    run = RunDir(tmp_path / "run")

    with pytest.raises(ConfigError, match=r"report\.redact"):
        report_spec(run, planned(run), ("report.redact=perhaps",))


def test_a_plan_with_the_setting_of_old_still_loads(tmp_path: Path):
    """``examples`` was a number of examples to show; both places of a plan may hold it."""
    run = RunDir(tmp_path / "run")
    planned(run, {"report": {"examples": 5, "title": "Old"}})
    path = run.plans()[0]
    old = json.loads(path.read_text())
    old["words"]["examples"] = 5
    path.write_text(json.dumps(old))

    about = report_spec(run, read_plan(path))

    assert about.title == "Old"
    assert about.withheld == {"amod": "not to be passed on; licence: RAIL-D"}
