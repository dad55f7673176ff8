"""``data`` shows rows as a model will get them, before anything is computed."""

import json
import re
from pathlib import Path

import pytest

from jobs.launch import main
from tests.tiny_models import tiny_llama

TALKS = [
    [f"I lost job {i}.", "I am sorry.", f"It was in May {i}.", f"That is hard {i}."]
    for i in range(9)
]
CONFIG = """
name = "talks"
[data.sources.talks]
path = "talks.jsonl"
context = "dialog"
response = "last"
[evaluate]
split = "all"
[models.therapist]
[models.MODEL]
prompts = ["special_tokens"]
[metrics.length]
"""


def shown(folder: Path, capsys: pytest.CaptureFixture[str], model: str, *more: str) -> str:
    """Return what the command prints for a model."""
    (folder / "talks.jsonl").write_text("\n".join(json.dumps({"dialog": t}) for t in TALKS))
    (folder / "talks.toml").write_text(CONFIG.replace("MODEL]", model))
    assert main(["data", "--config", str(folder / "talks.toml"), *more]) == 0
    return capsys.readouterr().out


def test_five_drawn_conversations_are_shown_with_their_references(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """The same rows each time; none are shown if none are asked for, or in JSON."""
    text = shown(tmp_path, capsys, "echo]")
    names = re.findall(r"--- (talks-\d{5}) ---", text)

    assert len(set(names)) == 5
    assert "5 OF 9 CONTEXTS, drawn, as echo, prompt 'special_tokens' gets them" in text
    for name in names:
        i = int(name[-5:])
        assert f"<user>I lost job {i}.</user>\n<assistant>I am sorry.</assistant>\n" in text
        assert f"--- reference of {name} ---\nThat is hard {i}.\n" in text
    assert text == shown(tmp_path, capsys, "echo]")
    assert "CONTEXTS, drawn" not in shown(tmp_path, capsys, "echo]", "--show", "0")
    assert json.loads(shown(tmp_path, capsys, "echo]", "--json"))["turns"]["conversations"] == 9


def test_a_model_on_this_machine_shows_its_own_rendering(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Special tokens and the prompt's system text included."""
    tiny_llama(tmp_path / "tiny", layers=1)
    model = 'tiny]\nweights = "./tiny"\narchitecture = "decoder"\nchat_template = true'
    text = shown(tmp_path, capsys, model, "--show", "1")

    (name,) = re.findall(r"--- (talks-\d{5}) ---", text)
    i = int(name[-5:])
    assert (
        f"<|start|>user<|stop|>\n\nI lost job {i}.<|eot|><|start|>assistant<|stop|>\n\n"
        f"I am sorry.<|eot|><|start|>user<|stop|>\n\nIt was in May {i}.<|eot|>"
        "<|start|>assistant<|stop|>\n\n"
    ) in text


CHINESE = """
name = "zh"
[data.sources.zh]
path = "zh.jsonl"
context = "q"
response = "a"
[evaluate]
split = "all"
[models.echo]
prompts = ["none"]
[metrics.length]
"""


@pytest.mark.parametrize("metric", ["bleu", "rouge"])
def test_languages_without_spaces_are_a_warning_with_the_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], metric: str
):
    """Before anything is answered; nothing is said once it is set, or of other metrics."""
    rows = [{"q": f"我为什么难过{i}？", "a": f"我理解你的感受，慢慢来{i}。"} for i in range(5)]  # noqa: RUF001
    (tmp_path / "zh.jsonl").write_text("\n".join(map(json.dumps, rows)))

    def warnings(table: str) -> list[str]:
        (tmp_path / "zh.toml").write_text(CHINESE + table)
        assert main(["data", "--config", str(tmp_path / "zh.toml"), "--json"]) == 0
        return json.loads(capsys.readouterr().out)["warnings"]

    (told,) = warnings(f"[metrics.{metric}]\n")
    assert told.startswith(
        f"metrics.{metric}: 5 of 5 references are of a script that its tokenizer"
    )
    assert f"set metrics.{metric}.tokenizer: zh for Chinese" in told
    assert warnings(f'[metrics.{metric}]\ntokenizer = "zh"\n') == []
    assert warnings("[metrics.chrf]\n") == []


def test_an_answer_that_says_what_was_said_last_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """The last turn of a conversation counts, and case and spaces do not."""
    talks = [["Hello.", "Hi.", f"I lost job  {i}.", f"i lost job {i}."] for i in range(5)]
    (tmp_path / "talks.jsonl").write_text("\n".join(json.dumps({"dialog": t}) for t in talks))
    (tmp_path / "talks.toml").write_text(CONFIG.replace("MODEL", "echo"))

    assert main(["data", "--config", str(tmp_path / "talks.toml"), "--json"]) == 0

    (told,) = json.loads(capsys.readouterr().out)["warnings"]
    assert told.startswith("talks: in 5 of 5 rows the answer is the question once more")
