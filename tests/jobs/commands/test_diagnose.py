"""``diagnose`` on real runs of tiny models, each with a bug that was put there."""

import json
import shutil
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from empathy_core import store
from empathy_core.diagnosis import probe
from empathy_core.prompts import prompt
from empathy_core.types import Condition, Decoding, ModelSpec
from jobs import launch
from jobs.commands.views import diagnosis
from tests.runs.command_line import write_config, write_questions
from tests.tiny_models import tiny_llama, tiny_t5

N_ROWS = 4
CONFIG = """
name = "bugs"
[data.sources.made]
path = "{folder}/made.csv"
context = "question"
response = "answer"
[evaluate]
split = "all"
block_size = 4
[decoding.greedy]
max_new_tokens = 32
[decoding.short]
max_new_tokens = 3
[decoding.sampled]
max_new_tokens = 6
sample = true
samples = 2
temperature = 2.0
[metrics.length]
[local]
workers = 1
threads = 1
[models.therapist]
"""


def question(i: int) -> str:
    return f"Question number {i}: what can I do?"


LEARNT = 0.01
"""Mean loss of a response, in nats a token, at which nothing else is likely to be answered."""


def taught(folder: Path, responses: list[str], *, end: bool) -> Path:
    """Write a tiny Llama that was trained until it gives *responses* to the questions.

    Args:
        folder: Where to.
        responses: One a question.
        end: Whether the end token is a label after each, as it should be.
    """
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama(folder))
    torch.manual_seed(0)
    config = LlamaConfig.from_pretrained(folder)
    config.initializer_range = 0.05
    model = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    rows = []
    for i, response in enumerate(responses):
        asked = tokenizer(question(i))["input_ids"]
        said = tokenizer(response, add_special_tokens=False)["input_ids"]
        said += [tokenizer.eos_token_id] * end
        rows.append((torch.tensor([asked + said]), torch.tensor([[-100] * len(asked) + said])))
    worst = float("inf")
    while worst > LEARNT:  # however many steps that takes on this processor
        worst = 0.0
        for ids, labels in rows:
            loss = model(input_ids=ids, labels=labels).loss
            loss.backward()
            worst = max(worst, loss.item())
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    return folder


def stopping_at(folder: Path, source: Path, id_: int) -> Path:
    """Copy a model, with one more token in its list of ends."""
    shutil.copytree(source, folder)
    path = folder / "generation_config.json"
    settings = json.loads(path.read_text())
    settings["eos_token_id"] = [settings["eos_token_id"], id_]
    path.write_text(json.dumps(settings))
    return folder


def untrained(folder: Path) -> Path:
    """Write a tiny Llama as it is initialised."""
    tiny_llama(folder)
    config = LlamaConfig.from_pretrained(folder)
    config.initializer_range = 0.02
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def bugs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run ``bugs`` of several models, each with its bug."""
    folder = tmp_path_factory.mktemp("bugs")
    write_questions(folder, N_ROWS)
    said = [f"Answer {i}: breathe." for i in range(N_ROWS)]
    ended = taught(folder / "ended", said, end=True)
    first = AutoTokenizer.from_pretrained(ended)(said[0], add_special_tokens=False)["input_ids"][0]
    models = {
        "ended": ended,
        "endless": taught(folder / "endless", said, end=False),
        "silent": taught(folder / "silent", [""] * N_ROWS, end=True),
        "stopped": stopping_at(folder / "stopped", ended, first),
        "padded": stopping_at(
            folder / "padded", taught(folder / "pads", ["<pad>"] * N_ROWS, end=True), 2
        ),
        "raw": untrained(folder / "raw"),
        "half": ended,
        "t5": tiny_t5(folder / "t5"),
    }
    decoder = 'architecture = "decoder"\n'
    more = {
        "ended": decoder + 'decodings = ["greedy", "short", "sampled"]',
        "half": decoder + 'dtype = "bfloat16"',
        "t5": 'architecture = "encoder-decoder"',
    }
    tables = [
        f'[models.{name}]\nbackend = "hf"\nweights = "{path}"\nprompts = ["none"]\n'
        + more.get(name, decoder)
        for name, path in models.items()
    ]
    config = write_config(folder, CONFIG.format(folder=folder) + "\n".join(tables))
    arguments = ["--config", str(config), "--runs", str(folder / "runs"), "--executor", "local"]
    assert launch.main(["sweep", *arguments]) == 0
    return folder


@pytest.fixture
def copy(bugs: Path, tmp_path: Path) -> Path:
    """A copy of the run that a test may break."""
    shutil.copytree(bugs / "runs", tmp_path / "runs")
    return tmp_path


Told = Callable[..., dict[str, Any]]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """Return what diagnose says as JSON."""

    def tell(folder: Path, *arguments: str) -> dict[str, Any]:
        capsys.readouterr()
        code = launch.main(
            ["diagnose", *arguments, "--runs", str(folder / "runs"), "--name", "bugs", "--json"]
        )
        assert code == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return tell


def rewritten(folder: Path, condition: str, **columns: Any) -> None:
    """Write a condition's pieces anew with other columns, as a run with that bug would have."""
    paths = list(folder.glob(f"runs/bugs/generations/{condition}*/*.parquet"))
    assert paths
    for path in paths:
        piece, frame = store.read_piece(path)
        store.write_piece(frame.with_columns(**columns), path, piece.tags)


# ---------------------------------------------------------------------------- the planted bugs


def test_a_decode_bug_is_found(copy: Path, told: Told):
    """The ids are there and the text was lost: every row, with the words that were lost."""
    rewritten(copy, "ended.none.greedy", text=pl.lit(""))
    found = told(copy, "ended.none.greedy")

    assert found["causes"] == {"decode-bug": N_ROWS}
    assert found["faults"]["empty"] == N_ROWS
    assert {row["causes"][0]["quote"] for row in found["rows"]} == {
        f"Answer {i}: breathe." for i in range(N_ROWS)
    }


def test_a_stop_token_bug_is_found(bugs: Path, told: Told):
    """A word in the model's list of ends, with which every answer begins: all are empty."""
    found = told(bugs, "stopped")

    assert found["faults"]["empty"] == N_ROWS
    assert found["causes"] == {"stop-token-bug": N_ROWS}
    (stop,) = [s for s in found["stops"] if not s["proper"]]
    assert stop["kind"] == "word"
    assert str(stop["id"]) in found["rows"][0]["causes"][0]["evidence"]


def test_padding_in_the_stop_list_is_found(bugs: Path, told: Told):
    """The padding ends the answers, and is named as such."""
    found = told(bugs, "padded")

    assert found["causes"] == {"stop-token-bug": N_ROWS}
    assert [s["kind"] for s in found["stops"] if not s["proper"]] == ["pad"]


def test_an_untrained_end_is_found(bugs: Path, told: Told):
    """It gives back what it learnt, and goes on, since no end ever followed."""
    found = told(bugs, "endless")

    assert all(row["stored"]["text"].startswith("Answer ") for row in found["rows"])
    assert all(row["causes"][0]["name"] == "end-untrained" for row in found["rows"])
    assert found["end_after_references"]["probability"] < 1e-4


def test_a_trained_end_is_not_flagged(bugs: Path, told: Told):
    """The same rows with an end: answers are whole; cut at 3 tokens they are cut, no more."""
    whole, cut = told(bugs, "ended.none.greedy"), told(bugs, "ended.none.short")

    assert whole["causes"] == {"none": N_ROWS}
    assert cut["causes"] == {"limit": N_ROWS}
    assert whole["end_after_references"]["probability"] > 0.9


def test_a_model_trained_to_be_silent_ends_at_once(bugs: Path, told: Told):
    """Empty training answers: the end is its own first choice."""
    found = told(bugs, "silent")

    assert found["causes"] == {"ends-at-once": N_ROWS}
    assert found["rows"][0]["steps"][0]["ends"][0]["rank"] == 1


def test_weights_that_were_never_trained_are_flat(bugs: Path, told: Told):
    """As initialised, the model has no preference."""
    found = told(bugs, "raw")

    assert found["causes"]["flat-distribution"] == N_ROWS


def test_other_ids_than_the_stored_ones_are_not_reproduced(copy: Path, told: Told):
    """Ids that these weights do not give, in one row: the place of the difference is told."""
    ids = pl.col("output_ids")
    other = pl.concat_list(ids.list.head(2), pl.lit([300], pl.List(pl.Int32)), ids.list.tail(2))
    rewritten(copy, "ended.none.greedy", output_ids=other)
    found = told(copy, "ended.none.greedy", "--rows", "1")

    (row,) = found["rows"]
    (cause,) = [c for c in row["causes"] if c["name"] == "not-reproduced"]
    assert "token 3" in cause["evidence"]
    assert [s["stored"]["id"] for s in row["steps"] if s["stored"]] == [300]


@pytest.mark.parametrize("what", ["ended.none.sampled", "half", "t5"])
def test_a_sound_run_gives_the_stored_ids_again(bugs: Path, told: Told, what: str):
    """Sampled, in bfloat16 as the block it stood in, through a decoder with an encoder."""
    found = told(bugs, what, "--rows", "3")

    assert len(found["rows"]) == 3
    assert not {"not-reproduced", "decode-bug"} & set(found["causes"])
    for row in found["rows"]:
        assert row["stored"]["ids"] == row["rerun"]["ids"]
        assert [s["number"] for s in row["steps"]] == sorted(s["number"] for s in row["steps"])
    if what == "t5":  # greedy: what was taken is what the forward pass holds for most probable
        assert all(s["taken"]["rank"] == 1 for row in found["rows"] for s in row["steps"])


# ---------------------------------------------------------------------------- which rows, and how


def test_broken_rows_come_first_the_empty_ones_before_the_cut_ones(copy: Path, told: Told):
    """Of one empty row and three that are cut, two rows are the empty one and a cut one."""
    blank = pl.when(pl.int_range(pl.len()) == 2).then(pl.lit("")).otherwise(pl.col("text"))
    rewritten(copy, "ended.none.short", text=blank)
    found = told(copy, "ended.none.short", "--rows", "2")

    assert [row["faults"][0] for row in found["rows"]] == ["empty", "cut_short"]


def test_a_row_can_be_named_and_an_unknown_one_is_refused(
    bugs: Path, told: Told, capsys: pytest.CaptureFixture[str]
):
    """--example takes that row alone; one that is not there is exit 2 and says so."""
    found = told(bugs, "endless", "--example", "made-00002")
    where = ["--runs", str(bugs / "runs"), "--name", "bugs"]

    assert [row["example"] for row in found["rows"]] == ["made-00002"]
    assert launch.main(["diagnose", "endless", "--example", "nowhere", *where]) == 2
    assert "nowhere" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("therapist", "has no weights"),
        ("ended", "is part of 3 conditions"),
        ("llama", "unknown condition"),
    ],
)
def test_what_cannot_be_diagnosed_is_refused(
    bugs: Path, capsys: pytest.CaptureFixture[str], what: str, words: str
):
    """No weights, several conditions, none: exit 2 with the reason, before a model is loaded."""
    code = launch.main(["diagnose", what, "--runs", str(bugs / "runs"), "--name", "bugs"])

    assert code == 2
    assert words in capsys.readouterr().err


def test_terminal_and_page_show_it_and_the_page_keeps_the_licence(
    bugs: Path, capsys: pytest.CaptureFixture[str]
):
    """The terminal has the question; the page, of a source not to be passed on, only numbers."""
    code = launch.main(["diagnose", "endless", "--runs", str(bugs / "runs"), "--name", "bugs"])
    out = capsys.readouterr().out
    (path,) = bugs.glob("runs/bugs/diagnosis/endless.*.html")
    html = path.read_text()

    assert code == 0
    assert "Question number 0" in out
    assert "end-untrained" in out
    assert "end-untrained" in html
    assert "Question number" not in html
    assert "breathe" not in html
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert 'href="http' not in html


@pytest.mark.parametrize(
    ("record", "allowed"),
    [
        ('{"findings": {"end-untrained": "allowed", "truncated": "passed"}}', ("end-untrained",)),
        ('{"findings": []}', ()),
        ("[1]", ()),
        ("torn", ()),
        (None, ()),
    ],
)
def test_what_the_preflight_was_told_to_allow_is_read_from_the_adapter(
    tmp_path: Path, record: str | None, allowed: tuple[str, ...]
):
    """From the record of a fine-tune of ours; any other adapter allows nothing."""
    if record is not None:
        (tmp_path / "finetune.json").write_text(record)
    spec = replace(model(tmp_path, "decoder"), adapter=str(tmp_path))

    assert diagnosis._allowed(Condition(spec, prompt("none"), Decoding())) == allowed


# ---------------------------------------------------------------------------- distributions


def model(folder: Path, architecture: Any) -> ModelSpec:
    return ModelSpec("tiny", "Tiny", "hf", architecture, str(folder))


@pytest.mark.parametrize("architecture", ["decoder", "encoder-decoder"])
def test_the_steps_are_those_of_one_whole_forward_pass(tmp_path: Path, architecture: Any):
    """In pieces with the cache: the same probabilities, ranks and entropies, past a chunk's end."""
    decoder = architecture == "decoder"
    folder = tiny_llama(tmp_path / "m") if decoder else tiny_t5(tmp_path / "m")
    stepper = probe.load(model(folder, architecture), "error")
    given = Condition(model(folder, architecture), prompt("none"), Decoding(max_new_tokens=40))
    (rendered,) = stepper.prompts(given, ["How can I sleep better?"])
    ids = list(range(20, 20 + 2 * probe.CHUNK + 3))
    steps = stepper.steps(rendered.ids, ids, probe.Asked(3, (1,), {4: 77}))
    with torch.inference_mode():
        if decoder:
            whole = torch.tensor([[*rendered.ids, *ids]])
            logits = stepper.model(whole).logits[0, len(rendered.ids) - 1 : -1]
        else:
            start = stepper.backend.text.start
            logits = stepper.model(
                input_ids=torch.tensor([list(rendered.ids)]),
                decoder_input_ids=torch.tensor([[start, *ids[:-1]]]),
            ).logits[0]
    expected = logits.float().log_softmax(-1)

    assert [s.number for s in steps] == list(range(1, len(ids) + 1))
    assert [s.stored.id if s.stored else None for s in steps][3:6] == [None, 77, None]
    for found, row, id_ in zip(steps, expected, ids, strict=True):
        assert found.taken is not None
        assert found.taken.probability == pytest.approx(float(row[id_].exp()), rel=1e-3)
        # a rank is 1 + the number of more likely tokens; what differs by rounding may change places
        above = [int((row > row[id_] + 1e-3).sum()) + 1, int((row > row[id_] - 1e-3).sum()) + 1]
        assert above[0] <= found.taken.rank <= above[1]
        assert [t.id for t in found.top] == row.topk(3).indices.tolist()
        assert found.entropy == pytest.approx(float(-(row.exp() * row).sum()), abs=1e-3)
        assert found.ends[0].id == 1


def test_the_end_of_turn_is_read_from_the_chat_template(tmp_path: Path):
    """What the template puts after an answer is an end; older versions did not stop there."""
    spec = replace(model(tiny_llama(tmp_path / "m"), "decoder"), chat_template=True)
    stepper = probe.load(spec, "error")
    turn = stepper.tokenizer.convert_tokens_to_ids("<|eot|>")
    asked = Condition(spec, prompt("none"), Decoding(), chat=True)
    by_id = {s.id: s for s in stepper.stops(asked)}
    before = {s.id: s for s in stepper.stops(replace(asked, generation_version=2))}

    assert by_id[turn].kind == "end of turn"
    assert by_id[turn].listed
    assert not before[turn].listed
    assert by_id[stepper.tokenizer.eos_token_id].kind == "end of text"
    assert turn not in {s.id for s in stepper.stops(replace(asked, chat=False))}
