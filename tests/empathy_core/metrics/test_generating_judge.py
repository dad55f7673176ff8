"""A judge that writes its answer: what it reads, what is made of its text, and what it costs."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter
from transformers import AutoModelForCausalLM, AutoTokenizer

from empathy_core import metrics
from empathy_core.backends.current import CURRENT
from empathy_core.errors import ModelError
from empathy_core.metrics._generating_judge import Metric as Writes
from empathy_core.rubrics.rendering import rating_text
from empathy_core.rubrics.spec import Rubric
from empathy_core.types import EngineSpec, ModelSpec
from tests.judging import (
    PAIRS,
    RATED,
    WRITTEN,
    WRITTEN_PAIRS,
    asked,
    care,
    measured,
    rows,
    tiny_judge,
    writing,
)
from tests.runs.judged import CARE


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    """A judge of random weights."""
    return tiny_judge(tmp_path_factory.mktemp("judge") / "tiny")


@pytest.fixture(scope="module")
def rubric(tmp_path_factory: pytest.TempPathFactory) -> Rubric:
    """A short rubric."""
    return care(tmp_path_factory.mktemp("rubric"))


@pytest.fixture(autouse=True)
def forget() -> Any:
    """Let go of the judge of each test, since the next has other weights under the same name."""
    yield
    CURRENT.close()


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch, spec: ModelSpec) -> Callable[..., Any]:
    """Return what makes the model write given texts, by the reply that it reads."""
    words = AutoTokenizer.from_pretrained(spec.weights)

    def plant(said: dict[str, str]) -> list[int]:
        """Plant reply → text; return the sizes of the batches that will be asked."""
        sizes: list[int] = []

        def new_tokens(rules: Any, batch: Sequence[Any]) -> list[list[int]]:
            sizes.append(len(batch))
            found = []
            for row in batch:
                read = words.decode(row.prompt.ids)
                text = next((t for reply, t in said.items() if f"\n> {reply}\n" in read), "")
                ids = [*words(text, add_special_tokens=False)["input_ids"], rules.ends[0]]
                found.append(ids[: rules.decoding.max_new_tokens])
            return found

        monkeypatch.setattr(CURRENT.get(spec), "_new_tokens", new_tokens)
        return sizes

    return plant


# ---------------------------------------------------------------------------- what is made of it


def test_a_text_is_one_rating_or_missing_and_counted(
    planted: Callable[..., Any], spec: ModelSpec, rubric: Rubric
):
    """Prose around it, out of range, two scores, nothing, cut short: no number for any of them."""
    planted(WRITTEN)

    found = measured(writing(spec, rubric, answer_tokens=64), WRITTEN_PAIRS)

    for name, values in RATED.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    assert found["tokens"][-1] == 64
    assert "mass" not in found


def test_what_is_not_shown_to_a_judge_is_as_with_any_other(
    planted: Callable[..., Any], spec: ModelSpec, rubric: Rubric
):
    """An empty reply has the least score where higher is better; one that does not fit, none."""
    planted(WRITTEN)
    pairs = [("Sad.", " \n"), ("Sad.", "very " * 3000), ("Sad.", "Warm.")]

    found = measured(writing(spec, rubric), pairs)

    assert found["score"][[0, 2]].tolist() == [0, 2]
    assert np.isnan(found["score"][1])
    assert found["empty"].tolist() == [1, 0, 0]
    assert found["too_long"].tolist() == [0, 1, 0]
    with pytest.raises(ModelError, match=r"overlong = \"missing\""):
        measured(writing(spec, rubric, overlong="error"), pairs)


def test_a_reason_is_asked_for_and_must_be_given(
    planted: Callable[..., Any], spec: ModelSpec, rubric: Rubric
):
    """And may be as long as there is room for it."""
    planted({"Warm.": '{"reason": "It is kind.", "answer": "2"}', "Cold.": '{"answer": "0"}'})

    found = measured(writing(spec, rubric, reason=True), [("Sad.", "Warm."), ("Sad.", "Cold.")])

    assert found["score"][0] == 2
    assert found["unreadable"].tolist() == [0, 1]
    assert [writing(spec, rubric, reason=r).most_tokens for r in (False, True)] == [32, 160]


def test_answers_come_in_batches_of_like_length(
    planted: Callable[..., Any], spec: ModelSpec, rubric: Rubric
):
    """As many at once as the configuration says."""
    sizes = planted(WRITTEN)

    measured(writing(spec, rubric, batch_size=4, answer_tokens=64), WRITTEN_PAIRS)

    assert sizes == [4, 4, 1]


def test_sums_become_means_over_the_rows_with_a_score(
    planted: Callable[..., Any], spec: ModelSpec, rubric: Rubric
):
    """As for any judge; the heading says how this one answers."""
    planted(WRITTEN)
    metric = writing(spec, rubric, answer_tokens=64)
    values = metric.measure(rows(WRITTEN_PAIRS), None)

    scores = metric.score(values[~np.isnan(values).any(axis=1)].sum(axis=0))

    assert scores.tolist() == [1.5, 1, 0.5]
    assert metric.columns[0].group == "Care, uncalibrated (judge: Tiny (written))"
    assert [c.name for c in metric.columns] == [
        "tiny_care_warmth", "tiny_care_warmth_pass", "tiny_care_warmth_win",
    ]  # fmt: skip


# ---------------------------------------------------------------------------- what it reads


def test_a_random_model_writes_what_transformers_generates(spec: ModelSpec, rubric: Rubric):
    """Its text is no rating; its length is that of a plain greedy call, template spelled here."""
    metric = writing(spec, rubric, answer_tokens=12)
    words = AutoTokenizer.from_pretrained(spec.weights)
    model = AutoModelForCausalLM.from_pretrained(spec.weights).eval()

    found = measured(metric, PAIRS[:3])

    for i, pair in enumerate(PAIRS[:3]):
        text = rating_text(rubric, rubric.dimensions[0], *pair, request=metric._request)
        whole = f"<|start|>user<|stop|>{text}<|eot|><|start|>assistant<|stop|>"
        prompt = words(whole, add_special_tokens=False, return_tensors="pt")
        ends = words.convert_tokens_to_ids(["</s>", "<|eot|>"])
        made = model.generate(**prompt, max_new_tokens=12, do_sample=False, eos_token_id=ends)
        assert found["tokens"][i] == made.shape[1] - prompt["input_ids"].shape[1]
    assert found["unreadable"].tolist() == [1, 1, 1]


def test_both_judges_read_the_same_but_for_the_end(spec: ModelSpec, rubric: Rubric):
    """Labels and anchors are the rubric's, whatever tokens they are; the message is quoted."""
    labels, text = (m.sees("Sad.", "Warm.") for m in (asked(spec, rubric), writing(spec, rubric)))
    shared, _, rest = labels.partition("Answer with one of these")

    assert text.startswith(shared)
    assert "> Warm.\n\nThe quoted reply ends here." in shared
    assert '{"answer": "..."}' in text
    assert '{"answer": "..."}' not in labels
    assert rest.split("\n")[0] in text


def test_a_label_need_not_be_a_token(spec: ModelSpec, tmp_path: Path):
    """It is written out, so that no letters stand in for it."""
    wordy = care(tmp_path, CARE.replace('label = "0"', 'label = "not at all"'))

    text = writing(spec, wordy).sees("Sad.", "Warm.")

    assert "\nnot at all: Cold." in text
    assert "one of these and nothing else: not at all, 1, 2, X" in text


def test_a_rubric_without_room_is_refused(rubric: Rubric, tmp_path: Path):
    """Before anything is asked: the answer needs its tokens as well."""
    spec = tiny_judge(tmp_path / "small", window=700)
    need = len(AutoTokenizer.from_pretrained(spec.weights)(writing(spec, rubric).sees("", ""))[0])
    fits, over = 700 - need - 1, 700 - need + 2

    writing(spec, rubric, answer_tokens=fits).sees("", "")
    with pytest.raises(ModelError, match=r"rubric 'care', dimension 'warmth', takes \d+ tokens"):
        writing(spec, rubric, answer_tokens=over).sees("", "")


# ---------------------------------------------------------------------------- identity


def test_what_changes_a_rating_is_in_the_signature(spec: ModelSpec, rubric: Rubric):
    """The way to answer above all: no column mixes the two."""
    usual = writing(spec, rubric)
    engine = EngineSpec(name="e", base_url="http://127.0.0.1:9/v1")
    free = replace(usual, model=replace(spec, engine=engine))
    guided = replace(usual, model=replace(spec, engine=replace(engine, guided="json_schema")))
    changed = [
        asked(spec, rubric), replace(usual, reason=True), replace(usual, answer_tokens=33),
        replace(usual, batch_size=8), replace(usual, structure=(("stop_strings", '["x"]'),)),
        writing(spec, rubric, "harm"), free, guided,
    ]  # fmt: skip

    assert len({m.signature() for m in (usual, *changed)}) == 1 + len(changed)
    assert replace(usual, label="Another").signature() == usual.signature()
    assert "score:written" in usual.signature()
    assert "min_mass" not in usual.signature()


def test_a_judge_comes_back_from_a_plan_as_it_was(spec: ModelSpec, rubric: Rubric):
    """Its settings are written as JSON."""
    made = writing(spec, rubric, reason=True, structure=(("stop_strings", '["x"]'),))
    options = json.loads(TypeAdapter(Writes).dump_json(made))

    assert metrics.load("generated:tiny:care:warmth", options) == made
