"""Which worker runs which module."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from xdist.remote import Producer

from tests.lanes import LONGEST, WAITING, Lanes, place, waits

ROOT = Path(__file__).parents[1]
ONE_EACH = ("tests/test_a.py::t", "tests/slurm/test_b.py::t", "tests/test_kills.py::t",
            "tests/slurm/test_sweep.py::t")  # fmt: skip


class Node(SimpleNamespace):
    """A worker that remembers what it was told to run."""

    shutting_down = False

    def __hash__(self) -> int:
        return id(self)


def worker(lanes: Lanes, number: int) -> Any:
    """Return a worker that has collected the tests; it runs none of them."""
    node: Any = Node(gateway=SimpleNamespace(id=f"gw{number}"), ran=[])
    node.send_runtest_some = lambda indices: node.ran.extend(ONE_EACH[i] for i in indices)
    node.shutdown = lambda: None
    lanes.add_node(node)
    lanes.add_node_collection(node, ONE_EACH)
    return node


def lanes_for(n_workers: int) -> Lanes:
    config: Any = SimpleNamespace(
        getvalue=lambda _: [f"{n_workers}*popen"], option=SimpleNamespace(loadscopereorder=False)
    )
    return Lanes(config, Producer("test", enabled=False))


def test_workers_that_wait_take_slurms_modules_and_the_others_the_rest():
    """Each kind longest first."""
    lanes = lanes_for(2)
    waiting, computing = (worker(lanes, number) for number in (0, WAITING))
    lanes.schedule()

    assert waiting.ran == ["tests/slurm/test_sweep.py::t", "tests/slurm/test_b.py::t"]
    assert computing.ran == ["tests/test_kills.py::t", "tests/test_a.py::t"]


@pytest.mark.parametrize("number", [0, WAITING])
def test_who_has_none_left_of_its_own_takes_the_others(number: int):
    """A single worker runs everything."""
    lanes = lanes_for(1)
    node = worker(lanes, number)
    lanes.schedule()
    for i in range(len(ONE_EACH)):
        lanes.mark_test_complete(node, ONE_EACH.index(node.ran[i]))

    assert sorted(node.ran) == sorted(ONE_EACH)
    assert [waits(test) for test in node.ran[:2]] == [number == 0] * 2


def test_the_order_names_modules_that_are_there():
    """A module that is renamed takes its place along."""
    assert [name for name in LONGEST if not (ROOT / name).is_file()] == []
    assert place("tests/test_new.py") > place(LONGEST[-1])
