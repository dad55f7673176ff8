"""What the pages say of keys, options, columns, names and messages is what the code has."""

import ast
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest

from empathy_core import diagnosis, metrics
from empathy_core.annotation import KEY, RATINGS, SAMPLE
from empathy_core.annotation.answers import COLUMNS as ANSWERS
from empathy_core.store import schemas
from empathy_core.training.preflight import run as preflight
from jobs.executors.slurm import history
from reports.numbers import (
    adapter_vs_base,
    aggregate,
    agreement,
    best_of,
    calibration,
    corrected,
    correlations,
    derived,
    flags_elsewhere,
    judge_agreement,
    judge_bounds,
    judges,
    pairs,
    preferences,
    prompt_effects,
    refined,
    repeats,
    results,
)
from reports.rows import ratings
from tests.docs.markdown_pages import DOCS, PAGES, README, ROOT, blocks, code, tables


@cache
def reference() -> ModuleType:
    """Return the script that writes the generated parts."""
    spec = importlib.util.spec_from_file_location("reference", DOCS / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda p: p.name)
def test_generated_parts_are_what_the_code_says(page: Path):
    """Whoever changes a key or an option writes the pages anew: python docs/reference.py."""
    text = page.read_text(encoding="utf-8")

    assert reference().rewritten(text) == text, f"run: {reference().COMMAND}"


def test_every_part_stands_on_a_page():
    """What is generated is also read."""
    text = "".join(page.read_text(encoding="utf-8") for page in DOCS.glob("*.md"))

    assert set(re.findall(r"<!-- generated: (\w+) -->", text)) == set(reference().PARTS)


def test_every_key_and_option_is_described():
    """A key without a word about it cannot be used."""
    lacking = reference().commands.NO_TEXT
    without = [name for name, part in reference().PARTS.items() if lacking in part()]

    assert not without


KINDS = {
    pl.String: "text", pl.Int32: "integer", pl.Int64: "integer", pl.Float64: "number",
    pl.Boolean: "boolean", pl.List(pl.Int32): "list of integers",
    schemas.TURNS["turns"]: "list of `role` and `content`",
}  # fmt: skip
FRAMES: dict[str, Mapping[str, Any]] = {
    "EXAMPLES": schemas.EXAMPLES,
    "TURNS": schemas.TURNS,
    "GENERATIONS": schemas.GENERATIONS,
    "SCORES": schemas.SCORES,
    "SAMPLE": SAMPLE,
    "KEY": KEY,
    "RATINGS": RATINGS,
    "ANSWERS": ANSWERS,
    "RESULTS": results.frame([]).schema,
    "SUMMARY": aggregate.SUMMARY,
    "PAIRS": pairs.PAIRS,
    "CONTRASTS": pairs.CONTRASTS,
    "COMPARED": adapter_vs_base.COMPARED,
    "SPREADS": prompt_effects.SPREADS,
    "MOVERS": prompt_effects.MOVERS,
    "REPEATS": repeats.REPEATS,
    "CORRELATIONS": correlations.CORRELATIONS,
    "DERIVED": derived.DERIVED,
    "BEST_OF": best_of.BEST_OF,
    "PREFERENCES": preferences.PREFERENCES,
    "JUDGES": judges.JUDGES,
    "CHECKS": judges.CHECKS,
    "BOUNDS": judge_bounds.BOUNDS,
    "AGREEMENTS": judge_agreement.AGREEMENTS,
    "PEOPLE": corrected.PEOPLE,
    "FLAG_RATES": flags_elsewhere.FLAG_RATES,
    "AGREEMENT": agreement.AGREEMENT,
    "RATERS": agreement.RATERS,
    "MEANS": agreement.MEANS,
    "LEFT_OUT": ratings.LEFT_OUT,
    "CALIBRATION": calibration.CALIBRATION,
    "BIASES": calibration.BIASES,
    "ALTERNATIVE": calibration.ALTERNATIVE,
    "RANKINGS": refined.RANKINGS,
}
AS_IN_PAIRS = re.compile(r"`(\w+)` … `(\w+)`")


def _documented(rows: list[list[str]]) -> list[tuple[str, str]]:
    """Return name and type of each column of a table; a range of names is of ``pairs.csv``."""
    found = []
    for name, kind, _ in rows:
        if span := AS_IN_PAIRS.fullmatch(name):
            names = list(pairs.PAIRS)
            begin, end = names.index(span[1]), names.index(span[2])
            found += [(n, KINDS[pairs.PAIRS[n]]) for n in names[begin : end + 1]]
        else:
            found.append((name.strip("`"), kind))
    return found


@pytest.mark.parametrize("frame", FRAMES)
def test_every_column_of_a_file_is_described_with_its_type(frame: str):
    """Names, types and order are those of the schema."""
    described = dict(tables(DOCS / "files.md"))[frame]

    assert _documented(described) == [(n, KINDS[kind]) for n, kind in FRAMES[frame].items()]


def _first_column(page: str, heading: str) -> list[str]:
    rows = dict(tables(DOCS / page))[heading]
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row[0])]


def test_every_finding_of_the_preflight_is_explained():
    """By the name that --allow takes."""
    assert _first_column("finetuning.md", "1. Preflight") == list(preflight.NAMES)


def test_every_cause_of_broken_answers_is_explained():
    """By the name that diagnose prints."""
    assert _first_column("diagnosis.md", "Causes") == list(diagnosis.CAUSES)


def test_every_class_of_failure_on_slurm_has_advice():
    """As explain names it; done, running and queued need none."""
    rows = [r for h, table in tables(DOCS / "troubleshooting.md") if h == "Slurm" for r in table]
    named = {name.strip() for row in rows for name in row[0].split(",")} | {row[0] for row in rows}

    assert set(history.REMEDIES) - {"done", "running", "queued"} <= named


FIGURES_ALONE = {"differences", "answers"}


def test_every_table_of_a_report_is_described():
    """By the name of its file."""
    trees = [ast.parse(path.read_text()) for path in (ROOT / "reports").rglob("*.py")]
    calls = [n for tree in trees for n in ast.walk(tree) if isinstance(n, ast.Call) and n.args]
    made = {
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Name)
        and call.func.id == "Section"
        and isinstance(call.args[0], ast.Constant)
    }

    described = {name.removesuffix(".tex") for name in _first_column("tables.md", "The tables")}

    assert len(made) > 8
    assert made - FIGURES_ALONE <= described


# ---------------------------------------------------------------------------- words in code type


@cache
def _keys() -> set[str]:
    """Return the dotted names of all keys of a configuration, and their last parts."""
    found = set()
    for path, cls in reference().configuration.tables():
        names = [key.name for key in reference().configuration.keys(cls)]
        found |= {f"{path}.{name}".lstrip(".") for name in names} | set(names) | {path}
    for name in metrics.names():
        cls = importlib.import_module(f"empathy_core.metrics.{name}").Metric
        found |= {f.name for f in fields(cls) if f.init} | {f"metrics.{name}"}
    return found


NOT_KEYS = {"description", "ratio", "main", "duplicates"}
"""Keys of other things: of a model's options, of a column in Python."""


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_keys_in_the_text_exist(page: Path):
    """``key = value`` and ``table.key`` are keys of a configuration."""
    heads = {name.partition(".")[0] for name in _keys() if "." in name} - {"metrics"}
    unknown = []
    for word in code(page):
        plain = re.sub(r"^\[[\w.*<>]+\] ", "", word)
        name = (re.match(r"(\w+) ?= ?\S", plain) or re.match(r"()", plain))[1]
        dotted = word if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+(?<!\.json)(?<!\.csv)", word) else ""
        if name and name.islower() and name not in _keys() | NOT_KEYS:
            unknown.append(word)
        if dotted.partition(".")[0] in heads and dotted not in _keys():
            unknown.append(word)

    assert not unknown


def test_options_in_the_text_exist():
    """Every ``--option`` is one of the command line, or of a tool that is named beside it."""
    others = {
        "--max-num-seqs",
        "--system-site-packages",
        "--log_samples",
        "--durations",
        "--help",
        "--no-deps",
    }
    known = set(re.findall(r"--[a-z-]+", reference().PARTS["commands"]())) | others
    named = {
        option
        for page in PAGES
        if page.stem != "configuration"  # it names sbatch's own
        for word in code(page)
        for option in re.findall(r"(?<![\w-])--[a-z_-]+", word)
    }

    assert named <= known


# ---------------------------------------------------------------------------- messages


@cache
def _messages() -> str:
    """Return every text of the product's code, what is filled in left out."""
    found = []
    for package in ("jobs", "empathy_core", "reports", "slurm"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    parts = [p.value if isinstance(p, ast.Constant) else "…" for p in node.values]
                    found.append("".join(map(str, parts)))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    found.append((ROOT / "Makefile").read_text())
    return "\n".join(re.sub(r"\s+", " ", text) for text in found)


def test_messages_of_the_troubleshooting_page_exist():
    """Each is a message of the code, so that a search for it finds the page."""
    rows = [r for _, table in tables(DOCS / "troubleshooting.md") for r in table]
    quoted = [m for row in rows for m in re.findall(r"^`(.+)`$", row[0])]
    parts = [part.strip(" :;,") for message in quoted for part in message.split("…")]
    unknown = [part for part in parts if len(part) > 8 and part not in _messages()]

    assert len(quoted) > 40
    assert not unknown, "a message was worded anew: word it so in docs/troubleshooting.md too"


# ---------------------------------------------------------------------------- the front door


def test_the_readme_is_a_front_door():
    """At most 1,500 words, and the commands that do all set-up."""
    text = README.read_text(encoding="utf-8")

    assert len(text.split()) <= 1500
    assert "make demo" in text
    assert "make test" in text


def test_the_printed_table_is_the_same_on_both_pages():
    """README and quick start show what the demo printed."""
    shown = [
        next(b.text for b in blocks(page) if "Therapist Baseline" in b.text)
        for page in (README, DOCS / "quickstart.md")
    ]

    assert shown[0] == shown[1]
