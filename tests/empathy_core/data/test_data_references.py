"""Several references a row: where they come from, what is frozen and counted, what stays."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sacrebleu

from empathy_core import data
from empathy_core.data import DataSpec, EvaluateSpec, Source
from empathy_core.data.specs import ALL_REFERENCES
from empathy_core.errors import ConfigError, DataError
from empathy_core.store import EVALUATED, EXAMPLES, RunDir
from tests.runs.command_line import launch, write_config

ALL = EvaluateSpec(split="all")
ROWS: list[dict[str, Any]] = [
    {
        "q": "I cannot sleep.",
        "a": ["Drink tea.", "Walk at night."],
        "b": "drink  tea",
        "c": "Rest.",
    },
    {"q": "i cannot sleep", "a": ["Write it down.", None, ""], "b": "n/a", "c": "..."},
    {"q": "My cat died.", "a": ["I am so sorry."], "b": None, "c": None},
    {"q": "I feel low.", "a": ["What happened?", "<p>Tell me more.</p>"], "b": "", "c": "Breathe."},
]


def source(folder: Path, rows: list[dict[str, Any]] = ROWS, **settings: Any) -> Source:
    """Return a source of JSON lines whose first answer is the response."""
    path = folder / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Source("own", path=str(path), context=("q",), response="a.0", **settings)


def lists(prepared: data.PreparedRows) -> dict[str, list[str]]:
    """Return id → references of the evaluated rows."""
    rows = prepared.examples.filter(EVALUATED)
    return dict(rows.sort("id").select("id", ALL_REFERENCES).iter_rows())


def test_a_list_and_further_columns_are_references(tmp_path: Path):
    """A row's own answer first; cleaned, once each, and without words for a missing value."""
    found = data.prepare(DataSpec((source(tmp_path, references=("a", "b", "c")),)), ALL)

    assert lists(found) == {
        "own-00000": ["Drink tea.", "Walk at night.", "Rest."],
        "own-00001": ["Write it down."],
        "own-00002": ["I am so sorry."],
        "own-00003": ["What happened?", "Tell me more.", "Breathe."],
    }
    assert found.examples.columns == [*EXAMPLES, ALL_REFERENCES]
    assert found.examples["response"].to_list() == [
        found.examples[ALL_REFERENCES][i][0] for i in range(4)
    ]


def test_all_answers_to_a_question_are_references_of_each(tmp_path: Path):
    """Questions that are equal but for case and punctuation; a row's own answer stays the first."""
    found = data.prepare(DataSpec((source(tmp_path),), references="question"), ALL)

    assert lists(found) == {
        "own-00000": ["Drink tea.", "Write it down."],
        "own-00001": ["Write it down.", "Drink tea."],
        "own-00002": ["I am so sorry."],
        "own-00003": ["What happened?"],
    }
    both = DataSpec((source(tmp_path, references=("a",)),), references="question")
    assert lists(data.prepare(both, ALL))["own-00001"] == [
        "Write it down.", "Drink tea.", "Walk at night.",
    ]  # fmt: skip


def test_rows_that_are_not_evaluated_answer_too_but_have_no_list(tmp_path: Path):
    """As the Therapist Baseline draws from all rows."""
    spec = DataSpec((source(tmp_path),), references="question")
    found = data.prepare(spec, EvaluateSpec(split="all", unit="question"))

    (asked,) = [of for of in lists(found).values() if len(of) > 1]
    assert sorted(asked) == ["Drink tea.", "Write it down."]
    assert found.examples[ALL_REFERENCES].null_count() == 1


def test_the_audit_counts_them(tmp_path: Path):
    """By hand: three rows of one, three, one and three references."""
    spec = DataSpec((source(tmp_path, references=("a", "c")),))
    found = data.prepare(spec, ALL)

    assert found.audit["references"] == {
        "rows": 4,
        "references": 8,
        "rows_by_references": {"1": 2, "3": 2},
        "held_out_rows_reference_in_train": 0,
    }
    told = data.audit_text(found.audit)
    assert "REFERENCES" in told
    assert "8  2.0 a row" in told
    assert data.references.note(found.examples) == (
        "Each answer is compared with all references of its row: 2.0 on average, 1 to 3.",
    )


def test_a_reference_that_was_trained_on_is_counted(tmp_path: Path):
    """Under the paper's split a question stands on both sides, and so do its answers."""
    rows = [{"q": f"Question {i % 10}?", "a": [f"Answer {i}."]} for i in range(40)]
    settings: dict[str, Any] = {"references": "question", "fractions": (0.5, 0.0, 0.5)}
    spec = DataSpec((source(tmp_path, rows),), protocol="row", **settings)
    found = data.prepare(spec, EvaluateSpec(split="test"))

    train = set(found.examples.filter(pl.col("split") == "train")["response"])
    expected = sum(any(text in train for text in of) for of in lists(found).values())
    assert found.audit["references"]["held_out_rows_reference_in_train"] == expected > 0
    torn = data.prepare(replace(spec, protocol="question"), EvaluateSpec(split="test"))
    assert torn.audit["references"]["held_out_rows_reference_in_train"] == 0


def test_a_run_of_one_reference_is_as_it_always_was(tmp_path: Path):
    """Identity, audit, rows and their bytes: where none is asked for, and where none is found."""
    rows = [row for row in ROWS if row["q"] != "i cannot sleep"]
    plain = data.prepare(DataSpec((source(tmp_path, rows),)), ALL)
    asked = data.prepare(DataSpec((source(tmp_path, rows),), references="question"), ALL)
    first, second = RunDir(tmp_path / "first"), RunDir(tmp_path / "second")
    data.freeze(plain, first)
    data.freeze(asked, second)

    assert "references" not in plain.identity
    assert "references" not in plain.identity["sources"]["own"]
    assert "references" not in plain.audit
    assert plain.examples.columns == list(EXAMPLES)
    assert first.examples.read_bytes() == second.examples.read_bytes()
    assert data.references.note(plain.examples) == ()


def test_they_are_frozen_and_part_of_the_identity(tmp_path: Path):
    """A run keeps them; to want others, or none, is to want other rows."""
    spec = DataSpec((source(tmp_path, references=("a",)),))
    found, run = data.prepare(spec, ALL), RunDir(tmp_path / "run")
    data.freeze(found, run)

    assert data.load(run).equals(found.examples)
    assert found.identity["sources"]["own"]["references"] == ["a"]
    none = data.identity(DataSpec((source(tmp_path),)), ALL)
    others = data.identity(replace(spec, references="question"), ALL)
    assert data.changes(found.identity, none) == ["sources.own.references: ['a'] → None"]
    assert data.changes(found.identity, others) == ["references: None → question"]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"references": ("q",)}, "takes 'q' for the question and for a reference"),
        ({"references": ("answers",)}, "has no column 'answers'"),
    ],
)
def test_columns_that_cannot_be_references_are_refused(
    tmp_path: Path, settings: dict[str, Any], told: str
):
    """Before anything is read further."""
    with pytest.raises((ConfigError, DataError), match=told):
        data.prepare(DataSpec((source(tmp_path, **settings),)), ALL)


def test_a_list_of_something_else_is_refused_with_its_place(tmp_path: Path):
    """A list of texts is expected, or a text."""
    rows = [{"q": "Why?", "a": ["Because."], "b": [{"text": "So."}]}]
    with pytest.raises(DataError, match=r"own.jsonl, .*'b' holds a list that holds an object"):
        data.prepare(DataSpec((source(tmp_path, rows, references=("b",)),)), ALL)


def test_people_are_compared_with_all_references_but_their_own(tmp_path: Path):
    """Models with all of them; a row's only reference stays where there is no other."""
    examples = data.prepare(DataSpec((source(tmp_path, references=("a",)),)), ALL).examples
    models = data.references.compared(examples, people=False).sort("id")
    people = data.references.compared(examples, people=True).sort("id")

    assert models["reference"].to_list() == [
        "Drink tea.", "Write it down.", "I am so sorry.", "What happened?",
    ]  # fmt: skip
    assert people["references"].to_list()[0] == ["Walk at night."]
    assert people["reference"].to_list() == [
        "Walk at night.", "Write it down.", "I am so sorry.", "Tell me more.",
    ]  # fmt: skip
    assert data.references.shown(examples.sort("id"))[0] == (
        "[Reference 1 of 2]\nDrink tea.\n\n[Reference 2 of 2]\nWalk at night."
    )


def test_columns_of_references_without_a_text_are_told(tmp_path: Path):
    """A misspelt field reads as no reference at all; of a list of objects each field counts."""
    rows = [
        {"q": f"Why {i}?", "a": ["So."], "c": [{"text": "One."}, {"text": "Two."}]} for i in "ab"
    ]
    empty = source(tmp_path, [{**row, "c": []} for row in rows], references=("c",))
    assert data.prepare(DataSpec((empty,)), ALL).audit["warnings"][-1] == (
        "own: not one row has a text in its columns of references (c); check "
        "data.sources.own.references."
    )
    with pytest.raises(DataError, match=r"write 'c\.text' to take the text in it"):
        data.prepare(DataSpec((source(tmp_path, rows, references=("c",)),)), ALL)
    found = data.prepare(DataSpec((source(tmp_path, rows, references=("c.text",)),)), ALL)
    assert list(lists(found).values()) == [["So.", "One.", "Two."]] * 2


CONFIG = """
name = "r"
[data]
references = "question"
[data.sources.sample]
[evaluate]
split = "all"
[decoding.greedy]
max_new_tokens = 16
[models.therapist]
[models.echo]
prompts = ["none"]
[metrics.bleu]
[metrics.rouge]
[metrics.chrf]
[metrics.length]
"""


def test_a_run_with_all_answers_to_a_question(tmp_path: Path):
    """Scored, rechecked by the libraries, and told: how many references, and people left out."""
    config = str(write_config(tmp_path, CONFIG))
    done = launch("sweep", "--config", config, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    run = RunDir(tmp_path / "runs/r")
    checked = launch("report", "--name", "r", "--recheck", "30", cwd=tmp_path)

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "NOT EQUAL" not in checked.stdout
    notes = (run.report / "table1.html").read_text()
    assert "Each answer is compared with all references of its row:" in notes
    assert "answer against all other references of its row (leave-one-out)" in notes
    assert "nrefs var; refs best; tok rouge_score" in notes
    apart = (run.report / "table-therapist.html").read_text()
    assert "Models have one reference more" in apart
    # the therapists' row is no copy of its own answer
    results = pl.read_csv(run.report / "results.csv")
    (bleu,) = results.filter(pl.col("key") == "therapist.human.bleu")["value"]
    assert 0.0 <= bleu < 0.5
    again = launch("sweep", "--config", config, cwd=tmp_path)
    assert again.returncode == 0, again.stderr

    # compared with the same references as people: scored anew, nothing generated
    alike = str(write_config(tmp_path, f'{CONFIG}[scoring]\nleave_one_out = "everyone"\n'))
    fair = launch("sweep", "--config", alike, cwd=tmp_path)
    assert fair.returncode == 0, fair.stdout + fair.stderr
    checked = launch("report", "--name", "r", "--recheck", "30", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "own left-out" in (run.report / "table1.html").read_text()
    apart = (run.report / "table-therapist.html").read_text()
    assert "People and models are compared with the same references" in apart
    assert "one reference more" not in (run.report / "table1.html").read_text()
    values = dict(pl.read_csv(run.report / "results.csv").select("key", "value").iter_rows())
    assert values["therapist.human.bleu"] == bleu  # people's own row does not move
    assert values["echo.none.bleu"] == pytest.approx(_bleu_of_echo(run), abs=1e-12)


def _bleu_of_echo(run: RunDir) -> float:
    """Return sacreBLEU's score of the questions, against all answers but each row's own."""
    folder = next(run.generations("x").parent.glob("echo.none*"))
    answers = pl.read_parquet(folder / "*.parquet").select(id="example", text="text")
    frozen = data.load(run).filter(EVALUATED).join(answers, "id")
    lists = [of[1:] or of for of in frozen[ALL_REFERENCES].to_list()]
    most = max(map(len, lists))
    streams = [[of[i] if i < len(of) else None for of in lists] for i in range(most)]
    found = sacrebleu.corpus_bleu(frozen["text"].to_list(), streams, smooth_method="none")
    return float(found.score) / 100
