"""Imported answers find their examples; what finds none, and what is missing, is counted."""

import json
import re
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from empathy_core.data.normal import question_digest
from empathy_core.errors import DataError
from empathy_core.imported_answers import table as answers
from empathy_core.imported_answers.table import ID, QUESTION
from empathy_core.store import RunDir
from jobs.config import read as configuration
from jobs.launch import main
from jobs.planning import sweep
from tests.runs.command_line import write_questions

WHERE = "answers.gpt (gpt.csv)"


def examples(*contexts: str, not_evaluated: str | None = None) -> pl.DataFrame:
    """Return what is read of the examples."""
    whole = [*contexts, *([not_evaluated] if not_evaluated else [])]
    blocks = [0] * len(contexts) + [None] * (len(whole) - len(contexts))
    return pl.DataFrame(
        {
            "id": [f"s-{i}" for i in range(len(whole))],
            "question": list(map(question_digest, whole)),
            "context": whole,
            "block": pl.Series(blocks, dtype=pl.Int32),
        }
    )


def said(*rows: tuple[str, int, str]) -> pl.DataFrame:
    """Return answers as ``read`` does."""
    schema = {"example": pl.String, "sample": pl.Int32, "text": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


# ---------------------------------------------------------------------------- by question, by id


def test_every_row_of_a_question_gets_its_answer():
    """Case, spaces and markup of the question do not matter; an answer to another is counted."""
    texts = said(("<p>WHY do&nbsp;I worry</p>", 0, "yes"), ("Unasked?", 0, "no"))
    found = answers.matched(
        texts, examples("Why do I worry?", "Other", "Why do I worry?"), QUESTION, WHERE
    )

    assert found.texts.rows() == [("s-0", 0, "yes"), ("s-2", 0, "yes")]
    assert found.unanswered == ("s-1",)
    assert found.unknown == ("Unasked?",)
    assert "1 of 3 examples have no answer in the imported file" in found.note()
    assert found.remark() == (
        "answers 2 of 3 examples; no answer to 's-1'; answers to no example of this run: 'Unasked?'"
    )


def test_a_file_that_answers_everything_needs_no_word():
    """Answers to rows that are not evaluated are left out; a table need not say so."""
    whole = examples("one", "two", not_evaluated="three")
    found = answers.matched(
        said(("s-1", 0, "b"), ("s-0", 0, "a"), ("s-2", 0, "c")), whole, ID, WHERE
    )

    assert found.texts.rows() == [("s-0", 0, "a"), ("s-1", 0, "b")]
    assert (found.note(), found.n_not_evaluated) == ("", 1)


def test_two_answers_to_one_question_are_refused():
    """Equal answers count once; unlike ones cannot be told apart by the question."""
    equal, unlike = said(("q", 0, "yes"), ("q", 0, "yes")), said(("q", 0, "yes"), ("q", 0, "no"))

    assert answers.matched(equal, examples("q"), QUESTION, WHERE).texts.height == 1
    with pytest.raises(DataError, match=r"answers\.gpt .* answers 1 examples more than once"):
        answers.matched(unlike, examples("q"), QUESTION, WHERE)


def test_samples_are_whole_or_refused():
    """An example with fewer samples than others would count for less, unseen."""
    rows = [(f"s-{i}", k, f"{i}{k}") for i in (1, 0) for k in (1, 0)]
    whole = examples("one", "two", "three")

    assert answers.matched(said(*rows), whole, ID, WHERE).texts.rows() == sorted(rows)
    with pytest.raises(DataError, match=r"not the samples 0 to 1 of 1 examples \('s-0'\)"):
        answers.matched(said(*rows[:-1]), whole, ID, WHERE)
    with pytest.raises(DataError, match="not the samples 0 to 0"):
        answers.matched(said(("s-0", 3, "x")), whole, ID, WHERE)


@pytest.mark.parametrize("key", [ID, QUESTION])
def test_a_file_that_matches_nothing_shows_both_sides(key: answers.Key):
    """What stands there, what was expected, and how to say which column it is."""
    whole = examples("Why do I worry?", "Other", not_evaluated="Not now")
    with pytest.raises(DataError) as caught:
        answers.matched(said(("abc", 0, "x"), ("Not now", 0, "y")), whole, key, WHERE)
    text = str(caught.value)

    assert text.startswith(WHERE)
    assert "There: 'abc', 'Not now'" in text
    assert ("Here: 's-0', 's-1'" if key is ID else "Here: 'Why do I worry?', 'Other'") in text
    assert ("not evaluated: 1" in text) == (key is QUESTION)
    assert "data --export" in text


@given(
    st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=14, unique_by=lambda x: x[0])
)
def test_every_answer_is_used_or_counted(rows: list[tuple[int, bool]]):
    """Answered and unanswered are all examples; used, unknown and left out are all answers."""
    whole = examples(*(f"question {i}" for i in range(8)), not_evaluated="question 8")
    texts = said(*((f"question {i}", 0, "" if empty else f"a{i}") for i, empty in rows))
    if not any(i < 8 for i, _ in rows):
        with pytest.raises(DataError, match="none of its"):
            answers.matched(texts, whole, QUESTION, WHERE)
        return
    found = answers.matched(texts, whole, QUESTION, WHERE)

    assert {*found.texts["example"], *found.unanswered} == {f"s-{i}" for i in range(8)}
    assert found.texts.height + len(found.unanswered) == found.n_asked == 8
    assert found.texts.height + len(found.unknown) + found.n_not_evaluated == len(rows)
    assert dict(found.texts.select("example", "text").iter_rows()) == {
        f"s-{i}": "" if empty else f"a{i}" for i, empty in rows if i < 8
    }


# ---------------------------------------------------------------------------- a configuration


CONFIG = """
name = "import"
[data.sources.made]
path = "made.csv"
context = "question"
response = "answer"
[evaluate]
split = "all"
[answers.gpt]
path = "gpt.csv"
[metrics.bleu]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twenty-four questions and a configuration that imports ``gpt.csv``."""
    write_questions(tmp_path, 24)
    (tmp_path / "import.toml").write_text(CONFIG)
    return tmp_path


def planned(folder: Path, *overrides: str) -> sweep.Planned:
    config = configuration.read(str(folder / "import.toml"), overrides)
    return sweep.plan(config, RunDir(folder / "runs" / "import"), "…")


def exported(folder: Path) -> pl.DataFrame:
    path = folder / "examples.csv"
    assert main(["data", "--config", str(folder / "import.toml"), "--export", str(path)]) == 0
    return pl.read_csv(path)


def test_what_is_exported_comes_back_by_question_and_by_id(folder: Path):
    """Ids need not be known; with them the same texts have the same identity."""
    asked = exported(folder).with_columns(text=pl.concat_str(pl.lit("On "), "question"))
    assert asked.columns == ["example", "question", "text"]
    found = []
    for columns in (["question", "text"], ["example", "text"], asked.columns):
        asked.select(columns).write_csv(folder / "gpt.csv")
        found.append(planned(folder))

    assert len({p.plan.conditions[0].id for p in found}) == 1
    assert not found[0].warnings
    [texts] = found[0].resolved.made.values()
    assert texts.height == 24
    assert texts["text"].str.starts_with("On Question number").all()


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_an_export_holds_every_question_letter_by_letter(folder: Path, ending: str):
    """Quotation marks, commas and line breaks of a question survive the file."""
    odd = 'He said ""no"", then\nleft; what now 😀?'
    (folder / "made.csv").write_text(f'question,answer\n"{odd}","Breathe, slowly."\n')
    path = folder / f"asked.{ending}"
    main(["data", "--config", str(folder / "import.toml"), "--export", str(path)])
    read = {"csv": pl.read_csv, "jsonl": pl.read_ndjson, "parquet": pl.read_parquet}[ending]

    assert read(path)["question"].to_list() == [odd.replace('""', '"')]


@pytest.mark.parametrize(
    ("name", "words"), [("x.xlsx", "expected a file .csv"), ("no/x.csv", "No such")]
)
def test_a_file_that_cannot_be_exported_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, words: str
):
    """Exit code 2."""
    where = str(folder / name)

    assert main(["data", "--config", str(folder / "import.toml"), "--export", where]) == 2
    assert f"--export {where}: " in (said := capsys.readouterr().err)
    assert words in said


@pytest.mark.slow
def test_examples_without_an_answer_are_missing_rows_and_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    """20 of 24: the plan says so, the tables say so, and no row is scored as 0."""
    asked = exported(folder).with_columns(text=pl.lit("Breathe, and tell me more."))
    stray = pl.DataFrame({"example": ["s"], "question": ["Who?"], "text": ["Me."]})
    pl.concat([asked.head(20), stray]).drop("example").write_csv(folder / "gpt.csv")
    config, runs = str(folder / "import.toml"), str(folder / "runs")
    assert main(["sweep", "--config", config, "--runs", runs, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    options = ["--config", config, "--runs", runs, "--executor", "local"]
    assert main(["sweep", *options]) == 0
    warned = capsys.readouterr().err
    report = folder / "runs" / "import" / "report"
    note = json.loads((report / "summary.json").read_text())["notes"]["table1"]

    for text in (shown, warned):
        assert "answers.gpt: answers 20 of 24 examples; no answer to 'made-00" in text
        assert "answers to no example of this run: 'Who?'" in text
    assert "gpt: 4 of 24 examples have no answer in the imported file" in str(note)
    scores = pl.read_csv(report / "summary.csv").filter(pl.col("column") == "bleu")
    assert scores["n"].to_list() == [20]
    assert "PARTIAL" not in (report / "table1.tex").read_text()


@pytest.mark.parametrize(
    ("content", "keys", "words"),
    [
        ("question,answer\nq,a\n", "", "has no column 'text'"),
        ("prompt,text\nq,a\n", "", "has no column 'question'"),
        ("question,text\nq,a\n", 'question = "Question"', "has no column 'Question'"),
        ("id,text\nq,a\n", 'example = "ids"', "Did you mean 'id'"),
        ("question,text\nq,a\n", "", "none of its 1 answers"),
        (None, "", "no file"),
    ],
)
def test_errors_name_the_table_of_the_answers(
    folder: Path, content: str | None, keys: str, words: str
):
    """Not a source that nobody configured."""
    if content is not None:
        (folder / "gpt.csv").write_text(content)
    (folder / "import.toml").write_text(CONFIG.replace('"gpt.csv"', f'"gpt.csv"\n{keys}'))
    with pytest.raises(DataError, match=re.escape(words)) as caught:
        planned(folder)

    assert "answers.gpt" in str(caught.value) or "gpt.csv" in str(caught.value)
    assert "data.sources" not in str(caught.value)


def test_a_plan_of_before_finds_its_answers_by_id(folder: Path):
    """Plans recorded ``example = "example"`` where nothing was said."""
    asked = exported(folder).with_columns(text=pl.lit("Breathe."))
    asked.write_csv(folder / "gpt.csv")
    first = planned(folder)
    before = planned(folder, 'answers.gpt.example="example"')

    assert [c.id for c in first.plan.conditions] == [c.id for c in before.plan.conditions]
