"""A sweep of a model that thinks: its thoughts are stored and shown, and nothing scores them."""

import csv
import json
import re

import polars as pl
import pytest
from transformers import AutoTokenizer

from empathy_core import store
from empathy_core.store import RunDir
from jobs import launch
from jobs.planning.plan_file import last_plan
from tests.empathy_core.prompts.test_reasoning import QWEN3
from tests.jobs.commands.test_diagnose import CONFIG, taught
from tests.pages import chromium, examples_of, needs_chromium, opened, texts_of
from tests.runs.command_line import write_config, write_questions

SAID = [
    "<think>Sad, I see.</think>\n\nYou are not alone.",
    "<think>Sleep?</think>\n\nRest is good for you.",
    "<think>I wonder and wonder",
    "Thank you for writing.",
]
TEXTS = ["You are not alone.", "Rest is good for you.", "", "Thank you for writing."]
THOUGHTS = ["Sad, I see.", "Sleep?", "I wonder and wonder", ""]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A finished run of a model that was taught thoughts and answers."""
    folder = tmp_path_factory.mktemp("thinker")
    write_questions(folder, len(SAID))
    model = taught(folder / "thinker", SAID, end=True)
    words = AutoTokenizer.from_pretrained(model)
    words.chat_template = QWEN3
    words.save_pretrained(model)
    text = CONFIG.format(folder=folder).replace('name = "bugs"', 'name = "thinker"')
    text = text.replace("max_new_tokens = 32", "max_new_tokens = 64")
    text = text.replace('response = "answer"', 'response = "answer"\nredistribute = true')
    text += (
        '[metrics.diagnostics]\n[models.thinker]\nbackend = "hf"\narchitecture = "decoder"\n'
        f'weights = "{model}"\nprompts = ["none"]\n'
    )
    config = write_config(folder, text)
    arguments = ["--config", str(config), "--runs", str(folder / "runs"), "--executor", "local"]
    assert launch.main(["sweep", *arguments]) == 0
    return RunDir(folder / "runs" / "thinker")


def answers(run: RunDir) -> pl.DataFrame:
    """Return the model's answers in the run's order."""
    [condition] = [c for c in last_plan(run)[0].conditions if c.model.name == "thinker"]
    [path] = store.list_pieces(run.generations(condition.id))
    return store.read_piece(path)[1].sort("example")


def test_thoughts_are_a_column_of_their_own(run: RunDir):
    """Texts without them, tokens counted, and the whole answer still in the ids."""
    rows = answers(run)
    words = AutoTokenizer.from_pretrained(run.root.parents[1] / "thinker")

    assert rows["text"].to_list() == TEXTS
    assert rows["thought"].to_list() == THOUGHTS
    for row, said in zip(rows.iter_rows(named=True), SAID, strict=True):
        assert words.decode(row["output_ids"], skip_special_tokens=True) == said
        thought = said.partition("</think>")[0] + "</think>" * ("</think>" in said)
        expected = len(words(thought, add_special_tokens=False)["input_ids"])
        assert row["n_thought_tokens"] == (expected if "<think>" in said else 0)


def test_metrics_see_the_answer_alone(run: RunDir):
    """Words are those of the texts, and the answer that never left its thought is empty."""
    with (run.report / "summary.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if r["subset"] == "all" and "thinker" in r["model"]]
    scores = {r["column"]: float(r["score"]) for r in rows}

    assert scores["words"] == pytest.approx(sum(len(t.split()) for t in TEXTS) / 4)
    assert scores["empty"] == pytest.approx(0.25)


def test_the_table_says_what_was_kept_apart_and_what_ended_in_its_thought(run: RunDir):
    """Counted as other faults are, in the main table's notes."""
    text = re.sub(r"\s+", " ", (run.report / "table1.html").read_text())
    told = (run.report / "index.html").read_text() + text

    n = sum("<think>" in said for said in SAID)
    kept = "Reasoning between &lt;think&gt; and &lt;/think&gt; is not scored"
    assert f"{kept}; answers with it: thinker, No Prompt {n} of 4." in told
    assert "Reasoning without an answer (counted as empty): thinker, No Prompt 1 of 4." in told


def test_the_page_shows_thoughts_folded_and_apart(run: RunDir):
    """They are packed behind the answers, of the conditions that have any."""
    text = (run.report / "index.html").read_text()
    index, _, _ = examples_of(text)
    [thinks] = [c for c in index["conditions"] if c.get("thinks")]

    assert thinks["name"].startswith("thinker")
    assert [row[-2:] for row in texts_of(text).values()] == [
        [said, thought] for said, thought in zip(TEXTS, THOUGHTS, strict=True)
    ]
    place = [kind["name"] for kind in index["kinds"]].index("thought_only")
    [flags] = [
        a["flags"] for c, a in zip(index["conditions"], index["answers"], strict=True)
        if c.get("thinks")
    ]  # fmt: skip
    assert [bool(flag >> place & 1) for flag in flags] == [False, False, True, False]


@needs_chromium
def test_a_reader_unfolds_a_thought(run: RunDir):
    """It is closed at first, says what it is, and an answer without one has none."""
    first = f"#example={answers(run)['example'][0]}"
    page = run.report / "index.html"
    with chromium() as browser, opened(browser, page, first, ready=True) as shown:
        folded = shown.page.locator("#browser-example details.thought")

        assert folded.count() == 1
        assert folded.get_attribute("open") is None
        assert folded.locator("summary").text_content() == "Reasoning (not scored)"
        assert folded.locator("p").text_content() == THOUGHTS[0]
        for _ in range(3):
            shown.page.locator("[data-step='1']").click()
        shown.page.get_by_text(TEXTS[3]).first.wait_for()
        assert folded.count() == 0


def test_diagnosis_finds_no_bug_in_a_split_answer(run: RunDir, capsys: pytest.CaptureFixture[str]):
    """What is stored is what the ids decode to, once the thought is taken out."""
    named = ["--name", "thinker", "--runs", str(run.root.parent)]
    assert launch.main(["diagnose", "thinker.none.greedy", *named, "--rows", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)

    assert "decode-bug" not in found["causes"]
    assert "not-reproduced" not in found["causes"]
    assert [row["causes"][0]["name"] for row in found["rows"] if not row["stored"]["text"]] == [
        "reasoning-only"
    ]


def test_answers_of_an_older_version_are_reported_with_the_others(run: RunDir):
    """A piece without the columns is read as if nothing had been thought."""
    [condition] = [c for c in last_plan(run)[0].conditions if c.model.name == "thinker"]
    [path] = store.list_pieces(run.generations(condition.id))
    whole = path.read_bytes()
    piece, frame = store.read_piece(path)
    try:
        store.write_piece(frame.drop("thought", "n_thought_tokens"), path, piece.tags)
        _, old = store.read_piece(path)

        assert old.columns == frame.columns
        assert old["thought"].to_list() == [""] * 4
        assert old["n_thought_tokens"].to_list() == [0] * 4
        named = ["--name", "thinker", "--runs", str(run.root.parent), "--partial"]
        assert launch.main(["report", *named]) == 0
    finally:
        path.write_bytes(whole)
