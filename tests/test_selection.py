"""The fast tests: what takes seconds is not among them, and few are by decree."""

import ast
import subprocess
from pathlib import Path

import pytest

from tests import slow
from tests.runs import command_line

TESTS = Path(__file__).parent
MOST_BY_HAND = 12
"""Slow tests that may be fast by decree: each takes some of the developer's 90 seconds."""


def _a_process() -> None:
    subprocess.run(["true"], check=True)


def _calls_one_that_starts_a_process() -> None:
    [_a_process() for _ in range(1)]


def _a_command() -> None:
    command_line.launch("status", cwd=TESTS)


def _nothing() -> None:
    command_line.write_config(TESTS)


@pytest.mark.parametrize(
    ("function", "found"),
    [(_calls_one_that_starts_a_process, True), (_a_command, True), (_nothing, False)],
)
def test_a_process_is_found_behind_the_functions_of_the_tests(function, found: bool):
    """However deep it is started; in a module that could start one, but does not, none is."""
    assert any(name.startswith(slow.SLOW) for name in slow.reached([function])) == found


def test_no_fast_test_starts_vllm(request: pytest.FixtureRequest):
    """Also where it starts deep in the product: a minute of both cores each."""
    asks = [item for item in request.session.items if "vllm_python" in item.fixturenames]

    assert [item.nodeid for item in asks if item.get_closest_marker("fast")] == []


def test_few_slow_tests_are_fast_by_decree():
    """A mark by hand is an exception, or the selection would grow with each of them."""
    by_hand = [
        node.lineno
        for path in TESTS.rglob("test_*.py")
        if "mark.fast" in (text := path.read_text())  # to read all of them takes seconds
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "pytest.mark.fast"
    ]

    assert len(by_hand) <= MOST_BY_HAND
