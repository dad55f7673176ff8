"""Files in the shapes that the field's data have, made here, come in by TOML alone."""

import csv
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from empathy_core import data
from empathy_core.data import PreparedRows
from jobs.config import read as configuration

TAIL = """
[evaluate]
split = "all"
[models.echo]
prompts = ["none"]
[metrics.length]
"""


def prepared(folder: Path, source: str) -> PreparedRows:
    """Return the rows of a source that is written as users write it."""
    path = folder / "c.toml"
    path.write_text(f'name = "c"\n[data.sources.mine]\n{source}\n{TAIL}')
    config = configuration.read(str(path), [])
    return data.prepare(config.data_spec(), config.evaluate_spec())


def shown(found: PreparedRows) -> list[tuple[str, str, str]]:
    """Return id, context and response of all rows, by id."""
    return sorted(found.examples.select("id", "context", "response").iter_rows())


def in_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as a CSV file."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def say(who: str, text: str, **more: Any) -> dict[str, Any]:
    """Return an utterance in ESConv's shape."""
    return {"speaker": who, "annotation": more, "content": f"{text}\n"}


def esconv(path: Path) -> None:
    """Write nested dialogs, as ESConv's JSON file has them: utterances need not alternate."""
    first = [
        say("seeker", "Hello"),
        say("supporter", "Hi there.", strategy="Others"),
        say("supporter", "How are you today?", strategy="Question"),
        say("seeker", "Bad."),
        say("seeker", "I lost my job."),
        say("supporter", "I am sorry to hear that.", strategy="Reflection of feelings"),
        say("seeker", "Thank you."),
    ]
    second = [
        say("supporter", "Welcome."),
        say("seeker", "My dog died."),
        say("supporter", "That is a loss."),
    ]
    dialogs = [
        {"experience_type": "Previous Experience", "emotion_type": "anxiety", "dialog": first},
        {"experience_type": "Current Experience", "emotion_type": "sadness", "dialog": second},
    ]
    path.write_text(json.dumps(dialogs, indent=1))


ESCONV_ALL = [
    ("mine-00000-t001", "Hello", "Hi there.\nHow are you today?"),
    (
        "mine-00000-t003",
        "User: Hello\n\nTherapist: Hi there.\nHow are you today?\n\nUser: Bad.\nI lost my job.",
        "I am sorry to hear that.",
    ),
    ("mine-00001-t002", "Therapist: Welcome.\n\nUser: My dog died.", "That is a loss."),
]


def test_nested_dialogs_give_an_example_for_each_answer(tmp_path: Path) -> None:
    """As in ESConv: the text of turns is reached by a dotted path, the role is found."""
    esconv(tmp_path / "ESConv.json")
    found = prepared(
        tmp_path,
        'path = "ESConv.json"\ncontext = "dialog.content"\nturns = "each"\nkeep = ["emotion_type"]',
    )

    assert shown(found) == ESCONV_ALL
    assert sorted(found.carried.frame["emotion_type"]) == ["anxiety", "anxiety", "sadness"]
    assert found.audit["sources"][0]["conversations"] == 2


def test_the_last_answer_of_a_dialog(tmp_path: Path) -> None:
    """What the person says behind it is not asked about."""
    esconv(tmp_path / "ESConv.json")
    found = prepared(
        tmp_path, 'path = "ESConv.json"\ncontext = "dialog"\nresponse = "last"\nopening = "drop"'
    )

    assert shown(found) == [
        ("mine-00000", *ESCONV_ALL[1][1:]),
        ("mine-00001", "My dog died.", "That is a loss."),
    ]


def annomi(path: Path) -> None:
    """Write an utterance a row, each once for each of two annotators, out of order."""
    said = [
        (7, 0, "therapist", "What brings you in?"),
        (7, 1, "client", "My drinking."),
        (7, 2, "therapist", "Tell me more."),
        (7, 10, "therapist", "You can do it."),
        (7, 3, "client", "Every evening."),
        (9, 0, "client", "I want to stop smoking."),
        (9, 1, "therapist", "That is a big step."),
    ]
    names = ("transcript_id", "utterance_id", "interlocutor", "utterance_text")
    rows = [dict(zip(names, one, strict=True)) for one in said]
    in_csv(path, [row | {"annotator_id": i} for i in (3, 4) for row in rows])


def test_one_row_per_utterance_becomes_conversations(tmp_path: Path) -> None:
    """As in AnnoMI: ids group the rows, places order them as numbers, copies count once."""
    annomi(tmp_path / "AnnoMI-full.csv")
    found = prepared(
        tmp_path,
        'path = "AnnoMI-full.csv"\ncontext = "utterance_text"\nresponse = "last"\n'
        'conversation = "transcript_id"\nturn_order = "utterance_id"\nrole = "interlocutor"',
    )

    assert shown(found) == [
        (
            "mine-00003",
            "Therapist: What brings you in?\n\nUser: My drinking.\n\n"
            "Therapist: Tell me more.\n\nUser: Every evening.",
            "You can do it.",
        ),
        ("mine-00006", "I want to stop smoking.", "That is a big step."),
    ]
    assert found.audit["sources"][0]["repaired"]["utterances that are there twice"] == 7
    assert found.examples["conversation"].sort().to_list() == ["mine-7", "mine-9"]


@pytest.mark.parametrize("shape", ["openai", "sharegpt", "json in csv", "parquet"])
def test_chat_messages_in_their_usual_shapes(tmp_path: Path, shape: str) -> None:
    """OpenAI's role and content, ShareGPT's from and value; system messages are left out."""
    said = [
        ("system", "You are a counsellor."),
        ("human", "I feel low."),
        ("gpt", "Since when?"),
        ("human", "Since May."),
        ("gpt", "That is long."),
    ]
    names = {"human": "user", "gpt": "assistant"}
    messages = [{"role": names.get(who, who), "content": text} for who, text in said]
    key, name = "messages", "d.jsonl"
    if shape == "sharegpt":
        key, messages = "conversations", [{"from": who, "value": text} for who, text in said]
    if shape == "json in csv":
        name = "d.csv"
        in_csv(tmp_path / name, [{"id": "a", key: json.dumps(messages)}])
    elif shape == "parquet":
        name = "d.parquet"
        pl.DataFrame({"id": ["a"], key: [messages]}).write_parquet(tmp_path / name)
    else:
        (tmp_path / name).write_text(json.dumps({"id": "a", key: messages}) + "\n")

    found = prepared(tmp_path, f'path = "{name}"\ncontext = "{key}"\nresponse = "last"')

    assert shown(found) == [
        (
            "mine-00000",
            "User: I feel low.\n\nTherapist: Since when?\n\nUser: Since May.",
            "That is long.",
        )
    ]
    repaired = found.audit["sources"][0]["repaired"]
    assert repaired["conversations with system turns left out"] == 1


def test_own_words_for_speakers_are_a_table(tmp_path: Path) -> None:
    """``roles`` names them, whatever their language."""
    said = [{"speaker": "Klientin", "text": "Hallo."}, {"speaker": "Beraterin", "text": "Ja?"}]
    (tmp_path / "d.jsonl").write_text(json.dumps({"turns": said}))
    found = prepared(
        tmp_path,
        'path = "d.jsonl"\ncontext = "turns"\nresponse = "last"\n'
        'roles = { Klientin = "user", Beraterin = "assistant" }',
    )

    assert shown(found) == [("mine-00000", "Hallo.", "Ja?")]


def test_a_column_a_turn(tmp_path: Path) -> None:
    """The last column is the person's; an empty cell is no turn."""
    rows = [
        {"u1": "Hello.", "t1": "Hi.", "u2": "I am sad.", "reply": "I hear you."},
        {"u1": "", "t1": "", "u2": "I am alone.", "reply": "That is hard."},
        {"u1": "Hello.", "t1": "Hi.", "u2": "", "reply": "Are you there?"},
    ]
    in_csv(tmp_path / "d.csv", rows)
    found = prepared(
        tmp_path,
        'path = "d.csv"\ncontext = ["u1", "t1", "u2"]\nresponse = "reply"\nturns = "columns"',
    )

    assert shown(found) == [
        ("mine-00000", "User: Hello.\n\nTherapist: Hi.\n\nUser: I am sad.", "I hear you."),
        ("mine-00001", "I am alone.", "That is hard."),
    ]
    assert found.audit["sources"][0]["dropped"] == {
        "nothing said by the person before the answer": 1
    }


MENTALCHAT = {"instruction": "Help.", "input": "I feel low.", "output": "Since when?"}
EPITOME = {
    "sp_id": "1", "rp_id": "2", "seeker_post": "I feel low.", "response_post": "Since when?",
    "level": 1, "rationales": "|",
}  # fmt: skip
COUNSELBENCH = {
    "question_id": 3, "rater_id": 9, "question": "I feel low.", "model": "online therapist",
    "response": "Since when?", "empathy_score": 4,
}  # fmt: skip


@pytest.mark.parametrize(
    ("row", "source"),
    [
        (MENTALCHAT, 'context = "input"\nresponse = "output"'),
        (EPITOME, 'context = "seeker_post"\nresponse = "response_post"\nkeep = ["level"]'),
        (COUNSELBENCH, 'context = "question"\nresponse = "response"\nauthor = "model"'),
    ],
    ids=["MentalChat", "EPITOME", "CounselBench"],
)
def test_single_questions_need_two_columns(
    tmp_path: Path, row: dict[str, Any], source: str
) -> None:
    """MentalChat's, EPITOME's and CounselBench's files have a question and an answer a row."""
    in_csv(tmp_path / "d.csv", [row])

    found = prepared(tmp_path, f'path = "d.csv"\n{source}')

    assert [one[1:] for one in shown(found)] == [("I feel low.", "Since when?")]
    assert "turns" not in found.examples.columns
    assert "turns" not in found.audit


def test_given_sides_and_groups_are_named_in_the_file(tmp_path: Path) -> None:
    """A column of sides in one's own words, and a list of test rows beside the configuration."""
    rows = [{"q": f"Q{i}?", "a": f"A{i}.", "fold": i % 2, "p": i // 4} for i in range(8)]
    in_csv(tmp_path / "d.csv", rows)
    columns = 'path = "d.csv"\ncontext = "q"\nresponse = "a"\n'
    by_column = prepared(
        tmp_path, f'{columns}split = "fold"\nsides = {{ 0 = "train", 1 = "test" }}'
    )
    (tmp_path / "test.txt").write_text("mine-00002\n")
    by_list = prepared(tmp_path, f'{columns}group = "p"\n[data]\ntest_ids = "test.txt"')

    found = dict(by_column.examples.select("id", "split").iter_rows())
    assert [found[f"mine-{i:05d}"] for i in range(4)] == ["train", "test", "train", "test"]
    tested = by_list.examples.filter(pl.col("split") == "test")["id"].sort()
    assert [*tested] == [f"mine-{i:05d}" for i in range(4)]  # the patient of that row
