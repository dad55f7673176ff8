"""Which tests are slow: found by what they reach, so that a new test is fast unless it cannot be.

A test is slow if it, one of its fixtures, or a function of the tests that these call starts a
process, opens a browser, loads or trains a model, or builds a whole report; so is its case of an
encoder. What takes seconds for
another reason is marked ``slow`` by hand; ``fast``, by hand too, keeps a slow test in the selection
that shows that every room of the suite still stands. See ``test_selection``.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

SLOW = (
    "subprocess", "playwright", "torch", "peft", "reports.build.build",
    "reports.write.write_report", "empathy_core.training.loop.trainer.train",
    "tests.tiny_models.tiny_", "tests.zoo_models.", "tests.conftest.vllm_python",
)  # fmt: skip
"""Beginnings of the names of modules and functions."""
ENCODERS = ("bertscore", "classifier", "similarity")
"""Metrics that load a model: a case of theirs is slow, whatever its test calls."""


OURS = ("tests", "empathy_core", "jobs", "reports", "slurm")


def select(items: Iterable[pytest.Item]) -> None:
    """Mark each test ``slow`` or ``fast``."""
    for item in items:
        by_hand = {mark.name for mark in item.iter_markers()} & {"slow", "fast"}
        if not by_hand:
            item.add_marker("slow" if is_slow(item) else "fast")


def is_slow(item: pytest.Item) -> bool:
    """Tell whether a test reaches what takes seconds."""
    if "slurm" in item.path.parts:
        return True
    if not isinstance(item, pytest.Function):
        return False
    case = item.callspec.params.values() if hasattr(item, "callspec") else ()
    if any(value in ENCODERS for value in case if isinstance(value, str)):
        return True
    definitions = item._fixtureinfo.name2fixturedefs.values()
    fixtures = [definition.func for several in definitions for definition in several]
    return any(name.startswith(SLOW) for name in reached([item.function, *fixtures]))


def reached(functions: Iterable[Callable[..., Any]]) -> Iterator[str]:
    """Yield the names of functions, those that they use, and what the tests' own of these use."""
    ahead, known = [inspect.unwrap(function) for function in functions], set()
    while ahead:
        function = ahead.pop()
        if function in known:
            continue
        known.add(function)
        yield f"{function.__module__}.{function.__qualname__}"
        for value in _values_used(function):
            if isinstance(value, ModuleType):
                yield value.__name__
            elif isinstance(value, type | FunctionType):
                yield f"{value.__module__}.{value.__qualname__}"
                if value.__module__.startswith("tests"):
                    ahead += _functions(inspect.unwrap(value))


def _functions(value: Any) -> list[FunctionType]:
    """Return a function, or the methods of a class."""
    values = vars(value).values() if isinstance(value, type) else [value]
    values = [getattr(one, "func", getattr(one, "fget", one)) for one in values]  # properties
    return [inspect.unwrap(one) for one in values if isinstance(one, FunctionType)]


@cache
def _values_used(function: Any) -> tuple[Any, ...]:
    """Return what `_used` yields; many tests call the same functions, and have many cases."""
    return tuple(_used(function))


def _used(function: Any) -> Iterator[Any]:
    """Yield the values of the global names in a function's code, and what it takes of modules."""
    if not isinstance(function, FunctionType):
        return
    for code in _codes(function.__code__):
        for name in code.co_names:
            value = function.__globals__.get(name)
            yield value
            if isinstance(value, ModuleType) and value.__name__.partition(".")[0] in OURS:
                yield from (getattr(value, attribute, None) for attribute in code.co_names)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)
