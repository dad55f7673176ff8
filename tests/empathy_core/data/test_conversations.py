"""Conversations: what is read, refused, cut into examples, kept together and frozen."""

import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from empathy_core import data
from empathy_core.conversation import Conversation, Message
from empathy_core.data import DataSpec, EvaluateSpec, Source, reading
from empathy_core.data.audit_text import text as audit_text
from empathy_core.data.contexts import answered_alike, contexts_of
from empathy_core.data.turn_layout import TurnLayout
from empathy_core.data.turns import Utterance, cuts
from empathy_core.errors import ConfigError, DataError
from empathy_core.imported_answers import human
from empathy_core.store import EXAMPLES, TURNS, RunDir

ALL = EvaluateSpec(split="all")
LAST, EACH = TurnLayout(turns="last"), TurnLayout(turns="each")
BEFORE = TurnLayout(turns="before")


def source(path: Path, layout: TurnLayout = LAST, **more: Any) -> Source:
    """Return a source of conversations in the column ``messages``."""
    return Source("s", path=str(path), **{"context": ("messages",), **more}, turn_layout=layout)


def written(path: Path, *conversations: Any, **more: Any) -> Path:
    """Write conversations as messages; a text is a turn, the person begins."""
    rows = [{"messages": said, **more} for said in conversations]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def said(*texts: str) -> list[Utterance]:
    """Return utterances; ``a:`` before a text is the counsellor's, ``s:`` the system's."""
    names = {"u": "user", "a": "assistant", "s": "system"}
    pairs = [text.split(":", 1) for text in texts]
    return [Utterance(names[who], text, i) for i, (who, text) in enumerate(pairs)]


def shortly(found: list[Any]) -> list[str]:
    """Return each example as the letters of its history, and its answer."""
    return ["".join(m.content for m in cut.history) + ">" + cut.answer.text for cut in found]


# ---------------------------------------------------------------------------- cutting

TALK = said("s:0", "a:W", "u:A", "a:B", "a:", "u:C", "a:D", "a:E", "u:F", "a:G", "u:H")


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        (LAST, ["WABCD\nEF>G"]),
        (EACH, ["WA>B", "WABC>D\nE", "WABCD\nEF>G"]),
        (replace(EACH, opening="drop"), ["A>B", "ABC>D\nE", "ABCD\nEF>G"]),
        (replace(EACH, least_history=4), ["WABC>D\nE", "WABCD\nEF>G"]),
        (replace(EACH, most_history=2), ["WA>B", "BC>D\nE", "D\nEF>G"]),
        (replace(EACH, most_history=2, opening="drop"), ["A>B", "C>D\nE", "F>G"]),
        (replace(EACH, most_answers=1), ["WABCD\nEF>G"]),
        (replace(EACH, most_answers=2), ["WA>B", "WABCD\nEF>G"]),
        (replace(EACH, least_history=7), []),
    ],
)
def test_answers_are_taken_with_what_was_said_before_them(
    layout: TurnLayout, expected: list[str]
) -> None:
    """Utterances of one side are one turn, empty ones none; an opening answers nothing."""
    assert shortly(cuts(TALK, layout)) == expected


def test_limited_answers_are_evenly_spaced() -> None:
    """Five of twenty answers are each fourth one; a limit above their number takes all."""
    talk = said(*(f"{who}:{i:02d}" for i in range(20) for who in "ua"))

    found = [cut.answer.text for cut in cuts(talk, replace(EACH, most_answers=5))]
    assert found == ["03", "07", "11", "15", "19"]
    assert len(cuts(talk, replace(EACH, most_answers=99))) == 20


# ---------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            {"role": "observer", "content": "a"},
            'turn 1 is of .observer., expected one of user, .*; add roles = { "observer" = "user"',
        ),
        ({"content": "a"}, "turn 1 has the fields content, expected one of role, .*; set role ="),
        ({"role": None, "content": "a"}, "turn 1 does not say who speaks, expected one of user"),
        (
            {"role": "user", "body": "a"},
            'fields role, body, expected one of content, .*; set context = "COLUMN.FIELD"',
        ),
        ({"role": "user", "content": 5}, "turn 1 holds the number 5 .*, expected text"),
        (
            {"role": "user", "content": [{"type": "image_url"}]},
            "parts that are no text, expected text alone; remove",
        ),
        (7, "turn 1 is the number 7, expected text, or an object with role and text"),
    ],
)
def test_a_turn_that_cannot_be_read_is_refused(tmp_path: Path, entry: Any, message: str) -> None:
    """With the line, the number of the turn, and the key to set."""
    path = written(tmp_path / "d.jsonl", ["Hello.", "Hi."], [entry])

    with pytest.raises(DataError, match=rf"line 2: .*{message}.*data\.sources\.s"):
        reading.read(source(path))


def test_a_column_without_turns_is_refused(tmp_path: Path) -> None:
    """The way to files with one utterance a row is shown; a null is a conversation of nothing."""
    path = written(tmp_path / "d.jsonl", "I feel low.")
    with pytest.raises(DataError, match=r"holds a text, expected a list of turns .*conversation ="):
        reading.read(source(path))
    raw = reading.read(source(written(path, None, ["Hello.", "Hi."])))

    assert len(raw.rows) == 1
    assert raw.dropped == {"conversation without an answer to take": 1}


def test_parts_of_a_text_are_joined(tmp_path: Path) -> None:
    """As chats with images have them, where all parts are text."""
    parts = [{"type": "text", "text": "Hello,"}, {"type": "text", "text": "you."}]
    talk = [{"role": "user", "content": parts}, {"role": "bot", "content": "Hi."}]
    path = written(tmp_path / "d.jsonl", talk)

    assert reading.read(source(path)).rows[0].context == "Hello,\nyou."


def test_own_words_for_the_speakers(tmp_path: Path) -> None:
    """They come before the usual ones; a field of another name is told."""
    talk = [{"wer": "Klientin", "content": "Hallo."}, {"wer": "Beraterin", "content": "Ja?"}]
    words = (("beraterin", "assistant"), ("klientin", "user"))
    path = written(tmp_path / "d.jsonl", talk)
    for role in ("wer", "messages.wer"):
        layout = replace(LAST, role=role, roles=words)
        (row,) = reading.read(source(path, layout)).rows
        assert (row.context, row.response) == ("Hallo.", "Ja?")


def test_a_column_called_last_is_no_answer_by_mistake(tmp_path: Path) -> None:
    """``response = "last"`` could mean either."""
    path = written(tmp_path / "d.jsonl", ["Hello.", "Hi."], last="a")

    with pytest.raises(ConfigError, match=r"has a column 'last' too: expected no .*; rename it"):
        reading.read(source(path, response="last"))


def utterances(path: Path, *rows: tuple[Any, Any, str, str]) -> Path:
    """Write an utterance a row."""
    names = ("talk", "at", "speaker", "said")
    path.write_text("\n".join(json.dumps(dict(zip(names, row, strict=True))) for row in rows))
    return path


BY_ROW = replace(LAST, conversation="talk", turn_order="at")


@pytest.mark.parametrize("places", [(9, 10), ("9:30", "10:00"), ("t9", "t10"), (1.5, 2)])
def test_places_are_ordered_as_numbers_or_times(tmp_path: Path, places: tuple[Any, Any]) -> None:
    """10 is behind 9, and 10:00 behind 9:30; the row is the answer's."""
    path = utterances(
        tmp_path / "d.jsonl",
        (1, places[1], "supporter", "Hi."),
        (1, places[0], "seeker", "Hello."),
    )

    (row,) = reading.read(source(path, BY_ROW, context=("said",))).rows
    assert (row.context, row.response, row.row) == ("Hello.", "Hi.", 0)


def test_two_utterances_at_one_place_are_refused(tmp_path: Path) -> None:
    """A copy is left out and counted; another text has no place."""
    path = utterances(
        tmp_path / "d.jsonl", ("a", 1, "seeker", "Hello."), ("a", 1, "seeker", "Hullo.")
    )

    with pytest.raises(DataError, match=r"line 2: conversation 'a' has another utterance at '1'"):
        reading.read(source(path, BY_ROW, context=("said",)))


def test_an_utterance_without_a_conversation_is_refused(tmp_path: Path) -> None:
    """It belongs to none."""
    path = utterances(tmp_path / "d.jsonl", (None, 1, "seeker", "Hello."))

    with pytest.raises(DataError, match=r"column 'talk' holds nothing, expected the id"):
        reading.read(source(path, BY_ROW, context=("said",)))


def test_who_speaks_must_be_told_where_no_column_is_called_so(tmp_path: Path) -> None:
    """Columns are listed, and the key to set."""
    (tmp_path / "d.csv").write_text("talk,at,who,said\n1,1,seeker,Hello.\n")

    with pytest.raises(ConfigError, match=r"\(talk, at, who, said\): expected .*; set role = "):
        reading.read(source(tmp_path / "d.csv", BY_ROW, context=("said",)))


@pytest.mark.parametrize(
    ("layout", "more", "message"),
    [
        (TurnLayout(least_history=2), {"response": "a"}, "least_history is about conversations"),
        (LAST, {"response": "a"}, "answers are turns of the conversation: expected response"),
        (LAST, {"context": ("a", "b")}, "context names 2 columns: expected the one"),
        (replace(LAST, turn_order="at"), {}, "turn_order is about files with one utterance a row"),
        (replace(LAST, most_answers=2), {}, "most_answers does nothing"),
        (replace(EACH, least_history=5, most_history=3), {}, "most_history = 3 is less than"),
        (TurnLayout(turns="columns"), {"response": "a"}, "needs a column a turn"),
        (TurnLayout(turns="columns"), {"context": ("a", "b")}, "the answer is a column of its own"),
        (
            TurnLayout(turns="columns", role="who"),
            {"context": ("a", "b"), "response": "c"},
            "role does nothing",
        ),
        (BEFORE, {}, "the answer is a column of its own: set response to it; where it is the last"),
        (BEFORE, {"response": "a", "context": ("a", "b")}, "the one with the list of turns"),
        (replace(BEFORE, least_history=2), {"response": "a"}, "least_history does nothing"),
        (LAST, {"pattern": "x", "column": "y"}, "turns and pattern exclude each other"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    tmp_path: Path, layout: TurnLayout, more: dict[str, Any], message: str
) -> None:
    """Before a file is read."""
    with pytest.raises(ConfigError, match=rf"data.sources.s: .*{message}"):
        source(tmp_path / "absent.jsonl", layout, **more).check()


def test_names_of_the_turns_columns_cannot_be_kept(tmp_path: Path) -> None:
    """In a run without conversations they can, as before."""
    plain = Source("p", path="p.csv", context=("q",), response="a", keep=("turns",))
    DataSpec((plain,)).check()

    with pytest.raises(ConfigError, match=r"p.keep names 'turns'"):
        DataSpec((plain, source(tmp_path / "d.jsonl"))).check()


# ---------------------------------------------------------------------------- rows of a run


def talks(n: int) -> list[list[str]]:
    """Return conversations of three answers each; all begin alike."""
    return [
        ["Hello.", "How are you?", f"Bad, for {i} days.", f"Why {i}?", f"Loss {i}.", f"I see {i}."]
        for i in range(n)
    ]


def prepared(path: Path, layout: TurnLayout = EACH, **spec: Any) -> data.PreparedRows:
    """Return the rows of a run of one source."""
    return data.prepare(DataSpec((source(path, layout),), **spec), ALL)


def test_a_conversation_is_on_one_side_and_one_cluster(tmp_path: Path) -> None:
    """Its examples share the split and the question; of equal pairs the first is kept."""
    path = written(tmp_path / "d.jsonl", *talks(40), talks(1)[0])
    found = prepared(path, fractions=(0.5, 0.25, 0.25)).examples

    by_talk = found.group_by("conversation").agg(pl.col("split", "question").n_unique())
    assert by_talk["split"].max() == by_talk["question"].max() == 1
    # the greeting is the same pair in all of them, and so are all pairs of the copy
    assert found.height == 1 + 40 * 2
    assert found["question"].n_unique() == 40
    assert found["split"].n_unique() == 3


def test_a_copy_of_a_conversation_shares_its_cluster(tmp_path: Path) -> None:
    """Where duplicates are kept, both are on the same side."""
    path = written(tmp_path / "d.jsonl", *talks(20), talks(1)[0])
    found = prepared(path, duplicates="keep").examples

    of = found.filter(pl.col("conversation").is_in(["s-0", "s-20"]))
    assert of.height == 6
    assert of["question"].n_unique() == of["split"].n_unique() == 1


def test_the_audit_counts_turns_and_histories(tmp_path: Path) -> None:
    """Against counts by hand."""
    talk = ["one two", "three"], ["one two", "three", "four five six", "seven"]
    path = written(tmp_path / "d.jsonl", *talk)
    found = prepared(path, duplicates="keep", fractions=(0.5, 0.0, 0.5))

    turns = found.audit["turns"]
    assert (turns["conversations"], turns["examples"]) == (2, 3)
    assert turns["opened_by_assistant"] == 0
    # the greeting is a history of both conversations, which are on two sides
    assert turns["histories_on_several_sides"] == 1
    assert (turns["turns"]["0%"], turns["turns"]["100%"]) == (1, 3)
    assert (turns["words_per_turn"]["0%"], turns["words_per_turn"]["100%"]) == (1, 3)
    assert (turns["per_conversation"]["0%"], turns["per_conversation"]["100%"]) == (1, 2)
    text = audit_text(found.audit)
    assert re.search(r"conversations read +2\n +examples taken of them +3\n", text)
    assert re.search(r"histories on several sides +1  equal texts", text)
    assert max(map(len, text.splitlines())) <= 100


def test_turns_are_cleaned_and_stay_turns(tmp_path: Path) -> None:
    """What becomes empty is no turn, and its neighbours are one."""
    path = written(
        tmp_path / "d.jsonl", ["<p>Hello&nbsp;you.</p>", "<br>", "I am   sad.", "Since when?"]
    )
    (row,) = prepared(path, LAST).examples.iter_rows(named=True)

    assert row["context"] == "Hello you.\nI am sad."
    assert row["turns"] == [{"role": "user", "content": row["context"]}]


def test_frozen_turns_come_back_as_conversations(tmp_path: Path) -> None:
    """The parquet file has the two columns; a row of a plain source has null there."""
    path, plain = written(tmp_path / "d.jsonl", *talks(2)), tmp_path / "p.jsonl"
    plain.write_text(json.dumps({"q": "How do I sleep?", "a": "A fixed hour."}))
    both = (source(path, LAST), Source("p", path=str(plain), context=("q",), response="a"))
    run = RunDir(tmp_path / "run")
    data.freeze(data.prepare(DataSpec(both), ALL), run)
    examples = data.load(run).sort("id")

    assert dict(examples.schema) == {**EXAMPLES, **TURNS}
    first, *last = contexts_of(examples)
    assert first == "How do I sleep?"
    assert [type(of) for of in last] == [Conversation, Conversation]
    assert last[0].turns[1] == Message("assistant", "How are you?")
    assert last[0].text == examples["context"][1]


def test_runs_without_conversations_are_frozen_as_before() -> None:
    """No column, no entry of the audit and no setting of the identity is new."""
    found = data.prepare(DataSpec((data.source("sample"),)), ALL)

    assert dict(found.examples.schema) == EXAMPLES
    assert "turns" not in found.audit
    assert not set(asdict(TurnLayout())) & set(found.identity["sources"]["sample"])


def test_another_cut_is_other_data(tmp_path: Path) -> None:
    """A run is told which setting of the turns changed."""
    path = written(tmp_path / "d.jsonl", *talks(2))
    then, now = (
        data.identity(DataSpec((source(path, layout),)), ALL)
        for layout in (EACH, replace(EACH, least_history=3))
    )

    assert data.changes(then, then) == []
    assert data.changes(then, now) == ["sources.s.least_history: None → 3"]


def test_another_therapist_answers_the_same_history_not_the_same_conversation(
    tmp_path: Path,
) -> None:
    """Answers at other places of a conversation are no second answer to a question."""
    talk = ["Hello.", "Hi, you.", "I am sad.", "Why?"]
    other = ["Hello.", "Good day.", "I am ill.", "With what?"]
    found = prepared(written(tmp_path / "d.jsonl", talk, other)).examples

    drawn = human.answers(found)
    greeted = found.filter(pl.col("context") == "Hello.")["id"]
    assert sorted(drawn["example"]) == sorted(greeted)
    assert sorted(drawn["text"]) == ["Good day.", "Hi, you."]
    assert answered_alike(found).n_unique() == 3


def test_ids_say_where_a_conversation_is(tmp_path: Path) -> None:
    """They name the row of the file, and the turn where a row has several examples."""
    path = written(tmp_path / "d.jsonl", *talks(2))
    each, last = (prepared(path, layout).examples["id"].sort() for layout in (EACH, LAST))

    assert [*each] == [
        "s-00000-t001", "s-00000-t003", "s-00000-t005", "s-00001-t003", "s-00001-t005",
    ]  # fmt: skip
    assert [*last] == ["s-00000", "s-00001"]


# ---------------------------------------------------------------------------- what misled


def test_turns_may_be_an_object_of_lists(tmp_path: Path):
    """As datasets stores sequences; one in a file is no table of columns. Both names of fields."""
    turns = {"role": ["user", "assistant"], "content": ["one", "two"], "id": [1, 2]}
    for n, context in ((1, "messages"), (2, "messages"), (2, "messages.content")):
        path = written(tmp_path / "d.jsonl", *[turns] * n)
        rows = reading.read(source(path, context=(context,))).rows
        assert [(row.context, row.response) for row in rows] == [("one", "two")] * n


def test_turns_with_and_without_speakers_are_not_mixed(tmp_path: Path):
    """A bare text among messages was taken for whose turn it was by its place."""
    path = written(tmp_path / "d.jsonl", [{"role": "user", "content": "one"}, "two"])
    with pytest.raises(DataError, match=r"turn 2 is a text, and turn 1 is an object"):
        reading.read(source(path))


def test_equal_ids_in_several_files_are_no_single_conversation(tmp_path: Path):
    """Unless places say in which order its utterances come."""
    for n in (1, 2):
        lines = [f"1,client,hello {n},{2 * n}", f"1,therapist,hi {n},{2 * n + 1}"]
        (tmp_path / f"part{n}.csv").write_text("\n".join(["id,role,said,place", *lines]))
    pattern, layout = tmp_path / "part*.csv", replace(EACH, conversation="id")
    with pytest.raises(DataError, match=r"part2\.csv, line 2: conversation '1' is in part1\.csv"):
        reading.read(source(pattern, layout, context=("said",)))
    ordered = replace(layout, turn_order="place")
    assert len(reading.read(source(pattern, ordered, context=("said",))).rows) == 2


def test_too_long_a_history_is_told_as_the_reason(tmp_path: Path):
    """Not as missing questions and answers."""
    path = written(tmp_path / "d.jsonl", ["one", "two"])
    spec = DataSpec((source(path, replace(EACH, least_history=5)),))
    with pytest.raises(DataError, match=r"after 5 or more turns \(least_history\)"):
        data.prepare(spec, ALL)


@pytest.mark.parametrize("name", ["esconv", "annomi"])
def test_a_source_that_ships_needs_a_path_alone(name: str, tmp_path: Path):
    """In the shape of their files, none of their rows: three answers, two with enough history."""
    if name == "esconv":
        path = tmp_path / "ESConv.json"
        speakers = ["seeker", "supporter"] * 3
        dialog = [
            {"speaker": who, "annotation": {}, "content": f"{who} {i}\n"}
            for i, who in enumerate(speakers)
        ]
        path.write_text(json.dumps([{"emotion_type": "grief", "dialog": dialog}] * 1))
    else:
        path = tmp_path / "AnnoMI-full.csv"
        lines = [
            f"4,{i},{['client', 'therapist'][i % 2]},said {i},{by}" for i in range(6) for by in "xy"
        ]
        header = "transcript_id,utterance_id,interlocutor,utterance_text,annotator_id"
        path.write_text("\n".join([header, *lines]))
    shipped = replace(data.source(name), path=str(path))

    found = data.prepare(DataSpec((shipped,)), ALL).examples.sort("id")

    assert found["turns"].list.len().to_list() == [3, 5]
    assert found["turns"].list.last().struct.field("role").to_list() == ["user", "user"]


# ---------------------------------------------------------------------------- a column of answers


def test_an_answer_in_a_column_of_its_own_follows_the_turns(tmp_path: Path) -> None:
    """As preference data have it; system turns are left out, what ends with an answer dropped."""
    path = tmp_path / "d.jsonl"
    talk = [
        {"role": r, "content": f"{r} {i}"} for i, r in enumerate(["system", "user", "assistant"])
    ]
    rows = [
        {"messages": [*talk, {"role": "user", "content": "Not well."}], "chosen": "What happened?"},
        {"messages": talk, "chosen": "Never taken."},
        {"messages": [], "chosen": "Nor this."},
        {"messages": talk[1:2], "chosen": "Tell me."},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    found = data.prepare(DataSpec((source(path, BEFORE, response="chosen"),)), ALL)

    first, other = found.examples.sort("row").rows(named=True)
    assert [turn["content"] for turn in first["turns"]] == ["user 1", "assistant 2", "Not well."]
    assert (first["id"], first["response"], first["conversation"]) == (
        "s-00000",
        "What happened?",
        "s-0",
    )
    assert (other["row"], other["context"], other["response"]) == (3, "user 1", "Tell me.")
    counts = found.audit["sources"][0]
    assert counts["dropped"] == {
        "empty context": 1, "nothing said by the person before the answer": 1
    }  # fmt: skip
    assert counts["repaired"] == {"conversations with system turns left out": 2}
    text = audit_text(found.audit)
    assert "SPLITS (2 rows, 2 conversations)" in text
    assert "ANSWERS PER CONVERSATION" in text
    assert "question" not in text.partition("PERSONAL DATA")[0]


def test_turns_before_an_answer_that_cannot_be_read_are_placed(tmp_path: Path) -> None:
    """With the row, and what to set."""
    path = tmp_path / "d.jsonl"
    path.write_text(
        json.dumps({"messages": [{"who": "a", "content": "x"}], "chosen": "y"}) + "\n{}"
    )

    with pytest.raises(DataError, match=r"line 1: turn 1 has the fields who, content, expected"):
        reading.read(source(path, BEFORE, response="chosen"))


def test_an_audit_says_of_what_its_counts_are(tmp_path: Path) -> None:
    """Of conversations, and of both where a source holds questions."""
    talks = written(tmp_path / "t.jsonl", ["Hello", "Hi", "I am sad", "Why?"])
    plain = tmp_path / "p.csv"
    plain.write_text("q,a\nWhy me?,Nobody knows.\n")
    both = (source(talks), Source("p", path=str(plain), context=("q",), response="a"))

    text = audit_text(data.prepare(DataSpec(both), ALL).audit)
    assert "SPLITS (2 rows, 2 conversations and questions)" in text
    assert "ANSWERS PER CONVERSATION OR QUESTION" in text
