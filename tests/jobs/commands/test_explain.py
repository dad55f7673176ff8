"""What ``explain`` tells of each kind of number and condition, and of what nearly is one."""

import csv
import hashlib
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from empathy_core import prompts
from empathy_core.training.spec import FinetuneSpec
from empathy_core.types import Condition, Decoding, ModelSpec
from jobs.commands.views.nearest import nearest
from jobs.launch import main
from jobs.planning import origins
from jobs.planning.plan import Plan, PlannedFinetune, PlanNotes
from tests.runs.command_line import launch, write_config

CONFIG = """
name = "w"
[data.sources.mine]
path = "data.csv"
context = "q"
response = "a"
keep = ["topic"]
[evaluate]
split = "all"
[models.therapist]
[models.echo]
prompts = ["none", "prompt2"]
[answers.good]
path = "good.csv"
label = "Good"
text = "said"
sample = "k"
[answers.bad]
path = "bad.csv"
question = "asked"
example = "asked"
prompt = "prompt2"
[metrics.rouge]
[metrics.length]
[report]
subgroups = ["topic"]
[report.contrasts.gb]
first = "echo.none"
second = "echo.prompt2"
[local]
threads = 1
"""
N = 24


def write_data(folder: Path) -> None:
    """Write rows, two answers to each question, and answers by id and by question."""
    draw = random.Random(1)
    words = [f"w{i}" for i in range(300)]

    def text() -> str:
        return " ".join(draw.choice(words) for _ in range(9))

    rows = [(f"Question {i // 2}", text(), ("work", "home")[i // 2 % 2]) for i in range(N)]
    tables = {
        "data": (("q", "a", "topic"), rows),
        "good": (("example", "said", "k"),
                 [(f"mine-{i:05d}", f"{a} x", k) for i, (_, a, _) in enumerate(rows)
                  for k in range(2)]),
        "bad": (("asked", "text"), [(f"Question {i}", text()) for i in range(N // 2)]),
    }  # fmt: skip
    for name, (head, of_table) in tables.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([head, *of_table])


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with one finished run of every kind that needs no weights."""
    folder = tmp_path_factory.mktemp("home")
    write_data(folder)
    done = launch("sweep", "--config", str(write_config(folder, CONFIG)), cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def home(swept: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return that folder as the working directory."""
    monkeypatch.chdir(swept)
    return swept


def told(capsys: pytest.CaptureFixture[str], what: str) -> str:
    """Return what is told of *what*."""
    assert main(["explain", what, "--name", "w"]) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], what: str) -> str:
    """Return the error that *what* gives."""
    assert main(["explain", what, "--name", "w"]) == 2
    return capsys.readouterr().err


def digest(name: str) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(Path(name).read_bytes()).hexdigest()


# ---------------------------------------------------------------------------- texts made elsewhere


def test_of_imported_answers_file_digest_and_columns_are_told(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    """And nothing that nobody knows: no dtype, weights, decoding or chat template."""
    shown = told(capsys, "good.none.rouge1")

    assert str(home / "good.csv") in shown
    assert digest("good.csv") in shown
    assert "SHA-256 now:                the same" in shown
    assert (
        "questions or ids of the examples: 'question' or 'example', answers: 'said', "
        "numbers of the samples: 'k'"
    ) in shown
    assert "answers to an example:      2" in shown
    for word in ("dtype", "weights", "greedy", "at most", "chat template", "quantization"):
        assert word not in shown, word


def test_answers_by_question_say_so(home: Path, capsys: pytest.CaptureFixture[str]):
    """The prompt is what the author declared."""
    shown = told(capsys, "bad.prompt2")

    assert "columns:                    questions: 'asked', answers: 'text'" in shown
    assert "prompt, as declared:        prompt2: " in shown


def test_a_file_that_changed_since_is_told_with_both_digests(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    """The run's answers are those of the first."""
    before, text = digest("bad.csv"), Path("bad.csv").read_text()
    Path("bad.csv").write_text(text + "\n")
    try:
        shown = told(capsys, "bad.prompt2.rouge1")
        assert f"SHA-256 when it was read:   {before}" in shown
        assert f"SHA-256 now:                {digest('bad.csv')} (it changed since)" in shown
        Path("bad.csv").unlink()
        assert "the file is gone" in told(capsys, "bad.prompt2.rouge1")
    finally:
        Path("bad.csv").write_text(text)


def test_people_have_no_dtype_and_no_decoding(home: Path, capsys: pytest.CaptureFixture[str]):
    """Nor were they given a prompt; an echo has one."""
    shown = told(capsys, "therapist.human.rouge1")

    assert "people: a therapist's answer" in shown
    for word in ("dtype", "greedy", "chat template", "prompt:", "{context}"):
        assert word not in shown, word
    assert "dtype" not in told(capsys, "echo.prompt2.rouge1")
    assert "prompt:                     prompt2: You are" in told(capsys, "echo.prompt2.rouge1")


# ---------------------------------------------------------------------------- kinds of numbers


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("echo.none.rouge1@topic=work", "only of the rows with topic = work"),
        ("echo.prompt2-vs-echo.none.rouge1", "a difference: echo.prompt2 \N{MINUS SIGN} echo.none"),
        ("contrast.gb.rouge1", "a declared contrast: echo.prompt2 \N{MINUS SIGN} echo.none"),
        ("echo.none", "Echo, No Prompt"),
        (r"\resfull{echo.none.rouge1}", "echo.none.rouge1 = "),
        ("Good, No Prompt", "good.none"),
    ],
)
def test_a_number_is_told_for_what_it_is(
    home: Path, capsys: pytest.CaptureFixture[str], key: str, expected: str
):
    """As it stands in a paper, on the page, or in a table."""
    assert expected in told(capsys, key)


def test_only_the_metric_of_the_number_is_told(home: Path, capsys: pytest.CaptureFixture[str]):
    """The others have nothing to do with it."""
    assert main(["explain", "echo.none.rouge1", "--name", "w", "--json"]) == 0
    (condition,) = json.loads(capsys.readouterr().out)["conditions"]

    assert [f.split("/")[0] for f in condition["files"]] == ["generations", "scores"]
    assert condition["files"][1].startswith("scores/rouge-")


# ---------------------------------------------------------------------------- names that are none


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("ecko.none.rouge1", "echo.none.rouge1"),
        ("echo.none.ruge1", "echo.none.rouge1"),
        ("ECHO.none.ROUGE1", "echo.none.rouge1"),
        ("good.rouge1", "good.none.rouge1"),
        ("gud.none", "good.none"),
        ("rouge1", "echo.none.rouge1"),
        ("echo.none.rouge1@topic=wrok", "echo.none.rouge1@topic=work"),
        ("echo.prompt2-vs-echo.non.rouge1", "echo.prompt2-vs-echo.none.rouge1"),
        ("contrast.gb.rouge3", "contrast.gb.rouge1"),
        ("12", ""),
    ],
)
def test_a_near_key_is_told_with_the_nearest(
    home: Path, capsys: pytest.CaptureFixture[str], typed: str, first: str
):
    """Whatever is wrong with it; Slurm is not spoken of."""
    shown = refused(capsys, typed)

    assert f"is called '{typed}'" in shown
    assert first in shown.partition("the nearest: ")[2].partition(";")[0]
    assert "Slurm" not in shown
    assert "job" not in shown


def test_a_model_is_told_with_its_conditions(home: Path, capsys: pytest.CaptureFixture[str]):
    """It is no number, and has no task here."""
    shown = refused(capsys, "echo")

    assert "echo.none, echo.prompt2" in shown
    assert "Slurm" not in shown


def test_a_task_of_this_machine_is_explained_and_one_that_is_none_refused(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    """Its attempts are told; of a shard that there is not, that nobody tried it."""
    assert main(["explain", "generate-echo-00000-of-00001", "--name", "w"]) == 0
    told = capsys.readouterr()

    assert "generate-echo-00000-of-00001: on this machine\n  attempt 1 on" in told.out
    assert told.err == ""
    assert "has no task" in refused(capsys, "generate-echo-00007-of-00009")


def test_the_nearest_of_many_are_scores_before_differences():
    """A short name is an end or a beginning of what it may mean."""
    known = ["b.x-vs-a.x.m", "a.x-vs-b.x.m", "a.x.m@s=1", "a.x.m", "b.x.m", "a.x"]

    assert nearest("m", known) == ["a.x.m", "b.x.m", "b.x-vs-a.x.m", "a.x-vs-b.x.m"]
    assert nearest("A.X.M", known)[0] == "a.x.m"
    assert nearest("q", known) == []


# ---------------------------------------------------------------------------- fine-tunes


def test_a_fine_tune_is_told_with_its_base_its_rows_and_its_adapter(tmp_path: Path):
    """And with what a model is told with: its adapter is that of this run."""
    base = ModelSpec("base", "Base", "hf", "decoder", weights="owner/base", quantization="nf4")
    tuned = replace(base, name="tuned-n8-s3", label="Tuned", adapter="adapters/tuned")
    condition = Condition(tuned, prompts.prompt("prompt2"), Decoding(), fingerprint="f" * 16)
    spec = FinetuneSpec(tuned.name, "Tuned", base, prompts.prompt("prompt1"), chat=False, seed=3)
    made = PlannedFinetune("tuned-n8-s3-abc", "0" * 64, "tuned", spec, "b" * 16, "mine", 8)
    plan = Plan((condition,), "d" * 16, 1, {}, 1, "error", (), PlanNotes(), finetunes=(made,))

    told = dict(origins.of_condition(plan, condition, tmp_path))

    assert told["fine-tuned in this run"] == "tuned-n8-s3-abc"
    assert told["base"] == "base (owner/base)"
    assert told["trained on"] == "8 rows of mine, seed 3"
    assert told["digest of the adapter"] == "not trained yet"
    assert (told["dtype"], told["quantization"]) == ("float32", "nf4")
    assert told["decoding"] == "greedy, at most 256 new tokens"
    assert told["trained under prompt"] == "prompt1"
    assert str(told["prompt"]).startswith("prompt2: ")
