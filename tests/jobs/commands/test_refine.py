"""``refine`` as a user calls it: three rounds, one test, kills, second looks, bad input."""

import json
import math
import os
import re
import shutil
import signal
import string
import subprocess
import time
from pathlib import Path

import polars as pl
import pytest

from tests import preloaded
from tests.runs.command_line import environment, launch
from tests.runs.refined import CALL, REFINED, write_refined

FROZEN = ("settings.json", "candidates.jsonl", "rankings.csv", "outcome.json", "worst.csv")


@pytest.fixture(scope="module")
def refined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished refinement and what it printed; it is read here."""
    folder = tmp_path_factory.mktemp("refined")
    write_refined(folder)
    done = launch(*CALL, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "said.txt").write_text(done.stdout)
    return folder


def of(folder: Path, name: str = "shorter") -> Path:
    """Return the folder of a refinement."""
    return folder / "runs" / "echo" / "refine" / name


def test_gains_and_optimism_are_printed(refined: Path) -> None:
    """The verdict, both gains, their difference, what else moved, what was reported by."""
    said = (refined / "said.txt").read_text()
    outcome = json.loads((of(refined) / "outcome.json").read_text())
    first = outcome["tested"][0]

    assert outcome["chosen"] == first["name"]
    assert first["optimism"] == first["validation"]["value"] - first["test"]["value"]
    assert first["validation"]["value"] > 0
    assert (outcome["n_validation"], outcome["n_test"]) == (18, 32)
    assert "Optimism" in said
    assert f"What else moved on the test rows: {first['name']}" in said
    assert re.search(r"^Echo +ROUGE-1 ↑|Length \(Words\)", said, re.MULTILINE)
    assert "reported by ROUGE-1 ↑, by which nothing was chosen" in said
    assert "looked at once" in said


def test_the_gain_is_the_mean_over_rows(refined: Path) -> None:
    """Recomputed from the pieces of the test run, and of all rounds."""
    outcome = json.loads((of(refined) / "outcome.json").read_text())
    steps = {"test": ["test"], "validation": ["round-1", "round-2", "round-3"]}
    for where, names in steps.items():
        expected = _mean(refined, names, "prompt2") - _mean(refined, names, outcome["chosen"])
        assert outcome["tested"][0][where]["value"] == pytest.approx(expected, abs=1e-12)


def _mean(folder: Path, steps: list[str], prompt: str) -> float:
    """Return the mean ROUGE-L of a prompt over the rows of some steps."""
    pieces = [p for s in steps for p in of(folder).glob(f"{s}/scores/rouge-*/echo.{prompt}.*/*.p*")]
    rows = pl.concat([pl.read_parquet(piece) for piece in pieces])
    return math.fsum(rows["rougeL"]) / rows.height


def test_all_candidates_are_kept_with_where_they_come_from(refined: Path) -> None:
    """By hand, of a file, and proposed, with the rows that the proposer saw."""
    lines = (of(refined) / "candidates.jsonl").read_text().splitlines()
    made = {one["name"]: one for one in map(json.loads, lines)}
    rows = json.loads((of(refined) / "settings.json").read_text())["rows"]
    scored = {name for step, ids in rows.items() if step != "worst" for name in ids}
    shown = {name for one in made.values() for name in one["shown"]}

    assert {one["made"] for one in made.values()} == {"hand", "file", "proposed"}
    assert all(one["parent"] == "prompt2" for one in made.values())
    assert made["proposed-01"]["proposer"].startswith("echo.proposer_1.proposals-")
    assert made["asks"]["said"].startswith("Say what")
    assert shown <= set(rows["worst"])
    assert not shown & scored
    worst = pl.read_csv(of(refined) / "worst.csv")["score"].to_list()
    assert worst == sorted(worst, reverse=True)  # the target is to fall


def test_each_round_halves_and_adds_rows(refined: Path) -> None:
    """On rows that grow; who goes on was among the best."""
    frame = pl.read_csv(of(refined) / "rankings.csv")
    sizes = [
        (part["rows"][0], part.height - 1, int(part["kept"].sum()) - 1)
        for part in frame.partition_by("round", maintain_order=True)
    ]

    assert sizes == [(6, 7, 4), (12, 4, 2), (18, 2, 2)]
    for part in frame.filter(pl.col("place") > 0).partition_by("round"):
        kept = part.filter("kept")["advantage"].min()
        assert kept >= (part.filter(~pl.col("kept"))["advantage"].max() or kept)


def test_calling_it_again_changes_nothing(refined: Path, tmp_path: Path) -> None:
    """It prints the same, and does not look at the test rows again."""
    shutil.copytree(refined, tmp_path, dirs_exist_ok=True)
    done = launch(*CALL, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-12:] == (refined / "said.txt").read_text().splitlines()[-12:]
    for name in FROZEN:
        assert (of(tmp_path) / name).read_bytes() == (of(refined) / name).read_bytes()
    assert len((of(tmp_path).parent / "test-looks.jsonl").read_text().splitlines()) == 1


def test_a_kill_in_the_middle_leaves_the_same_ranking(refined: Path, tmp_path: Path) -> None:
    """Killed -9 in the first round, again in the last: to the byte what nothing disturbed."""
    write_refined(tmp_path)
    for where in ("round-1/generations/*/*.parquet", "round-3/plans/*.json"):
        _killed_after(tmp_path, where)
    done = launch(*CALL, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    for name in FROZEN:
        assert (of(tmp_path) / name).read_bytes() == (of(refined) / name).read_bytes(), name


def _killed_after(folder: Path, pattern: str) -> None:
    command = [preloaded.python(), "-m", "jobs.launch", *CALL]
    with subprocess.Popen(
        command, cwd=folder, env=environment(), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        until = time.monotonic() + 300
        while not list(of(folder).glob(pattern)):
            assert process.poll() is None, "it ended before it was killed"
            assert time.monotonic() < until
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)


def test_a_second_look_is_counted_in_every_note(refined: Path, tmp_path: Path) -> None:
    """Another refinement on the same test rows: said in its tables, in the report, in the test."""
    shutil.copytree(refined, tmp_path, dirs_exist_ok=True)
    alone = 'proposer = "echo"\nproposals = 3\n'
    second = REFINED[REFINED.index("[refine.shorter]") :].replace("shorter", "again")
    write_refined(tmp_path, REFINED + second.replace(alone, "").replace("seed = 0", "seed = 1"))
    swept = launch("sweep", "--config", "echo.toml", cwd=tmp_path)
    done = launch("refine", "again", *CALL[1:], cwd=tmp_path)
    report = launch("report", "--config", "echo.toml", cwd=tmp_path)
    page = (tmp_path / "runs/echo/report/index.html").read_text()
    ours = launch("report", "--runs", str(of(tmp_path)), "--name", "test", cwd=tmp_path)
    table = (of(tmp_path) / "test/report/index.html").read_text()

    assert (swept.returncode, done.returncode, report.returncode) == (0, 0, 0), done.stderr
    assert ours.returncode == 0, ours.stderr
    assert "looked at 2 times" in done.stdout
    assert "had answered test rows in this run before" in done.stdout
    assert "looked at 2 times" in page
    assert {"refinement.tex"} <= {p.name for p in (tmp_path / "runs/echo/report").iterdir()}
    assert "looked at 2 times" in table


def test_rows_and_candidates_go_to_dspy_and_back(refined: Path, tmp_path: Path) -> None:
    """Validation rows only; what was exported can be imported."""
    shutil.copytree(refined, tmp_path, dirs_exist_ok=True)
    done = launch("refine", "--config", "echo.toml", "--export", "out", cwd=tmp_path)
    examples = [json.loads(line) for line in (tmp_path / "out/examples.jsonl").open()]
    text = REFINED.replace("more.jsonl", "out/candidates.jsonl").replace("shorter", "back")
    text = re.sub(r"^(candidates|proposer|proposals) = .*\n", "", text, flags=re.MULTILINE)
    write_refined(tmp_path, text.replace("rounds = [6, 12, 18]", "rounds = [6]"))
    back = launch(*CALL, cwd=tmp_path)
    made = [json.loads(line) for line in (of(tmp_path, "back") / "candidates.jsonl").open()]

    assert done.returncode == 0, done.stderr
    assert [one["use"] for one in examples] == ["propose"] * 5 + ["score"] * 18
    assert set(examples[0]) == {"example", "use", "question", "answer"}
    assert back.returncode == 0, back.stderr
    assert {one["name"] for one in made if not one["dropped"]} >= {"asks", "proposed-01"}
    assert next(one for one in made if one["name"] == "prompt2")["dropped"].startswith("it says")


LETTERS = json.dumps([*string.ascii_letters, *string.digits, *"\"'().,:;-$?!%&/*…"])
UNUSABLE = f"[decoding.silent]\nsample = true\nstop = {LETTERS}\n"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[0.05, 0.55, 0.4]", "[0.6, 0.0, 0.4]", "holds no row: expected some, on which prompts"),
        ("[0.05, 0.55, 0.4]", "[0.4, 0.6, 0.0]", "split 'test' holds no row"),
        ('"rougeL"', '"rougeX"', "unknown column 'rougeX'"),
        ('"rougeL"', '"bertscore_f1"', "add [metrics.bertscore] to the configuration"),
        ('"rougeL"\ndirection = "lower"', '"human_a_b"', "not known before people have rated"),
        ("18]", "118]", "are asked for: expected 123 at least; lower worst_of or rounds"),
        ('model = "echo"', 'model = "eco"', "Did you mean 'echo'?"),
        ('"more.jsonl"', '"less.jsonl"', "less.jsonl cannot be read"),
        ('["prompt1", "none"]', '["./own.toml"]', "does not hold {context} exactly once"),
        ('["prompt1", "none"]', '["prompt3"]', "unknown prompt 'prompt3'"),
    ],
)  # fmt: skip
def test_bad_input_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    """Before anything is answered, with what was expected and what to do."""
    assert old in REFINED
    write_refined(tmp_path, REFINED.replace(old, new))
    (tmp_path / "own.toml").write_text(
        'text = "Hello."\n[[messages]]\nrole = "user"\ncontent = "Hello."\n'
    )
    done = launch(*CALL, cwd=tmp_path)

    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "runs/echo/refine/shorter/worst").exists()


def test_candidates_that_all_fall_away_are_told_with_the_reason(tmp_path: Path) -> None:
    """Equal to the parent, or a proposer that returns nothing; then a prompt is written, and on."""
    text = REFINED.replace('["prompt1", "none"]', '["prompt2"]').replace(
        "[metrics", UNUSABLE + "[metrics", 1
    )
    text = text.replace('candidates_file = "more.jsonl"\n', 'proposer_decoding = "silent"\n')
    text = text.replace("rounds = [6, 12, 18]", "rounds = [6]")
    write_refined(tmp_path, text)
    done = launch(*CALL, cwd=tmp_path)
    write_refined(tmp_path, text.replace('["prompt2"]', '["prompt1"]'))
    again = launch(*CALL, cwd=tmp_path)
    changed = launch(*CALL, "--set", "refine.shorter.target=rouge1", cwd=tmp_path)
    fewer = ("refine.shorter.proposals=2", 'refine.shorter.candidates=["none"]')
    other = launch(*CALL, "--set", fewer[0], "--set", fewer[1], cwd=tmp_path)

    assert done.returncode == 2
    assert "prompt2: it says what the parent prompt says; proposed-01: it is empty" in done.stderr
    assert again.returncode == 0, again.stderr
    assert "1 candidate in 1 round" in again.stdout
    assert "dropped: 3 (it is empty)" in again.stdout
    assert (changed.returncode, other.returncode) == (2, 2)
    assert "target: rougeL → rouge1" in changed.stderr
    assert "the candidates of 'shorter' are frozen" in other.stderr
    assert "(none, prompt1, proposer or proposals)" in other.stderr


def test_without_a_candidate_the_worst_replies_are_there_to_write_from(tmp_path: Path) -> None:
    """The author looks at them, writes a prompt, and calls the same command again."""
    text = re.sub(r"^(candidates.*|propos.*) = .*\n", "", REFINED, flags=re.MULTILINE)
    write_refined(tmp_path, text)
    done = launch(*CALL, cwd=tmp_path)
    unknown = launch("refine", "longer", *CALL[1:], cwd=tmp_path)

    assert done.returncode == 2
    assert "has no candidate" in done.stderr
    assert pl.read_csv(of(tmp_path) / "worst.csv").height == 5
    assert unknown.returncode == 2
    assert "unknown refinement 'longer'" in unknown.stderr


PEOPLE = """
[annotate]
rubrics = ["counselbench"]
dimensions = ["empathy"]
questions = 5
raters = 2
raters_per_item = 2
attention = 0.0
helpline = "A helpline, 123"
"""


def test_people_can_say_which_replies_went_worst(tmp_path: Path) -> None:
    """It stops for them with the commands, and goes on from what they said."""
    text = re.sub(r"^(candidates.*|tested) = .*\n", "", REFINED, flags=re.MULTILINE)
    text = text.replace("proposals = 3", 'proposals = 2\nworst_by = "human_counselbench_empathy"')
    write_refined(tmp_path, text.replace("[6, 12, 18]", "[6]") + PEOPLE)
    first = launch(*CALL, cwd=tmp_path)
    step = ("--runs", str(of(tmp_path)), "--name", "worst")
    exported = launch("annotate", "export", *step, cwd=tmp_path)
    sheets = [_rated(path, tmp_path) for path in of(tmp_path).glob("worst/**/R0?/packet.csv")]
    imported = launch("annotate", "import", *sheets, *step, cwd=tmp_path)
    done = launch(*CALL, cwd=tmp_path)
    worst = pl.read_csv(of(tmp_path) / "worst.csv")

    assert first.returncode == 3
    assert "annotate export --runs" in first.stderr
    for ended in (exported, imported, done):
        assert ended.returncode == 0, ended.stdout + ended.stderr
    assert worst["score"].to_list() == sorted(worst["score"])
    lengths = worst["reply"].str.split(" ").list.len()
    assert (lengths % 5 + 1).cast(float).to_list() == worst["score"].to_list()


def _rated(path: Path, folder: Path) -> str:
    """Fill a rater's sheet in: the number of words decides."""
    frame = pl.read_csv(path, schema_overrides={"counselbench__empathy": pl.String})
    words = frame["answer"].str.split(" ").list.len()
    filled = frame.with_columns(counselbench__empathy=(words % 5 + 1).cast(pl.String))
    out = folder / f"{path.parent.name}.csv"
    filled.write_csv(out)
    return str(out)
