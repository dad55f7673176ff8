"""Packing: tasks into array tasks, array tasks into arrays, within what a cluster takes."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from empathy_core.types import Condition, Decoding, ModelSpec, Prompt
from jobs.executors.slurm import packing
from jobs.planning.plan import Plan, PlannedMetric, PlanNotes, Task
from jobs.planning.stages import GENERATE, REPORT, SCORE

SIZES = st.lists(st.integers(1, 40), min_size=0, max_size=6)


def grouped(sizes: list[int]) -> list[list[Task]]:
    return [
        [Task("generate", f"m{number}", shard, size) for shard in range(size)]
        for number, size in enumerate(sizes)
    ]


def tasks_of(made: list[list[packing.TaskBundle]]) -> list[Task]:
    return [task for bundles in made for bundle in bundles for task in bundle]


@given(sizes=SIZES, spare=st.integers(0, 60))
def test_every_task_is_in_exactly_one_element_within_the_room(sizes: list[int], spare: int):
    """With room for an array task of each group, all tasks are dealt and the room is kept."""
    room = len(sizes) + spare
    made = packing.bundles(grouped(sizes), room)

    assert Counter(tasks_of(made)) == Counter(t for group in grouped(sizes) for t in group)
    assert sum(map(len, made)) <= room
    assert all(bundle for bundles in made for bundle in bundles)


@given(sizes=SIZES, spare=st.integers(0, 60))
def test_elements_do_tasks_of_their_own_group(sizes: list[int], spare: int):
    """An array task never mixes models, and the groups keep their places."""
    groups = grouped(sizes)
    made = packing.bundles(groups, len(sizes) + spare)

    assert len(made) == len(groups)
    for group, bundles in zip(groups, made, strict=True):
        assert {task.key for bundle in bundles for task in bundle} == {group[0].key}


@given(sizes=SIZES, spare=st.integers(0, 60))
def test_elements_of_a_group_are_equally_long(sizes: list[int], spare: int):
    """No array task does more than one task more than another of its group."""
    for bundles in packing.bundles(grouped(sizes), len(sizes) + spare):
        lengths = [len(bundle) for bundle in bundles]
        assert max(lengths) - min(lengths) <= 1


@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6), data=st.data())
def test_without_room_for_all_groups_the_last_get_none(sizes: list[int], data: st.DataObject):
    """The first groups get an array task with all their tasks; what does not fit is left out."""
    room = data.draw(st.integers(0, len(sizes) - 1))
    groups = grouped(sizes)
    made = packing.bundles(groups, room)
    kept = max(room, 0)

    assert made == [[tuple(group)] for group in groups[:kept]] + [[]] * (len(sizes) - kept)


@given(sizes=SIZES, spare=st.none() | st.integers(0, 9))
def test_where_they_fit_every_element_does_one_task(sizes: list[int], spare: int | None):
    """Tasks are put together only where the room asks for it."""
    groups = grouped(sizes)
    room = None if spare is None else sum(sizes) + spare

    assert packing.bundles(groups, room) == [[(task,) for task in group] for group in groups]


@pytest.mark.parametrize(
    ("sizes", "room", "lengths"),
    [([4, 2], 5, [2, 1]), ([4, 2], 3, [2, 1]), ([4, 2], 2, [1, 1]), ([7], 3, [3])],
)
def test_all_groups_take_more_tasks_together(sizes: list[int], room: int, lengths: list[int]):
    """Every group's array tasks take one task more until all fit."""
    assert list(map(len, packing.bundles(grouped(sizes), room))) == lengths


@given(n=st.integers(0, 50), largest=st.integers(1, 12))
def test_arrays_keep_the_order_and_are_never_too_large(n: int, largest: int):
    """Cutting loses no array task, moves none, and makes as few arrays as possible."""
    bundles = [(Task("score", "lexical", shard, n),) for shard in range(n)]
    cut = packing.arrays(bundles, largest)

    assert [bundle for array in cut for bundle in array] == bundles
    assert all(1 <= len(array) <= largest for array in cut)
    assert len(cut) == -(-n // largest)


@given(
    st.lists(
        st.builds(
            Task,
            st.sampled_from(["generate", "score"]),
            st.sampled_from(["a", "b"]),
            st.integers(0, 3),
            st.integers(4, 5),
        )
    )
)
def test_groups_keep_stage_key_and_cut_apart(tasks: list[Task]):
    """A group has one stage, one key and one number of shards, in order of appearance."""
    found = packing.groups(tasks)
    kinds = [(group[0].stage, group[0].key, group[0].n_shards) for group in found]

    assert kinds == list(dict.fromkeys((t.stage, t.key, t.n_shards) for t in tasks))
    for group, kind in zip(found, kinds, strict=True):
        assert group == [t for t in tasks if (t.stage, t.key, t.n_shards) == kind]


def test_a_stage_says_what_its_tasks_make():
    """A model's task makes its conditions, a score task its group's metrics of all conditions."""
    prompt = Prompt("none", "none", "{context}", ())
    a, b = (Condition(ModelSpec(name, name, "echo"), prompt, Decoding()) for name in "ab")
    bleu = PlannedMetric("bleu", {}, "bleu-1", "sig", "lexical")
    bert = PlannedMetric("bertscore", {}, "bert-1", "sig", "bert")
    plan = Plan(
        conditions=(a, b),
        data_digest="d",
        n_blocks=4,
        shards={"a": 2, "b": 2},
        score_shards=1,
        overlong="error",
        metrics=(bleu, bert),
        notes=PlanNotes(),
    )

    assert GENERATE.makes(plan, Task("generate", "a", 0, 2)) == {("", a.id)}
    assert SCORE.makes(plan, Task("score", "bert", 0, 1)) == {("bert-1", a.id), ("bert-1", b.id)}
    assert REPORT.makes(plan, Task("report", "report", 0, 1)) == {
        (metric, condition.id) for metric in ("bleu-1", "bert-1") for condition in (a, b)
    }


def test_a_full_queue_gets_nothing():
    """Less than no room is no room."""
    assert packing.bundles(grouped([3]), -1) == [[]]
    assert packing.bundles([], -1) == []
