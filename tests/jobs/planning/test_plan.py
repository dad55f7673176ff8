"""The planner: which shards and units are still to be done."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from empathy_core import store
from empathy_core.store import RunDir
from empathy_core.types import Condition, Decoding, ModelSpec, Prompt
from jobs.planning.plan import Plan, PlannedMetric, PlanNotes, Task
from jobs.planning.plan_file import read_plan, write_plan
from jobs.planning.progress import RunProgress, SoundPieces
from jobs.planning.stages import GENERATE, SCORE

PROMPTS = tuple(Prompt(name, name, f"{name}: {{context}}", ()) for name in ("none", "prompt1"))


def a_plan(n_blocks: int = 10, n_shards: int = 4, score_shards: int = 1) -> Plan:
    model = ModelSpec("m", "M", "echo")
    return Plan(
        conditions=tuple(Condition(model, prompt, Decoding()) for prompt in PROMPTS),
        data_digest="d",
        n_blocks=n_blocks,
        shards={"m": n_shards},
        score_shards=score_shards,
        overlong="error",
        metrics=(PlannedMetric("bleu", {}, "bleu-1", "sig", "lexical"),),
        notes=PlanNotes(),
    )


def progress(
    done: dict[str, Iterable[int]], scored: dict[tuple[str, str], dict[int, str]] | None = None
) -> RunProgress:
    """Return what a run holds: condition id → blocks, and what each column was scored from."""
    generated = {
        c.id: SoundPieces(dict.fromkeys(done.get(c.id, ()), "d")) for c in a_plan().conditions
    }
    columns = {("bleu-1", c): SoundPieces((scored or {}).get(("bleu-1", c), {})) for c in generated}
    return RunProgress(RunDir(Path("nowhere")), generated, columns)


def generate_tasks(plan: Plan, done: dict[str, Iterable[int]]) -> list[Task]:
    return GENERATE.lacking(plan, progress(done))


def test_nothing_done_means_every_shard():
    """A fresh run has one task for each shard of a model, not one for each prompt."""
    tasks = generate_tasks(a_plan(), {})

    assert [task.id for task in tasks] == [f"generate-m-0000{i}-of-00004" for i in range(4)]


def test_everything_done_means_no_task():
    """A finished run plans nothing."""
    plan = a_plan()
    done = {c.id: range(10) for c in plan.conditions}

    assert generate_tasks(plan, done) == []


def test_there_are_never_more_shards_than_blocks():
    """A shard without a block would be a task without work."""
    assert len(generate_tasks(a_plan(n_blocks=3, n_shards=100), {})) == 3


@given(
    done=st.lists(st.sets(st.integers(0, 9)), min_size=2, max_size=2), n_shards=st.integers(1, 12)
)
def test_tasks_cover_exactly_the_missing_blocks(done: list[set[int]], n_shards: int):
    """A shard is planned if and only if it lacks a block of a condition."""
    plan = a_plan(n_shards=n_shards)
    finished = dict(zip((c.id for c in plan.conditions), done, strict=True))
    missing = set(range(10)) - (done[0] & done[1])

    tasks = generate_tasks(plan, finished)
    covered = [set(store.blocks_of_shard(range(10), t.shard, t.n_shards)) for t in tasks]

    assert missing <= set().union(*covered)
    assert all(blocks & missing for blocks in covered)


def test_a_unit_is_scored_again_when_its_answers_changed():
    """Scores belong to the answers they were made from, by digest."""
    plan = a_plan(n_blocks=32, score_shards=4)
    done = {c.id: range(32) for c in plan.conditions}
    inputs = progress(done).inputs
    scored = {("bleu-1", c): dict(units) for c, units in inputs.items()}
    assert SCORE.lacking(plan, progress(done, scored)) == []

    scored["bleu-1", plan.conditions[1].id][2] = "before"

    assert [task.shard for task in SCORE.lacking(plan, progress(done, scored))] == [2]


def test_units_without_answers_are_not_scored():
    """What was never generated is not scored, unless it is to come."""
    plan = a_plan()

    assert SCORE.lacking(plan, progress({})) == []
    assert len(SCORE.lacking(plan, progress({}).expecting(plan))) == 1


def test_answers_that_are_claimed_count_as_made():
    """What an array task in the queue will answer is no task, and what else is lacking is one."""
    plan = a_plan(n_shards=10)
    claimed = {plan.conditions[0].id: range(10), plan.conditions[1].id: range(7)}

    tasks = GENERATE.lacking(plan, progress({}).with_answers(claimed))

    assert [task.shard for task in tasks] == [7, 8, 9]


def test_identity_is_what_changes_the_text():
    """Labels, licences and places leave a condition's id alone; settings change it."""
    model = ModelSpec("m", "M", "hf", weights="a/b", dtype="float32")
    base = Condition(model, PROMPTS[0], Decoding(), fingerprint="f")

    same = [
        replace(base, model=replace(model, label="Other", licence="MIT", weights="/elsewhere")),
        replace(base, decoding=Decoding(temperature=0.2, seed=4)),  # greedy has neither
    ]
    other = [
        replace(base, model=replace(model, dtype="bfloat16")),
        replace(base, decoding=Decoding(max_new_tokens=8)),
        replace(base, prompt=PROMPTS[1]),
        replace(base, chat=True),
        replace(base, fingerprint="g"),
        replace(base, rendered="r"),
        replace(base, block_size=8),
    ]

    assert {c.id for c in same} == {base.id}
    assert len({c.id for c in [base, *other]}) == len(other) + 1


def test_a_plan_on_disk_has_the_keys_that_every_version_knows(tmp_path: Path):
    """Fields were renamed; what is written, and what older versions wrote, bears the old names."""
    plan = replace(a_plan(), imported=("people-1",), notes=PlanNotes(notes=("as it is",)))
    path = tmp_path / "0001.json"

    write_plan(plan, path)
    raw = json.loads(path.read_text())

    assert raw["made_elsewhere"] == ["people-1"]
    assert raw["words"] == {"assumed": [], "notes": ["as it is"]}
    assert not {"imported", "notes"} & set(raw)
    assert read_plan(path) == plan
