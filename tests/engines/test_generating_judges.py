"""A judge that writes its answer on a server: guided where it can be, and read as strictly."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from empathy_core.backends.current import CURRENT
from empathy_core.errors import ModelError
from empathy_core.metrics._generating_judge import Metric
from empathy_core.rubrics import written
from empathy_core.rubrics.rendering import rating_text
from empathy_core.rubrics.spec import Rubric
from empathy_core.store import RunDir
from empathy_core.types import ModelSpec
from jobs import launch
from jobs.planning.plan_file import last_plan
from tests.engines.running import KEY, RunningServer, judged_by, running
from tests.judging import (
    PAIRS,
    RATED,
    WRITTEN,
    WRITTEN_PAIRS,
    care,
    judged_rows,
    measured,
    tiny_judge,
    writing,
)
from tests.runs.command_line import write_config, write_questions
from tests.runs.judged import CARE


@pytest.fixture(scope="module")
def rubric(tmp_path_factory: pytest.TempPathFactory) -> Rubric:
    """A short rubric."""
    return care(tmp_path_factory.mktemp("rubric"))


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    """A judge of random weights."""
    return tiny_judge(tmp_path_factory.mktemp("judge") / "tiny")


@pytest.fixture(scope="module")
def server(spec: ModelSpec) -> Iterator[RunningServer]:
    """A stand-in that answers as it is told to."""
    with running(Path(str(spec.weights)), "--instant") as started:
        yield started


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give the key; let go of what is loaded."""
    monkeypatch.setenv("STAND_IN_KEY", KEY)
    yield
    CURRENT.close()


def at_work(spec: ModelSpec, rubric: Rubric, run: Path, **settings: object) -> Metric:
    """Return the judge in a run."""
    found: Metric = writing(spec, rubric, **settings).in_run(RunDir(run))
    return found


@pytest.mark.parametrize("way", ["tokens", "text", "messages", "elsewhere"])
def test_what_a_server_writes_is_one_rating_or_missing(
    spec: ModelSpec, rubric: Rubric, server: RunningServer, tmp_path: Path, way: str
):
    """By token ids, by text alone, rendered by the server, and without weights at hand."""
    server.set_faults(says={f"\n> {reply}\n": text for reply, text in WRITTEN.items()})
    changes = {
        "tokens": {}, "text": {"returns_tokens": False},
        "messages": {"prompts": "messages", "returns_tokens": False},
        "elsewhere": {"prompts": "messages", "returns_tokens": False},
    }[way]  # fmt: skip
    judge = judged_by(spec, server, **changes)
    if way == "elsewhere":
        judge = replace(judge, backend="server", weights=None, architecture=None)

    found = measured(at_work(judge, rubric, tmp_path, answer_tokens=64), WRITTEN_PAIRS)

    for name, values in RATED.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    assert found["tokens"][0] > 0


@pytest.mark.parametrize("guided", [None, "response_format", "json_schema"])
def test_a_server_that_can_is_told_the_schema_and_no_other(
    spec: ModelSpec, rubric: Rubric, server: RunningServer, tmp_path: Path, guided: str | None
):
    """Temperature 0 in any case; what comes is read as strictly as without."""
    server.set_faults(says={"\n> ok\n": '{"answer": "3"}', "I": '{"answer": "1"}'})
    before = len(server.seen()["requests"])
    judge = judged_by(spec, server, guided=guided)

    found = measured(at_work(judge, rubric, tmp_path, reason=False), [("I am sad.", "ok")])

    [request] = server.seen()["requests"][before:]
    schema = json.loads(written.schema(rubric.dimensions[0], reason=False))
    formatted = {"name": "answer", "schema": schema, "strict": True}
    wanted = {
        None: {},
        "response_format": {"response_format": {"type": "json_schema", "json_schema": formatted}},
        "json_schema": {"json_schema": schema},
    }[guided]
    sent = {k: v for k, v in request.items() if k in ("response_format", "json_schema")}
    assert sent == wanted
    assert (request["temperature"], request["max_tokens"]) == (0, 32)
    assert found["unreadable"].tolist() == [1]


def test_a_server_is_asked_what_the_judge_here_reads(
    spec: ModelSpec, rubric: Rubric, server: RunningServer, tmp_path: Path
):
    """Token for token; and a server that renders gets the text of the rating as one message."""
    server.set_faults(says={"I": "{}"})
    before = len(server.seen()["requests"])
    metric = writing(spec, rubric)
    messages = judged_by(spec, server, prompts="messages", returns_tokens=False)

    measured(at_work(judged_by(spec, server), rubric, tmp_path), PAIRS[:1])
    CURRENT.close()
    measured(at_work(messages, rubric, tmp_path), PAIRS[:1])

    by_ids, by_text = server.seen()["requests"][before:]
    whole = [metric._prompts.text(*PAIRS[0])]
    text = rating_text(rubric, rubric.dimensions[0], *PAIRS[0], request=metric._request)
    assert by_ids["prompt"] == list(metric._prompts.renderer.prompts(whole)[0].ids)
    assert by_text["messages"] == [{"role": "user", "content": text}]


def test_a_text_beyond_the_servers_window_is_missing(
    spec: ModelSpec, rubric: Rubric, server: RunningServer, tmp_path: Path
):
    """A server may take less than the model does: prompt and answer together."""
    metric = writing(spec, rubric)
    sizes = [len(p.ids) for p in metric._prompts.prompts(PAIRS)]
    server.set_faults(says={"I": '{"answer": "1"}'}, max_model_len=max(sizes) + 31)
    try:
        found = measured(at_work(judged_by(spec, server), rubric, tmp_path), PAIRS)
    finally:
        server.set_faults(max_model_len=0)

    gone = np.array(sizes) == max(sizes)
    assert found["too_long"].tolist() == gone.astype(int).tolist()
    assert np.isnan(found["score"][gone]).all()


def test_what_a_judge_writes_is_in_the_budget_of_the_run(
    spec: ModelSpec, rubric: Rubric, server: RunningServer, tmp_path: Path
):
    """And the limit ends the task."""
    server.set_faults(says={"I": '{"answer": "1"}'})
    paid = judged_by(spec, server, usd_per_million_output_tokens=1.0, max_usd=1.0)
    found = measured(at_work(paid, rubric, tmp_path), PAIRS)
    [kept] = (tmp_path / "budget").glob("*.json")
    # equal prompts would be one answer; these differ
    assert json.loads(kept.read_text())["usd"] == pytest.approx(found["tokens"].sum() / 1e6)
    CURRENT.close()

    poor = replace(paid, engine=replace(paid.engine, max_usd=1e-9))
    with pytest.raises(ModelError, match="the budget is used up"):
        measured(at_work(poor, rubric, tmp_path), PAIRS)
    assert CURRENT.backend is None


# ---------------------------------------------------------------------------- a whole run

ELSEWHERE = """
name = "elsewhere"
[data.sources.made]
path = "made.csv"
context = "question"
response = "answer"
[evaluate]
split = "all"
[engines.chatty]
base_url = "@URL@"
key_file = "@KEY@"
prompts = "messages"
guided = "response_format"
[models.echo]
prompts = ["none"]
[models.far]
backend = "server"
engine = "chatty"
served_name = "tiny"
prompts = []
[metrics.length]
[judges.one]
model = "far"
rubrics = ["./care.toml"]
answer = "generated"
[local]
workers = 1
"""


def test_a_judge_without_weights_here_rates_a_run(server: RunningServer, tmp_path: Path):
    """Planned, asked and reported by messages alone; a second sweep asks nothing."""
    server.set_faults(says={"Question number": '{"answer": "1"}'})
    write_questions(tmp_path, 3)
    (tmp_path / "care.toml").write_text(CARE)
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "key").chmod(0o600)
    text = ELSEWHERE.replace("@URL@", server.base_url).replace("@KEY@", str(tmp_path / "key"))
    config = write_config(tmp_path, text, "far.toml")
    arguments = ["--config", str(config), "--runs", str(tmp_path / "runs"), "--executor", "local"]

    before = len(server.seen()["requests"])
    assert launch.main(["sweep", *arguments]) == 0
    between = len(server.seen()["requests"])
    assert launch.main(["sweep", *arguments]) == 0

    run = RunDir(tmp_path / "runs" / "elsewhere")
    plan, _ = last_plan(run)
    for dimension in ("warmth", "harm"):
        found = judged_rows(run, plan, f"generated:one:care:{dimension}")
        assert found["score"].to_list() == [1.0] * 3
    assert between - before == 2 * 3 == len(server.seen()["requests"]) - before
    assert (run.report / "judge-checks.html").exists()
