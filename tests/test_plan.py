"""The planner: which shards and units are still to be done."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from empathy_core import store
from empathy_core.types import Condition, Decoding, ModelSpec, Prompt
from jobs.planning.plan import Plan, PlannedMetric, Words, generate_tasks, score_tasks

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
        words=Words(),
    )


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
    inputs = {c.id: {u: f"now-{u}" for u in range(4)} for c in plan.conditions}
    scored = {("bleu-1", c.id): dict(inputs[c.id]) for c in plan.conditions}
    assert score_tasks(plan, inputs, scored) == []

    scored["bleu-1", plan.conditions[1].id][2] = "before"

    assert [task.shard for task in score_tasks(plan, inputs, scored)] == [2]


def test_units_without_answers_are_not_scored():
    """What was never generated is not scored."""
    assert score_tasks(a_plan(), {}, {}) == []


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
