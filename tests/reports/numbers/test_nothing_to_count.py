"""A whole sweep over answers that show nothing, and texts in which there is nothing to count."""

import csv
import html
import json
import re
from itertools import cycle, islice
from pathlib import Path

import polars as pl
import pytest

from empathy_core import store
from tests.runs.command_line import launch, write_config

CONFIG = """
name = "nothing"
[data.sources.mine]
path = "data.csv"
context = "question"
response = "answer"
[evaluate]
split = "all"
[metrics.bleu]
[metrics.rouge]
[metrics.length]
[metrics.diagnostics]
[scoring]
shards = 1
[local]
workers = 1
threads = 1
"""
ADDED = ("reference_possible4", "short_references", "short_answers", "reference_bigram",
         "no_token", "one_token", "misread")  # fmt: skip
N = 24
SENTENCE = "i hear how tired you are of it all and that sleep does not come at night"
WORDS = SENTENCE.split(" ")
CHINESE = "我听到你很累\uff0c这很难。"
INVISIBLE = (
    "\u200b",
    "\u2060",
    "\ufeff",
    "\u200d",
    "\u00ad",
    "\u3164",
    "\u2800",
    "\ufe0f",
    "[SEP]",
)


def reference(i: int) -> str:
    """Return English, but two in Chinese and two of one word."""
    return CHINESE if i < 2 else WORDS[i] if i < 4 else " ".join(WORDS[i % 5 :])


ANSWERS = {
    "equal": [reference(i) for i in range(N)],
    "blank": [" "] * N,
    "invisible": list(islice(cycle(INVISIBLE), N)),
    "other": ["👍" if i % 2 else "rest" for i in range(N)],
}


def write(path: Path, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Write a CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished sweep."""
    folder = tmp_path_factory.mktemp("nothing")
    write(folder / "data.csv", ("question", "answer"),
          [(f"Question number {i}", reference(i)) for i in range(N)])  # fmt: skip
    tables = ""
    for name, texts in ANSWERS.items():
        rows = [(f"mine-{i:05d}", text) for i, text in enumerate(texts)]
        write(folder / f"{name}.csv", ("example", "text"), rows)
        tables += f'[answers.{name}]\npath = "{name}.csv"\n'
    write_config(folder, CONFIG + tables, "c.toml")
    done = launch("sweep", "--config", "c.toml", "--executor", "local", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def notes(folder: Path, file: str = "table1") -> str:
    """Return the notes of a table in one line."""
    page = (folder / "runs/nothing/report" / f"{file}.html").read_text()
    (found,) = re.findall(r'<p class="notes">(.*?)</p>', page, re.DOTALL)
    return " ".join(html.unescape(found).split())


def test_invisible_answers_have_the_row_of_blank_ones(swept: Path) -> None:
    """Every number, but that special tokens are told; and the run bears the stamp."""
    summary = pl.read_csv(swept / "runs/nothing/report/summary.csv")
    blank, invisible = (
        summary.filter(pl.col("condition").str.starts_with(f"{name}."), pl.col("subset") == "all")
        .filter(pl.col("column") != "special_tokens")
        .drop("condition", "model")
        for name in ("blank", "invisible")
    )
    assert blank.height == invisible.height > 15
    assert blank.equals(invisible)
    assert blank.filter(pl.col("column") == "empty")["score"].to_list() == [1]
    assert blank.filter(pl.col("column") == "rouge1")["score"].to_list() == [0]
    assert "100.0% EMPTY ANSWERS" in notes(swept)


def test_the_notes_say_where_there_was_nothing_to_count(swept: Path) -> None:
    """What was left out and why, what scored 0 and why, and what to set."""
    said = notes(swept)
    for sentence in (
        "Not scored by rouge: the reference holds no token of ROUGE's tokenizer (a-z, 0-9): 2 of "
        "24 in each row. For such texts set metrics.rouge.tokenizer: zh for Chinese",
        "rouge: references of one token, left out of ROUGE-2 (no bigram): 2 of 22 in each row.",
        "rouge: answers without a token of ROUGE's tokenizer (a-z, 0-9), scored 0: other, No "
        "Prompt 11 of 22. "
        "For such texts set metrics.rouge.tokenizer: zh for Chinese",
        "bleu: 0.0000, since no 1-gram of the answers matches in the whole set: blank, No "
        "Prompt; invisible, No Prompt; other, No Prompt.",
        "bleu: references of fewer than 4 tokens (no 4-gram can match): 4 of 24 in each row.",
        "bleu: rows of scripts that its tokenizer (13a) is not made for: 2 of 24 in each row. For "
        "such texts set metrics.bleu.tokenizer: zh for Chinese",
    ):
        assert sentence in said


def test_answers_equal_to_their_references_score_1(swept: Path) -> None:
    """What cannot be scored is left out, and counted, rather than 0."""
    summary = pl.read_csv(swept / "runs/nothing/report/summary.csv").filter(
        pl.col("condition").str.starts_with("equal."), pl.col("subset") == "all"
    )
    scores = {c: (s, n, u) for c, s, n, u in summary.select(
        "column", "score", "n", "n_unscored").iter_rows()}  # fmt: skip
    assert scores["bleu"] == (1, N, 0)
    assert {scores[c] for c in ("rouge1", "rouge2", "rougeL")} == {(1, N - 2, 2)}


def test_scores_of_an_earlier_version_are_still_reported(swept: Path) -> None:
    """They lack what is counted now; the numbers are those that were computed then."""
    run = swept / "runs/nothing"
    paths = [p for name in ("bleu", "rouge") for p in run.glob(f"scores/{name}-*/*/*.parquet")]
    kept = [(path, *store.read_piece(path)) for path in paths]
    for path, piece, frame in kept:
        names = [n for n in ADDED if n in frame.columns]
        rows = (
            frame.fill_null(0).with_columns(n=pl.lit(1.0)) if "rouge1" in frame.columns else frame
        )
        store.write_piece(rows.drop(names), path, piece.tags)

    done = launch("report", "--config", "c.toml", "--json", cwd=swept)

    for path, piece, frame in kept:
        store.write_piece(frame, path, piece.tags)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)["summary"]
    scores = {r["column"]: r["score"] for r in summary if r["condition"].startswith("equal.")
              and r["subset"] == "all"}  # fmt: skip
    assert scores["rouge1"] == pytest.approx((N - 2) / N)  # Chinese was 0
    assert scores["rouge2"] == pytest.approx((N - 4) / N)  # and so were single words
    assert scores["bleu"] == 1


def test_a_recheck_that_finds_a_wrong_score_fails(swept: Path) -> None:
    """Exit code 1, and the column is named; an untouched run passes with 0."""
    command = ("report", "--config", "c.toml", "--recheck", "96")
    sound = launch(*command, cwd=swept)
    assert sound.returncode == 0, sound.stdout
    assert "NOT EQUAL" not in sound.stdout
    (path,) = (swept / "runs/nothing/scores").glob("rouge-*/other.*/*.parquet")
    piece, frame = store.read_piece(path)
    store.write_piece(frame.with_columns(rouge1=pl.lit(float("inf"))), path, piece.tags)

    wrong = launch(*command, cwd=swept)

    store.write_piece(frame, path, piece.tags)
    assert wrong.returncode == 1
    assert "rouge1" in wrong.stderr
    assert "the tables must not be used" in wrong.stderr
