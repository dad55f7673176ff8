"""A judge on a server is the judge here: the same scores, and the same mass where it has none."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from empathy_core.backends.current import CURRENT
from empathy_core.errors import ModelError
from empathy_core.models import model as model_named
from empathy_core.rubrics.spec import Rubric
from empathy_core.store import RunDir
from empathy_core.types import EngineSpec, ModelSpec
from empathy_core.weights import locate
from jobs.planning.plan_file import last_plan
from tests import preloaded
from tests.engines.running import KEY, RunningServer, judged_by, running
from tests.judging import PAIRS, asked, care, judged_rows, measured, tiny_judge
from tests.runs.command_line import ROOT, launch, write_config
from tests.runs.judged import CARE

MASKS = (
    "allowed_token_ids", "guided", "structured_outputs", "response_format", "logit_bias", "grammar",
)  # fmt: skip
"""What would leave a judge no other answer than a label; the mass would be 1."""


@pytest.fixture(scope="module")
def rubric(tmp_path_factory: pytest.TempPathFactory) -> Rubric:
    """A short rubric."""
    return care(tmp_path_factory.mktemp("rubric"))


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    """A judge of random weights."""
    return tiny_judge(tmp_path_factory.mktemp("judge") / "tiny")


@pytest.fixture(scope="module")
def silent(spec: ModelSpec, tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    """The same judge, to whom all tokens are nearly alike: it hardly ever says a label."""
    folder = tmp_path_factory.mktemp("silent") / "tiny"
    quietened(Path(str(spec.weights)), folder)
    return replace(spec, weights=str(folder))


def quietened(folder: Path, to: Path) -> None:
    """Write a copy of a model whose last layer says next to nothing."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.model.norm.weight.data *= 0.001
    model.save_pretrained(to)
    AutoTokenizer.from_pretrained(folder).save_pretrained(to)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give the key; let go of what is loaded."""
    monkeypatch.setenv("STAND_IN_KEY", KEY)
    yield
    CURRENT.close()


def there(
    spec: ModelSpec, rubric: Rubric, run: Path, dimension: str = "harm", **settings: object
) -> dict[str, np.ndarray]:
    """Return the statistics of all pairs by a judge on a server."""
    metric = asked(spec, rubric, dimension, **settings).in_run(RunDir(run))
    return measured(metric, PAIRS)


# ---------------------------------------------------------------------------- a stand-in


@pytest.mark.parametrize("way", ["next_token", "prompt_logprobs", "echo"])
def test_a_judge_on_a_server_scores_as_the_judge_here(
    spec: ModelSpec, rubric: Rubric, tmp_path: Path, way: str
):
    """Every statistic; each prompt is read once where the next token is asked for.

    And nothing restricted what it might have said.
    """
    with running(Path(str(spec.weights))) as server:
        found = there(judged_by(spec, server, probabilities=way), rubric, tmp_path)
        seen = json.dumps(server.seen()["requests"])
        n_read = len(sent(server))
    here = measured(asked(spec, rubric, "harm"), PAIRS)

    for name, values in here.items():
        np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-5, err_msg=name)
    assert n_read == len(PAIRS) * (1 if way == "next_token" else 3)
    assert not [mask for mask in MASKS if mask in seen]
    assert 0 < found["mass"].max() < 1


@pytest.mark.parametrize("way", [None, "next_token", "prompt_logprobs", "echo"])
def test_a_judge_that_says_other_things_is_found(
    silent: ModelSpec, rubric: Rubric, tmp_path: Path, way: str | None
):
    """By transformers and by a server: three labels have their share of all tokens, not all."""
    n_tokens = len(AutoTokenizer.from_pretrained(silent.weights))
    if way is None:
        found = measured(asked(silent, rubric, "harm", min_mass=0.5), PAIRS)
    else:
        with running(Path(str(silent.weights))) as server:
            judge = judged_by(silent, server, probabilities=way)
            found = there(judge, rubric, tmp_path, min_mass=0.5)

    assert np.isnan(found["score"]).all()
    assert found["low_mass"].all()
    np.testing.assert_allclose(found["mass"], 3 / n_tokens, rtol=0.05)


def test_a_text_beyond_the_servers_window_is_missing_or_an_error(
    spec: ModelSpec, rubric: Rubric, tmp_path: Path
):
    """A server may take less than the model does."""
    with running(Path(str(spec.weights))) as server:
        judge = judged_by(spec, server, probabilities="echo")
        whole = there(judge, rubric, tmp_path)
        lengths = [len(ids) for ids in sent(server)]
        server.set_faults(max_model_len=max(lengths))
        CURRENT.close()

        found = there(judge, rubric, tmp_path)
        with pytest.raises(ModelError, match=r"expected at most \d{3}; use a judge with a longer"):
            there(judge, rubric, tmp_path, overlong="error")

    gone = found["too_long"].astype(bool)
    assert 0 < gone.sum() < len(PAIRS)
    assert np.isnan(found["score"][gone]).all()
    np.testing.assert_allclose(found["score"][~gone], whole["score"][~gone], atol=1e-6)


def sent(server: RunningServer) -> list[list[int]]:
    """Return the prompts that a stand-in was asked to look at."""
    found = []
    for request in server.seen()["requests"]:
        prompts = request.get("prompt") or []
        found += prompts if prompts and isinstance(prompts[0], list) else [prompts]
    return found


def test_a_server_of_the_tasks_own_that_dies_is_started_again(
    spec: ModelSpec, rubric: Rubric, tmp_path: Path
):
    """And where it dies too often, the judge is let go of with an error."""
    command = (
        "{python}", "-m", "tests.engines.stand_in", "--model", "{weights}", "--port", "{port}",
        "--served-name", "{served_name}", "--fault", "die_after=4",
    )  # fmt: skip
    environment = (("PYTHONPATH", str(ROOT)), ("STAND_IN_API_KEY", "{key}"))
    engine = EngineSpec(
        name="own", command=command, python=preloaded.python(), environment=environment,
        returns_tokens=True, probabilities="echo", max_in_flight=1, max_restarts=5,
    )  # fmt: skip
    mortal = replace(spec, engine=engine)
    here = measured(asked(spec, rubric, "harm"), PAIRS)

    found = there(mortal, rubric, tmp_path)
    CURRENT.close()
    weak = replace(mortal, engine=replace(engine, max_restarts=0))
    with pytest.raises(ModelError, match="the server died 1 time"):
        there(weak, rubric, tmp_path)

    np.testing.assert_allclose(found["score"], here["score"], rtol=0, atol=1e-5)
    assert CURRENT.backend is None


def test_what_a_judge_costs_is_in_the_budget_of_the_run(
    spec: ModelSpec, rubric: Rubric, tmp_path: Path
):
    """Of every label's prompt; and the limit ends the task."""
    with running(Path(str(spec.weights))) as server:
        paid = judged_by(
            spec, server, probabilities="echo", usd_per_million_prompt_tokens=1.0, max_usd=1.0
        )
        there(paid, rubric, tmp_path)
        n_tokens = sum(map(len, sent(server)))
        [kept] = (tmp_path / "budget").glob("*.json")
        assert json.loads(kept.read_text())["usd"] == pytest.approx(n_tokens / 1e6)
        CURRENT.close()

        poor = replace(paid, engine=replace(paid.engine, max_usd=n_tokens * 1.5e-6))
        with pytest.raises(ModelError, match="the budget is used up"):
            there(poor, rubric, tmp_path)


# ---------------------------------------------------------------------------- vLLM


CONFIG = """
name = "vllm"
[data.sources.sample]
[evaluate]
split = "all"
unit = "question"
limit = 3
[engines.vllm]
python = "@PYTHON@"
arguments = ["--enforce-eager"]
context = 2048
max_in_flight = 16
environment = { VLLM_CPU_KVCACHE_SPACE = "1", OMP_WAIT_POLICY = "PASSIVE" }
[models.therapist]
[models.echo]
prompts = ["none"]
[models.here]
weights = "@WEIGHTS@"
architecture = "decoder"
chat_template = true
prompts = []
[models.served]
weights = "@WEIGHTS@"
architecture = "decoder"
chat_template = true
engine = "vllm"
prompts = []
[metrics.length]
[judges.here]
model = "here"
rubrics = ["./care.toml"]
min_mass = @MASS@
[judges.served]
model = "served"
rubrics = ["./care.toml"]
min_mass = @MASS@
[local]
workers = 1
"""


WRITTEN = """
[judges.written]
model = "served"
rubrics = ["./care.toml"]
answer = "generated"
reason = true
answer_tokens = 48
"""


@pytest.fixture(scope="module")
def by_vllm(vllm_python: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], RunDir]:
    """Return what makes a run that vLLM has judged, once; planted: by a judge without answers."""

    @cache
    def swept(plant: bool) -> RunDir:
        folder = tmp_path_factory.mktemp("vllm")
        weights = locate(str(model_named("smollm2_135m_instruct").weights))
        if plant:
            quietened(weights, folder / "silent")
            weights = folder / "silent"
        text = CONFIG.replace("@PYTHON@", vllm_python).replace("@WEIGHTS@", str(weights))
        text = text.replace("@MASS@", "0.5" if plant else "0.0") + ("" if plant else WRITTEN)
        write_config(folder, text, "vllm.toml")
        (folder / "care.toml").write_text(CARE)
        done = launch("sweep", "--config", "vllm.toml", cwd=folder)
        assert done.returncode == 0, done.stderr
        return RunDir(folder / "runs" / "vllm")

    return swept


@pytest.mark.parametrize("plant", [False, True])
def test_vllm_judges_as_transformers_does_and_finds_a_judge_without_answers(
    by_vllm: Callable[[bool], RunDir], plant: bool
):
    """SmolLM2-135M in float32: expected value and mass to 1e-4; planted, both find low mass."""
    run = by_vllm(plant)
    plan, _ = last_plan(run)
    for dimension in ("warmth", "harm"):
        here, served_ = (
            judged_rows(run, plan, f"judge:{name}:care:{dimension}") for name in ("here", "served")
        )
        assert here.height == served_.height >= 6
        _alike(here, served_)
        if plant:
            assert served_["score"].null_count() == served_.height
            assert served_["mass"].max() < 0.01
        else:
            assert served_["score"].null_count() < served_.height
            assert served_["mass"].max() < 0.95


def test_guided_by_vllm_every_answer_is_a_rating_unless_it_is_cut(
    by_vllm: Callable[[bool], RunDir],
):
    """Of a model too small to keep to a form by itself."""
    run = by_vllm(False)
    plan, _ = last_plan(run)
    for dimension in ("warmth", "harm"):
        found = judged_rows(run, plan, f"generated:written:care:{dimension}")
        assert found.height >= 6
        assert found["unreadable"].to_list() == found["cut"].to_list()
        assert found["unreadable"].sum() < found.height
        assert found["tokens"].max() <= 48


def _alike(here: pl.DataFrame, served_: pl.DataFrame) -> None:
    for name in ("score", "pass", "win", "mass", "low_mass", "not_applicable"):
        ours, theirs = here[name].to_numpy(), served_[name].to_numpy()
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-4, err_msg=name)
