"""Personal data in the rows of a run: counted by hand, replaced if asked, never in the clear."""

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from empathy_core import data
from empathy_core.data import DataSpec, EvaluateSpec, Source, audit_text, changes, frozen
from empathy_core.data.redaction import texts
from empathy_core.data.turn_layout import TurnLayout
from empathy_core.errors import ConfigError
from empathy_core.imported_answers import table as answers
from empathy_core.personal import counts as personal
from jobs.config import read as configuration

ALL = EvaluateSpec(split="all")
ROWS = [
    {"q": "Dear Dr. Smith, my name is Anna. Call (212) 555-0187.",
     "a": "Dear Anna, rest. — Tom",
     "more": ["Hi Anna, write to tom@example.org.", "Rest."]},
    {"q": "My mail is anna@example.org, and tom@example.org is his.",
     "a": "Thank you. Sleep well."},
    {"q": "Why am I sad?", "a": "Call 988, or tom@example.org."},
    {"q": "Why am I sad?", "a": "It passes. Best wishes, Tom"},
]  # fmt: skip
COUNTS = {
    "email": {"question": (2, 1), "reference": (2, 2)},
    "phone": {"question": (1, 1)},
    "name": {"question": (2, 1), "reference": (4, 3)},
}
"""Kind → field → how often it is there and in how many texts: counted by hand."""


@pytest.fixture
def source(tmp_path: Path) -> Source:
    path = tmp_path / "own.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)), encoding="utf-8")
    return Source("own", path=str(path), context=("q",), response="a", references=("more",))


def test_the_audit_counts_what_a_hand_counts(source: Source):
    """By kind and field; equal texts once; examples say where, and nothing is in the clear."""
    audit = data.prepare(DataSpec((source,)), ALL).audit

    found = audit["personal"]
    assert found["texts"] == {"question": 3, "reference": 6}
    assert found["searched"] == 9
    assert {kind: {f: (n["found"], n["texts"]) for f, n in of["fields"].items()}
            for kind, of in found["kinds"].items() if of["fields"]} == COUNTS  # fmt: skip
    assert found["kinds"]["phone"]["examples"] == ["(000) 000-0000 (own-00000, question)"]
    assert len(found["kinds"]["name"]["examples"]) == 3
    shown = audit_text(audit) + json.dumps(audit)
    assert not any(text in shown for text in ("Anna", "Tom", "Smith", "555", "example.org"))
    assert "xxx@xxxxxxx.xxx (own-00002, reference)" in shown
    assert "phone: telephone numbers" in shown


def test_placeholders_stand_where_something_was_and_nothing_else_changes(source: Source):
    """Questions, answers and all references; only the kinds that are named."""
    plain = data.prepare(DataSpec((source,)), ALL)
    made = data.prepare(DataSpec((source,), redact=("name", "email")), ALL)

    rows = made.examples.sort("row")
    assert rows["context"].to_list() == [
        "Dear Dr. [name], my name is [name]. Call (212) 555-0187.",
        "My mail is [e-mail], and [e-mail] is his.",
        "Why am I sad?",
        "Why am I sad?",
    ]
    assert rows["response"].to_list() == [
        "Dear [name], rest. — [name]", "Thank you. Sleep well.", "Call 988, or [e-mail].",
        "It passes. Best wishes, [name]",
    ]  # fmt: skip
    assert rows["all_references"].to_list()[0] == [
        "Dear [name], rest. — [name]", "Hi [name], write to [e-mail].", "Rest.",
    ]  # fmt: skip
    same = ["id", "source", "row", "raw_sha256", "author"]
    assert rows.select(same).equals(plain.examples.sort("row").select(same))
    assert made.audit["sources"][0]["redacted"] == {
        "email": {"question": 2, "history": 0, "reference": 2},
        "name": {"question": 2, "history": 0, "reference": 4},
    }
    assert made.audit["personal"]["kinds"]["name"]["fields"] == {}
    assert "redacted                                6" in audit_text(made.audit)


def test_a_redaction_that_finds_nothing_leaves_every_row(source: Source):
    """Frame for frame; the identity says that it was looked for."""
    plain = data.prepare(DataSpec((source,)), ALL)
    made = data.prepare(DataSpec((source,), redact=("iban",)), ALL)

    assert made.examples.equals(plain.examples)
    assert made.identity != plain.identity


def test_sources_may_differ(source: Source, tmp_path: Path):
    """A source's own list wins over that of all; an empty one replaces nothing."""
    other = replace(source, name="other", redact=())
    third = replace(source, name="third", redact=("phone",))
    spec = DataSpec((source, other, third), redact=("email",), duplicates="keep")

    rows = data.prepare(spec, ALL)

    asked = dict(rows.examples.filter(pl.col("row") < 1).select("source", "context").iter_rows())
    assert asked == {
        "own": ROWS[0]["q"],
        "other": ROWS[0]["q"],
        "third": "Dear Dr. Smith, my name is Anna. Call [phone].",
    }
    assert [s.get("redacted", {}).keys() for s in rows.audit["sources"]] == [
        {"email"}, set(), {"phone"},
    ]  # fmt: skip


def test_it_is_part_of_the_identity_and_of_older_ones_no_part(source: Source):
    """The order of kinds does not matter; what is not set leaves the identity of before."""
    plain = data.identity(DataSpec((source,)), ALL)
    one = data.identity(DataSpec((source,), redact=("phone", "email")), ALL)
    two = data.identity(DataSpec((source,), redact=("email", "phone")), ALL)
    own = data.identity(DataSpec((replace(source, redact=("email", "phone")),)), ALL)

    assert "redact" not in json.dumps(plain)
    assert one == two == own
    assert changes(plain, one) == ["sources.own.redact: None → ['email', 'phone']"]
    assert changes(one, one | {frozen.REDACTION_VERSION: 99}) == []


def test_turns_are_redacted_and_counted_as_history_and_question(tmp_path: Path):
    """A turn in several histories is counted once by the audit, and replaced in each."""
    said = [
        ("user", "Hello, my name is Anna."), ("assistant", "Hi Anna, I am sorry."),
        ("user", "Mail me: anna@example.org"), ("assistant", "I will. Best, Tom"),
    ]  # fmt: skip
    talk = [{"role": role, "content": text} for role, text in said]
    path = tmp_path / "talks.jsonl"
    path.write_text(json.dumps({"messages": talk}))
    source = Source(
        "talks", path=str(path), context=("messages",), turn_layout=TurnLayout(turns="each")
    )

    plain = data.prepare(DataSpec((source,)), ALL)
    made = data.prepare(DataSpec((source,), redact=("name", "email")), ALL)

    fields = {k: of["fields"] for k, of in plain.audit["personal"]["kinds"].items() if of["fields"]}
    assert fields == {
        "email": {"question": {"found": 1, "texts": 1}},
        "name": {"question": {"found": 1, "texts": 1}, "history": {"found": 2, "texts": 2},
                 "reference": {"found": 2, "texts": 2}},
    }  # fmt: skip
    last = made.examples.sort("id").row(-1, named=True)
    assert [turn["content"] for turn in last["turns"]] == [
        "Hello, my name is [name].", "Hi [name], I am sorry.", "Mail me: [e-mail]",
    ]  # fmt: skip
    assert last["context"] == (
        "User: Hello, my name is [name].\n\nTherapist: Hi [name], I am sorry.\n\n"
        "User: Mail me: [e-mail]"
    )
    assert set(texts(plain.examples)["field"]) == {"question", "history", "reference"}


def test_of_very_many_texts_some_are_searched_and_it_is_said(
    source: Source, monkeypatch: pytest.MonkeyPatch
):
    """In even steps, the same each time."""
    monkeypatch.setattr(personal, "MOST_TEXTS", 4)

    audit = data.prepare(DataSpec((source,)), ALL).audit

    assert audit["personal"]["searched"] == 3
    assert "texts searched                            3  in even steps, of 9" in audit_text(audit)


def test_imported_answers_find_redacted_questions(source: Source):
    """By the question as it was before; texts change only where that is asked for."""
    spec = DataSpec((source,), redact=("name", "phone"))
    examples = data.prepare(spec, ALL).examples
    rows = [(str(ROWS[0]["q"]), 0, "Dear Anna, rest."), ("Why am I sad?", 0, "It passes.")]
    key = answers.Key("question", by_question=True, redactions=(spec.redacted(source),))

    imported = answers.of_rows(rows)
    found = answers.matched(imported.texts, examples, key, "x").texts
    without = imported.without(("name",))

    assert dict(found.select("example", "text").iter_rows()) == {
        "own-00000": "Dear Anna, rest.", "own-00002": "It passes.", "own-00003": "It passes.",
    }  # fmt: skip
    assert without.texts["text"].to_list() == ["Dear [name], rest.", "It passes."]
    assert without.redacted == 1


@pytest.mark.parametrize("where", ["data", "data.sources.own", "answers.theirs"])
def test_a_kind_that_is_none_is_refused_with_those_there_are(tmp_path: Path, where: str):
    """With its place in the configuration."""
    tables = {"data": "", "data.sources.own": 'path = "d.csv"\ncontext = "q"\nresponse = "a"\n',
              "answers.theirs": 'path = "a.csv"\n'}  # fmt: skip
    tables[where] += 'redact = ["phone", "names"]\n'
    text = "".join(f"[{name}]\n{body}" for name, body in tables.items())
    path = tmp_path / "own.toml"
    path.write_text(f'name = "own"\n{text}[metrics.length]\n')

    with pytest.raises(ConfigError, match=rf"{where}\.redact\.1.*'phone'.*\"names\""):
        configuration.read(path)
