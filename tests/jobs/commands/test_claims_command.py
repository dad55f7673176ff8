"""The command ``claims`` as a user types it: files, runs, exit codes, what can be pasted."""

import json
import re
import shutil
from pathlib import Path

import pytest

from jobs.launch import main
from tests.runs.command_line import ECHO, launch, write_config

CONFIG = ECHO.replace('prompts = ["none", "prompt1", "prompt2"]', 'prompts = ["none", "prompt2"]')


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with one finished run, ``echo``."""
    folder = tmp_path_factory.mktemp("home")
    done = launch("sweep", "--config", str(write_config(folder, CONFIG)), cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def home(swept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of the test's own, beside the run, as the working directory."""
    (tmp_path / "runs").symlink_to(swept / "runs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


def claims(*says: str, name: str = "claims.toml", names: str = "") -> str:
    """Write a file of claims and return its name."""
    tables = [f"[[claims]]\nsays = {json.dumps(s)}\n" for s in says]
    Path(name).write_text("\n".join([names, *tables]), encoding="utf-8")
    return name


TRUE = "Therapist > Echo none on rouge1"
FALSE = "Therapist < Echo none on rouge1"
UNSURE = "Therapist is within 0.19 of Echo none on rouge1"  # 0.1810, the interval up to 0.2025


@pytest.mark.parametrize(
    ("says", "options", "code"),
    [
        ((TRUE,), (), 0),
        ((TRUE,), ("--strict",), 0),
        ((TRUE, FALSE), (), 4),
        ((TRUE, "Echo > 0.2 on ruge1"), (), 2),
        ((FALSE, "Ekko prompt2 > none on words"), (), 2),
        ((TRUE, UNSURE), (), 0),
        ((TRUE, UNSURE), ("--strict",), 4),
        (
            ("Echo is not significantly different from Echo on rouge",),
            ("--strict",),
            4,
        ),  # no margin
    ],
)
def test_the_exit_code_tells_what_was_found(
    home: Path, says: tuple[str, ...], options: tuple[str, ...], code: int
):
    """0: all hold; 4: one does not; 2: one cannot be understood, which outweighs."""
    claims(*says)

    assert main(["claims", "--run", "echo", *options]) == code


def test_every_claim_is_told_whatever_is_wrong_with_another(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    """Errors with file, line and the nearest name; then the forms that there are."""
    claims(TRUE, "Echo promt2 > none on bleu", FALSE, "Echo prompt2 beets none on bleu")

    assert main(["claims", "--name", "echo"]) == 2
    shown = capsys.readouterr().out
    assert re.search(rf"^true +{re.escape(TRUE)} +claims.toml:3$", shown, re.MULTILINE)
    assert re.search(rf"^FALSE +{re.escape(FALSE)} +claims.toml:9$", shown, re.MULTILINE)
    assert "claims.toml:6" in shown
    assert "The nearest: echo.prompt2" in shown
    assert "did you mean 'beats'" in shown
    assert "4 claims: 1 true, 1 false, 2 not understood" in shown
    assert "A is [significantly] best among B on m" in shown


def test_a_true_claim_gives_score_difference_interval_p_and_n(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    """Those of the report."""
    claims(TRUE)
    main(["claims", "--name", "echo", "--json"])
    (check,) = json.loads(capsys.readouterr().out)["claims"][0]["checks"]
    rows = Path("runs/echo/report/results.csv").read_text().splitlines()
    row = next(r for r in rows if r.startswith("therapist.human-vs-echo.none.rouge1,"))
    _, _, value, low, high, _, n, questions, *_ = row.split(",")

    assert check["difference"] == pytest.approx(float(value), abs=1e-6)
    assert (check["low"], check["high"]) == (
        pytest.approx(float(low), abs=1e-6), pytest.approx(float(high), abs=1e-6)
    )  # fmt: skip
    assert (check["n"], check["n_questions"]) == (int(n), int(questions))


def test_a_paper_is_checked_in_one_call(home: Path, capsys: pytest.CaptureFixture[str]):
    """Claims in comments, names of the file beside it, typed numbers, labels."""
    rows = Path("runs/echo/report/results.csv").read_text().splitlines()
    text = next(r for r in rows if r.startswith("echo.prompt2.rouge1,")).split(",")[8]
    claims(TRUE, names='[names]\nparrot = "echo"\n')
    shutil.copy("runs/echo/report/table1.tex", "table1.tex")
    label = re.findall(r"\\label\{(.+?)\}", Path("table1.tex").read_text())[0]
    Path("paper.tex").write_text(
        f"The Echo under Prompt 2 has a ROUGE-1 of {text}. % claim: parrot < Therapist on rouge1\n"
        f"% claim: parrot prompt2 = {text} on rouge1\n"
        f"Its ROUGE-2 is 0.9876.\\label{{{label}}}\n"
        "The rate was 0.0002. % claims: ignore\n\\input{table1}\n"
    )

    code = main(["claims", "claims.toml", "paper.tex", "--name", "echo", "--json"])
    told = json.loads(capsys.readouterr().out)

    assert code == told["exit_code"] == 0
    assert [(c["file"], c["line"], c["verdict"]) for c in told["claims"]] == [
        ("claims.toml", 5, "true"), ("paper.tex", 1, "true"), ("paper.tex", 2, "true")
    ]  # fmt: skip
    same, unknown = told["numbers"]
    assert same["same"] == {
        "key": "echo.prompt2.rouge1", "macro": "\\res{echo.prompt2.rouge1}", "text": text
    }  # fmt: skip
    assert (unknown["typed"], unknown["line"], unknown["same"]) == ("0.9876", 3, None)
    assert unknown["nearest"]["key"].endswith("rouge2")
    assert [f"\\label{{{label}}} is used 2 times" in w for w in told["warnings"]] == [True]
    assert main(["claims", "claims.toml", "paper.tex", "--name", "echo", "--strict"]) == 4


def test_the_macros_that_are_proposed_are_defined(home: Path, capsys: pytest.CaptureFixture[str]):
    """Each is in ``macros.tex``, and prints what was typed."""
    rows = [r.split(",") for r in Path("runs/echo/report/results.csv").read_text().splitlines()[1:]]
    typed = [r[8] for r in rows if re.fullmatch(r"\d\.\d{4}", r[8])][:60]
    Path("paper.tex").write_text("\n".join(f"we have {text} of it" for text in typed))

    assert main(["claims", "paper.tex", "--name", "echo", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)

    macros = Path("runs/echo/report/macros.tex").read_text()
    assert len(told["numbers"]) == len(typed) > 20
    for number in told["numbers"]:
        assert f"\\report@number{{{number['same']['key']}}}" in macros
        if number["same"]["macro"].startswith("\\res{"):
            assert number["same"]["text"].lstrip("+\N{MINUS SIGN}") == number["typed"]


def test_what_is_suggested_can_be_pasted(home: Path, capsys: pytest.CaptureFixture[str]):
    """It is a file of claims, and all of it is true, strictly."""
    assert main(["claims", "--suggest", "--name", "echo"]) == 0
    Path("claims.toml").write_text(capsys.readouterr().out)

    assert main(["claims", "--name", "echo", "--strict", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["counts"]["true"] == len(told["claims"]) > 0


# ---------------------------------------------------------------------------- the paper


def test_the_paper_is_checked_without_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                            capsys: pytest.CaptureFixture[str]):  # fmt: skip
    """Its own file is meant, whatever lies in the working directory."""
    monkeypatch.chdir(tmp_path)
    claims("nonsense")

    assert main(["claims", "--published", "huang2024"]) == 4
    shown = capsys.readouterr().out
    assert shown.count("\nFALSE ") == 5
    assert "25 claims: 18 true, 5 false, 2 not testable" in shown
    assert main(["claims", "--published", "huang2024", "claims.toml"]) == 2


# ---------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--name", "echo"], "no file of claims"),
        (["--name", "ekko", "c.toml"], "no run 'ekko'"),
        (["--published", "huang2042"], "unknown published table"),
        (["--published", "huang2024", "--name", "echo"], "leave one of them out"),
        (["--published", "huang2024", "--suggest"], "needs a run"),
    ],
)
def test_a_mistake_is_told_with_what_to_do(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], match: str
):
    """Exit code 2, and no traceback."""
    claims(TRUE, name="c.toml")

    if "huang2042" in arguments:
        arguments = [*arguments, "c.toml"]
    assert main(["claims", *arguments]) == 2
    assert match in capsys.readouterr().err


def test_a_file_of_another_kind_does_not_stop_the_rest(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    """Nor does one that is not there; the exit code tells."""
    claims(TRUE)

    assert main(["claims", "claims.toml", "a.md", "b.tex", "c.toml", "--name", "echo"]) == 2
    shown = " ".join(capsys.readouterr().out.split())  # lines break where the path is long
    assert "a.md: expected a .toml or a .tex file" in shown
    assert "b.tex cannot be read" in shown
    assert "1 claim: 1 true, 0 false, 3 not understood" in shown


def test_a_run_that_is_not_whole_is_refused_unless_it_may_be_partial(
    home: Path, swept: Path, capsys: pytest.CaptureFixture[str]
):
    """Then every line stands under the stamp."""
    claims(TRUE)
    Path("runs").unlink()
    shutil.copytree(swept / "runs", "runs")
    next(Path("runs/echo/generations").glob("echo.prompt2*/*.parquet")).unlink()

    assert main(["claims", "--name", "echo"]) == 3
    assert "--partial" in capsys.readouterr().err
    assert main(["claims", "--name", "echo", "--partial"]) in (0, 4)
    assert "[PARTIAL" in capsys.readouterr().out.splitlines()[0]
