"""A run of conversations, from the file to the report."""

import hashlib
import json
from pathlib import Path

import polars as pl
import pytest
from transformers import AutoTokenizer

from empathy_core.prompts import prompt
from tests.runs.command_line import launch
from tests.tiny_models import tiny_llama

CHATML = (
    "{% for m in messages %}{{ '<|start|>' + m['role'] + '<|stop|>' + m['content'] + '<|eot|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start|>assistant<|stop|>' }}{% endif %}"
)
TALKS = [
    [("seeker", "I lost my job."), ("supporter", "When?"), ("seeker", "In May."),
     ("supporter", "That is hard.")],
    [("supporter", "Welcome."), ("seeker", "I feel low."), ("supporter", "Since when?")],
    [("seeker", "I cannot sleep."), ("supporter", "What keeps you awake?")],
]  # fmt: skip
CONFIG = """
name = "talks"
[data.sources.talks]
path = "talks.json"
context = "dialog"
response = "last"
[evaluate]
split = "all"
[models.echo]
prompts = ["prompt1"]
[models.tiny]
weights = "tiny"
architecture = "decoder"
chat_template = true
prompts = ["prompt1"]
[decoding.greedy]
max_new_tokens = 4
[metrics.length]
[metrics.diagnostics]
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run of three conversations."""
    folder = tmp_path_factory.mktemp("talks")
    names = ("speaker", "content")
    dialogs = [{"dialog": [dict(zip(names, turn, strict=True)) for turn in t]} for t in TALKS]
    (folder / "talks.json").write_text(json.dumps(dialogs))
    (folder / "talks.toml").write_text(CONFIG)
    tiny_llama(folder / "tiny", layers=1, template=CHATML)
    done = launch("sweep", "--config", "talks.toml", "--executor", "local", cwd=folder)
    assert done.returncode == 0, done.stderr + done.stdout
    return folder / "runs" / "talks"


def test_models_are_asked_with_the_turns(run: Path):
    """The digest of each prompt's ids is that of the tokenizer's own rendering of the turns."""
    tokenizer = AutoTokenizer.from_pretrained(run.parents[1] / "tiny")
    roles = {"seeker": "user", "supporter": "assistant"}
    system = {"role": "system", "content": prompt("prompt1").messages[0].content}
    expected = {}
    for row, talk in enumerate(TALKS):
        said = [{"role": roles[who], "content": text} for who, text in talk[:-1]]
        ids = tokenizer.apply_chat_template([system, *said], add_generation_prompt=True)[
            "input_ids"
        ]
        digest = hashlib.sha256(",".join(map(str, ids)).encode()).hexdigest()
        expected[f"talks-{row:05d}"] = digest
    (folder,) = (run / "generations").glob("tiny.*")
    answers = pl.read_parquet(folder / "*.parquet")

    assert dict(answers.select("example", "prompt_sha256").iter_rows()) == expected


def test_the_form_of_turns_is_in_the_plan(run: Path):
    """A condition's id is made of it; other settings are as they were."""
    plan = json.loads((run / "plans" / "0001.json").read_text())

    assert {json.dumps(c["turns"]) for c in plan["conditions"]} == {
        json.dumps({"user": "User: {turn}", "assistant": "Therapist: {turn}", "between": "\n\n"})
    }


def test_every_answer_is_scored_and_the_page_is_there(run: Path):
    """Metrics read the conversation as text; nothing is left out."""
    scores = pl.read_parquet(run / "scores" / "diagnostics-*" / "*" / "*.parquet")

    assert scores.height == 6
    assert scores["n"].sum() == 6
    assert (run / "report" / "index.html").exists()
