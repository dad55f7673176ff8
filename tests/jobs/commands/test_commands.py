"""The command line is made of typed options: declared once, light, and right for every command."""

import ast
import subprocess
import sys
from dataclasses import MISSING, fields
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from jobs.commands.options import Argument, RunOptions
from jobs.launch import COMMANDS, body_of, main, options_of, parse

WORDS_FIRST = {command.split()[0] for command in COMMANDS}
FOLDER = Path(__file__).parents[3] / "jobs" / "commands"
WORDS = {bool: ((), True), int: (("7",), 7), float: (("0.5",), 0.5), str: (("x y",), "x y"),
         Path: (("a/b",), Path("a/b"))}  # fmt: skip
"""Type of a field → words that are typed, and the value that they stand for."""


def _typed(kind: Any) -> tuple[tuple[str, ...], Any]:
    """Return words for the command line, and the value that a field of this type has by them."""
    if NoneType in get_args(kind):
        (kind,) = (k for k in get_args(kind) if k is not NoneType)
    if get_origin(kind) is Literal:
        return (get_args(kind)[-1],), get_args(kind)[-1]
    if get_origin(kind) is tuple:
        n = 1 if get_args(kind)[-1] is Ellipsis else len(get_args(kind))
        words = tuple(f"word {i}" for i in range(n))
        return words, words
    return WORDS[kind]


def _required(command: str) -> list[str]:
    """Return words for what a command requires."""
    options = options_of(command)
    hints = get_type_hints(options, include_extras=True)
    line: list[str] = []
    for field in fields(options):
        if field.default is MISSING:
            words, _ = _typed(hints[field.name].__origin__)
            positional = isinstance(hints[field.name].__metadata__[0], Argument)
            line += words if positional else [_flag(field.name), *words]
    return line


def _flag(name: str) -> str:
    unlike = {"overrides": "--set", "copy_from": "--from"}  # from is no name of a field in Python
    return unlike.get(name, f"--{name.replace('_', '-')}")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_field_of_a_command_is_set_by_its_own_words(command: str):
    """Each option, given by name, arrives in its field with its type; all of them together."""
    options = options_of(command)
    hints = get_type_hints(options, include_extras=True)
    line, expected = command.split(), {}
    for field in fields(options):
        hint = hints[field.name]
        words, expected[field.name] = _typed(hint.__origin__)
        positional = isinstance(hint.__metadata__[0], Argument)
        line += words if positional else [_flag(field.name), *words]

    assert parse(line) == (command, options(**expected))


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_not_given_is_the_default_of_the_dataclass(command: str):
    """The parser adds no default of its own, and requires what has none."""
    options = options_of(command)
    hints = get_type_hints(options, include_extras=True)
    line, expected = command.split(), {}
    for field in fields(options):
        if field.default is MISSING:
            words, expected[field.name] = _typed(hints[field.name].__origin__)
            positional = isinstance(hints[field.name].__metadata__[0], Argument)
            line += words if positional else [_flag(field.name), *words]

    assert parse(line) == (command, options(**expected))
    if expected:
        with pytest.raises(SystemExit, match="2"):
            parse(command.split())


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda p: p.stem)
def test_bodies_take_typed_options(path: Path):
    """No command knows argparse or its untyped namespaces."""
    names = {
        node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)
    }
    tree = ast.parse(path.read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    modules = {getattr(node, "module", None) or node.names[0].name for node in imports}

    assert "Namespace" not in names
    assert "argparse" not in modules


def test_each_command_is_a_file_with_a_body_of_its_name():
    """What is listed is there, and what is there is listed."""
    with_body = set()
    for path in FOLDER.rglob("*.py"):
        words = [part.rstrip("_") for part in path.relative_to(FOLDER).with_suffix("").parts]
        options = f"{''.join(word.capitalize() for word in words)}Options"
        with_body |= {
            " ".join(words)
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.ClassDef) and node.name == options
        }

    assert with_body == set(COMMANDS)
    assert all(body_of(command).__doc__ for command in COMMANDS)


def test_help_imports_nothing_heavy():
    """The whole parser is made without a data frame, a schema or an array."""
    heavy = ("polars", "numpy", "pydantic", "jinja2", "torch", "empathy_core", "reports")
    code = (
        f"import sys, jobs.launch as l; l.parser(); print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_a_sentence_for_every_option(command: str, capsys: pytest.CaptureFixture[str]):
    """The command's help, and each option of it with its default, stand in --help."""
    with pytest.raises(SystemExit, match="0"):
        main([*command.split(), "--help"])
    shown = " ".join(capsys.readouterr().out.split())

    assert " ".join((options_of(command).__doc__ or "-").split()) in shown
    for hint in get_type_hints(options_of(command), include_extras=True).values():
        assert " ".join(hint.__metadata__[0].help.split()) in shown
    assert "(default: demo)" in shown


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["sweep", "--dry-rum"], "did you mean --dry-run?"),
        (["report", "--rechek=3"], "did you mean --recheck?"),
        (["sweep", "--watch"], "unrecognized arguments: --watch"),
        (["swep"], "'sweep'"),
        (["sweep", "--executor", "slrm"], "'slurm'"),
        (["retry", "--time", "1.5"], "--time: invalid int value: '1.5'"),
        (["merge", "q"], "--out"),
        (["annotate"], "COMMAND"),
        (["annotate", "exprt"], "'export'"),
        (["annotate", "plan", "--jsn"], "did you mean --json?"),
        (["report", "--compare", "a"], "expected 2 arguments"),
    ],
)
def test_a_usage_error_is_exit_2_and_names_what_was_meant(
    line: list[str], said: str, capsys: pytest.CaptureFixture[str]
):
    """The message stands below the usage of the command."""
    with pytest.raises(SystemExit, match="2"):
        main(line)
    error = capsys.readouterr().err

    assert said in error
    assert error.startswith(
        f"usage: python -m jobs.launch {line[0] if line[0] in WORDS_FIRST else ''}"
    )


def test_the_profile_is_below_what_set_changes():
    """Of --profile and --set, the latter wins, wherever they stand."""
    _, options = parse(["sweep", "--set", "slurm.account=a", "--profile", 'my "own".toml'])

    assert options.changes == ('slurm.profile="my \\"own\\".toml"', "slurm.account=a")
    assert options.overrides == ("slurm.account=a",)


def test_run_is_another_word_for_name():
    """For claims, whose other source is a published table."""
    assert parse(["claims", "--run", "demo"])[1].name == "demo"


def test_all_commands_have_the_common_options():
    """One parser holds them all; each has its own help."""
    found = {name: vars(parse([*name.split(), *_required(name)])[1]) for name in COMMANDS}

    assert all(vars(RunOptions()).keys() <= options.keys() for options in found.values())


def test_a_folder_of_commands_lists_them(capsys: pytest.CaptureFixture[str]):
    """The first help names the folder, and the folder's help its commands, each with its line."""
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert "annotate" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="0"):
        main(["annotate", "--help"])
    shown = " ".join(capsys.readouterr().out.split())

    for name in COMMANDS:
        if name.startswith("annotate "):
            summary = str(options_of(name).__doc__).splitlines()[0]
            assert f"{name.split()[1]} {summary}" in shown
