"""Answers made elsewhere: tables and sample logs of lm-evaluation-harness."""

import json
from pathlib import Path

import polars as pl
import pytest

from empathy_core.data import DataSpec, EvaluateSpec, Source, TextLayout, prepare
from empathy_core.errors import DataError
from empathy_core.imported_answers import lm_eval
from empathy_core.imported_answers import table as answers
from tests.runs.command_line import ECHO, launch, write_config

DOC = {"Context": "Why do I worry?", "Response": "Many do."}


def sample(doc_id: int, text: object, doc: object = DOC, **more: object) -> dict[str, object]:
    """Return a line as version 0.4.13 of lm-evaluation-harness writes it."""
    return {
        "doc_id": doc_id, "doc": doc, "target": "", "arguments": {"gen_args_0": {"arg_0": "…"}},
        "resps": [[text]], "filtered_resps": [text], "filter": "none", "metrics": ["exact_match"],
        "doc_hash": "", "prompt_hash": "", "target_hash": "", "exact_match": 0.0, **more,
    }  # fmt: skip


def log(path: Path, *lines: object) -> Path:
    """Write a sample log."""
    path.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines) + "\n")
    return path


def _log(path: Path, field: str = "Context") -> answers.ImportedTexts:
    return lm_eval.read(path, field, TextLayout(), "answers.x")


# ---------------------------------------------------------------------------- logs


def test_a_log_gives_what_the_model_said_before_any_filter(tmp_path: Path):
    """Two filters over one answer are two lines of the log and one answer."""
    path = log(
        tmp_path / "samples.jsonl",
        sample(0, "I see.\u2028You worry."),
        sample(0, "I see.\u2028You worry.", filter="strip", filtered_resps=["I see"]),
    )

    found = _log(path).texts

    assert found.rows() == [("Why do I worry?", 0, "I see.\u2028You worry.")]


def test_half_a_surrogate_pair_in_a_log_is_replaced_and_counted(tmp_path: Path):
    """A model's answer that was cut within an emoji can be stored."""
    path = log(tmp_path / "samples.jsonl", sample(0, "fine"))
    path.write_text(path.read_text().replace("fine", "fine \\ud83d"))

    found = _log(path)

    assert found.texts["text"].to_list() == ["fine \ufffd"]
    assert found.repaired == 1


@pytest.mark.parametrize(
    ("context", "said"),
    [
        (["Why?"], r"samples\.jsonl:1: .*a list of 1.*answers\.x.*'Context\.0'"),
        ({"text": "Why?"}, r"an object with the fields text.*'Context\.text'"),
    ],
)
def test_a_question_that_is_no_text_is_refused(tmp_path: Path, context: object, said: str):
    """With the line, what is there, and the field to name instead, which is then read."""
    path = log(tmp_path / "samples.jsonl", sample(0, "fine", doc={"Context": context}))

    with pytest.raises(DataError, match=said):
        _log(path)
    field = "Context.0" if isinstance(context, list) else "Context.text"
    assert _log(path, field).texts["example"].to_list() == ["Why?"]


def test_a_log_of_another_encoding_is_read_when_it_is_named(tmp_path: Path):
    """As tables are."""
    path = log(tmp_path / "samples.jsonl", sample(0, "caf\u00e9"))
    path.write_bytes(path.read_text().encode("cp1252"))

    with pytest.raises(DataError, match=r"answers\.x\.encoding"):
        _log(path)
    assert lm_eval.read(path, "Context", TextLayout("cp1252"), "x").texts["text"][0] == "caf\u00e9"


def test_questions_that_differ_by_a_sign_do_not_collide(tmp_path: Path):
    """1.5 mg and 15 mg, and two Thai words, are questions of their own."""
    asked = ["Is 1.5 mg much?", "Is 15 mg much?", "\u0e02\u0e49\u0e32?", "\u0e02\u0e32?"]
    lines = [sample(i, f"answer {i}", doc={"Context": q}) for i, q in enumerate(asked)]
    rows = "".join(f"{q},An answer.\n" for q in asked)
    (tmp_path / "d.csv").write_text("q,a\n" + rows, encoding="utf-8")
    source = Source("own", path=str(tmp_path / "d.csv"), context=("q",), response="a")
    examples = prepare(DataSpec((source,)), EvaluateSpec(split="all")).examples

    read = _log(log(tmp_path / "samples.jsonl", *lines)).texts
    found = answers.matched(read, examples, answers.Key("Context", by_question=True), "x").texts

    assert dict(found.select("example", "text").iter_rows()) == {
        f"own-{i:05d}": f"answer {i}" for i in range(4)
    }


def test_rows_that_an_older_version_froze_are_found_by_their_question():
    """Its digests of questions may be others; the questions are the same."""
    texts = pl.DataFrame([("Why?", 0, "So.")], schema=answers.SCHEMA, orient="row")
    frozen = pl.DataFrame({"id": ["s-0"], "context": ["why"], "question": ["old"], "block": [0]})

    found = answers.matched(texts, frozen, answers.Key("question", by_question=True), "x")

    assert found.texts.rows() == [("s-0", 0, "So.")]


def test_repeats_are_samples(tmp_path: Path):
    """Several answers to one request are numbered."""
    path = log(tmp_path / "samples.jsonl", sample(0, "", resps=[["one", "two", ""]]))

    assert _log(path).texts["text"].to_list() == ["one", "two", ""]
    assert _log(path).texts["sample"].to_list() == [0, 1, 2]


@pytest.mark.parametrize(
    ("line", "match"),
    [
        (sample(0, "x", doc={"question": "q"}), r"no field 'Context'; its fields: question"),
        (sample(0, "x", doc="q"), r"no field 'Context'; its fields: none"),
        (sample(0, ["-12.5", "False"]), r"generate_until; multiple choice"),
        ({"results": {}}, r"no 'resps': expected the samples_<task>"),
        ([1], r"no 'resps'"),
    ],
)
def test_another_file_is_refused_by_line(tmp_path: Path, line: object, match: str):
    """What is no generated sample is named with its line and what was expected."""
    path = log(tmp_path / "samples.jsonl", sample(7, "fine"), line)

    with pytest.raises(DataError, match=match) as caught:
        _log(path)

    assert "samples.jsonl:2" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "expected the samples_<task>"),
        (b"[" * 99_999, "expected the samples_<task>"),
        (b"\xff", "is not UTF-8"),
        (b"", "expected the samples_<task>"),
        (b"\n\n", "expected the samples_<task>"),
    ],
    ids=["half", "deep", "bytes", "empty", "blank"],
)
def test_a_broken_log_is_a_clear_error(tmp_path: Path, content: bytes, said: str):
    """Half a line, bytes that are no text, and nothing at all."""
    (tmp_path / "samples.jsonl").write_bytes(content)

    with pytest.raises(DataError, match=said):
        _log(tmp_path / "samples.jsonl")


# ---------------------------------------------------------------------------- a sweep


def test_a_log_is_a_condition_like_any_other(tmp_path: Path):
    """The sweep scores a log's answers beside a model's."""
    lines = [
        sample(i, f"Answer {i}.", doc={"Context": f"Question number {i}: what can I do?"})
        for i in range(24)
    ]
    log(tmp_path / "samples.jsonl", *lines)
    rows = [f"Question number {i}: what can I do?,Answer {i}: breathe." for i in range(24)]
    (tmp_path / "made.csv").write_text("\n".join(["question,answer", *rows]) + "\n")
    source = '[data.sources.made]\npath = "made.csv"\ncontext = "question"\nresponse = "answer"'
    config = ECHO.replace("[data.sources.sample]", source).replace("[models.therapist]\n", "")
    config += '[answers.harness]\npath = "samples.jsonl"\nformat = "lm-eval"\n'
    path = write_config(tmp_path, config + 'question = "Context"\n')

    done = launch("sweep", "--config", str(path), cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    report = tmp_path / "runs" / "echo" / "report" / "results.csv"
    assert any(line.startswith("harness.none.rouge1,score,") for line in report.open())
