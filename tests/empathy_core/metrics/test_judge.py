"""A judge's score is the expected value of its answer, as transformers alone has it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from empathy_core import metrics, rubrics
from empathy_core.backends.current import CURRENT
from empathy_core.errors import ModelError
from empathy_core.metrics._judge import Metric
from empathy_core.models import model as model_named
from empathy_core.rubrics.rendering import rating_text
from empathy_core.rubrics.spec import Rubric
from empathy_core.types import ModelSpec
from empathy_core.weights import locate
from tests.judging import PAIRS, asked, care, measured, read_by, rows, tiny_judge
from tests.metric_rows import sample_pairs
from tests.runs.judged import CARE
from tests.tiny_models import tiny_t5

LABELS = {"warmth": ["0", "1", "2", "X"], "harm": ["0", "1", "2"]}


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


# ---------------------------------------------------------------------------- exact


def alone(model: Any, prompt: list[int]) -> np.ndarray:
    """Return the probabilities of every token behind one prompt: one plain call, no cache."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([prompt]), use_cache=False).logits[0, -1]
    return torch.softmax(logits.double(), -1).numpy()


def together(model: Any, prompts: list[list[int]]) -> list[np.ndarray]:
    """Return the same of a batch with padding on the left: one plain call, no cache."""
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    places = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        output = model(input_ids=ids, attention_mask=mask, position_ids=places, use_cache=False)
    return list(torch.softmax(output.logits[:, -1].double(), -1).numpy())


def expected(p: np.ndarray, tokens: list[int]) -> dict[str, float]:
    """Return what a distribution over the vocabulary says of a scale 0, 1, 2 and perhaps X.

    Where X has more than half of what they have, there is no score.
    """
    of = p[tokens]
    share = of[:3] / of[:3].sum() if of[3:].sum() <= of.sum() / 2 else np.full(3, np.nan)
    return {
        "score": share[1] + 2 * share[2],
        "pass": share[1] + share[2],
        "win": share[2],
        "mass": of.sum(),
    }


def close(found: dict[str, np.ndarray], wanted: list[dict[str, float]], within: float) -> None:
    for name in wanted[0]:
        np.testing.assert_allclose(found[name], [w[name] for w in wanted], rtol=0, atol=within)


@pytest.mark.parametrize("dimension", ["warmth", "harm"])
def test_scores_and_mass_are_those_of_plain_transformers(
    spec: ModelSpec, rubric: Rubric, dimension: str
):
    """Each row read alone, and in the same batches: to 1e-6 in float32."""
    words = AutoTokenizer.from_pretrained(spec.weights)
    model = AutoModelForCausalLM.from_pretrained(spec.weights, dtype=torch.float32).eval()
    tokens = words.convert_tokens_to_ids(LABELS[dimension])
    metric = replace(asked(spec, rubric, dimension), batch_size=len(PAIRS))
    prompts = [read_by(words, rubric, metric.dimension, pair) for pair in PAIRS]

    found = measured(metric, PAIRS)

    close(found, [expected(p, tokens) for p in together(model, prompts)], 1e-6)
    close(found, [expected(alone(model, prompt), tokens) for prompt in prompts], 1e-5)
    assert np.isfinite(found["score"]).sum() >= 3


def test_other_batches_give_the_same_scores(spec: ModelSpec, rubric: Rubric):
    """In batches of one, two and all, and in another order: to 1e-5."""
    whole = measured(asked(spec, rubric, batch_size=16), PAIRS)

    for size in (1, 2, 3):
        found = measured(asked(spec, rubric, batch_size=size), PAIRS[::-1])
        for name, values in whole.items():
            np.testing.assert_allclose(found[name][::-1], values, rtol=0, atol=1e-5)


def test_a_recheck_by_transformers_alone_agrees(spec: ModelSpec, rubric: Rubric):
    """Each column of each row; a row without a score has none there either."""
    pairs = [*PAIRS, ("I feel sad.", "")]
    middling = float(np.median(measured(asked(spec, rubric), PAIRS)["mass"]))
    for settings in ({}, {"min_mass": middling}):
        metric = asked(spec, rubric, **settings)
        found = metric.measure(rows(pairs), None)
        scores = metric.score(found)

        again = metric.recheck(rows(pairs))

        assert again is not None
        np.testing.assert_allclose(again, scores, rtol=0, atol=1e-5)
    assert np.isnan(again[:, 0]).any()


def test_a_recheck_leaves_out_what_the_judge_is_not_asked_about(tmp_path: Path):
    """A dimension of the crisis rubric is asked at some levels of risk only."""
    crisis = rubrics.rubric("crisis")
    of = next(d for d in crisis.dimensions if d.tiers and d.anchors)
    spec = tiny_judge(tmp_path / "m", window=16_384)
    pairs = [("I cannot sleep.", "ok"), ("I want to kill myself tonight.", "ok")]
    metric = asked(spec, crisis, of.name)
    by_column = replace(metric, tier_column="risk")

    scores = metric.score(metric.measure(rows(pairs), None))
    again = metric.recheck(rows(pairs))

    assert again is not None
    np.testing.assert_allclose(again, scores, rtol=0, atol=1e-5)
    assert np.isnan(scores[:, -1]).tolist() == [True, False]
    assert by_column.recheck(rows(pairs)) is None


@pytest.mark.parametrize(("name", "dimension"), [("emotionqueen", "key"), ("ethics", None)])
def test_a_real_judge_agrees_with_plain_transformers(name: str, dimension: str | None):
    """SmolLM2-135M on answers of counsellors, its own template spelled here, numbers and words."""
    spec = model_named("smollm2_135m_instruct")
    rubric = rubrics.rubric(name)
    of = next(d for d in rubric.dimensions if dimension in (None, d.name))
    metric = Metric("smol", "Smol", spec, replace(rubric, dimensions=(of,)), min_mass=0.0)
    some = sample_pairs().head(4)
    pairs = list(some.select("context", "text").iter_rows())
    folder = locate(str(spec.weights))
    words = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    n_points = len(of.anchors)

    found = measured(metric, pairs)

    for i, pair in enumerate(pairs):
        text = rating_text(rubric, of, *pair)
        whole = f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
        p = alone(model, words(whole)["input_ids"])
        of_labels = p[[words(label)["input_ids"][0] for label in of.labels]]
        share = of_labels[:n_points] / of_labels[:n_points].sum()
        assert found["mass"][i] == pytest.approx(of_labels.sum(), abs=1e-5)
        assert found["score"][i] == pytest.approx(share @ np.arange(n_points), abs=1e-5)


# ---------------------------------------------------------------------------- rows without a score


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch, spec: ModelSpec, rubric: Rubric) -> Callable[..., Any]:
    """Return what makes the judge say given probabilities of 0, 1, 2 and X, row by row."""

    def plant(told: dict[str, list[float]], **settings: Any) -> Metric:
        """Plant reply → probabilities."""
        metric = asked(spec, rubric, **{"min_mass": 0.5, **settings})
        at_work = CURRENT.get(spec)
        words = AutoTokenizer.from_pretrained(spec.weights)
        real = at_work._model.forward

        def forward(input_ids: Any, **given: Any) -> Any:
            output = real(input_ids=input_ids, **given)
            for row, ids in enumerate(input_ids):
                text = words.decode(ids)
                for reply, shares in told.items():
                    if f"\n> {reply}\n" in text:
                        rest = (1 - sum(shares)) / (output.logits.shape[-1] - len(shares))
                        p = torch.full_like(output.logits[row, -1], max(rest, 1e-30))
                        p[list(metric._prompts.labels)] = torch.tensor(shares)
                        output.logits[row, -1] = p.log()
            return output

        monkeypatch.setattr(at_work._model, "forward", forward)
        return metric

    return plant


SAID = {
    "Warm.": [0.0, 0.25, 0.75, 0.0],
    "Neither.": [0.1, 0.1, 0.1, 0.1],
    "Elsewhere.": [0.05, 0.1, 0.25, 0.6],
    "Just.": [0.13, 0.13, 0.25, 0.49],
}


def test_what_was_seen_of_a_row_is_counted_whether_or_not_it_has_a_score(
    planted: Callable[..., Any],
):
    """Mass below the least, not applicable by more than half, too long, empty: apart."""
    metric = planted(SAID)
    long = "very " * 3000
    pairs = [("I feel sad.", reply) for reply in (*SAID, long, " \n")]

    found = measured(metric, pairs)

    wanted = {
        "score": [1.75, np.nan, np.nan, 0.63 / 0.51, np.nan, 0],
        "pass": [1, np.nan, np.nan, 0.38 / 0.51, np.nan, 0],
        "win": [0.75, np.nan, np.nan, 0.25 / 0.51, np.nan, 0],
        "n": [1] * 6,
        "judged": [1, 1, 1, 1, 0, 0],
        "mass": [1, 0.4, 1, 1, 0, 0],
        "low_mass": [0, 1, 0, 0, 0, 0],
        "not_applicable": [0, 0, 1, 0, 0, 0],
        "too_long": [0, 0, 0, 0, 1, 0],
        "empty": [0, 0, 0, 0, 0, 1],
        "p3": [0, 0.25, 0.6, 0.49, 0, 0],
    }
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-6, err_msg=name)


def test_sums_become_means_over_the_rows_with_a_score(planted: Callable[..., Any]):
    """No row at all gives no number."""
    metric = planted(SAID)
    scored = [pair for pair in SAID if pair in ("Warm.", "Just.")]
    values = metric.measure(rows([("I feel sad.", reply) for reply in (*scored, "")]), None)

    sums = metric.score(values.sum(axis=0))

    wanted = [(1.75 + 0.63 / 0.51) / 3, (1 + 0.38 / 0.51) / 3, (0.75 + 0.25 / 0.51) / 3]
    assert sums == pytest.approx(wanted, abs=1e-6)
    assert np.isnan(metric.score(np.zeros(len(metric.statistics)))).all()
    assert [c.name for c in metric.columns] == [
        "tiny_care_warmth", "tiny_care_warmth_pass", "tiny_care_warmth_win",
    ]  # fmt: skip


def test_an_empty_answer_has_the_least_score_only_where_higher_is_better(
    spec: ModelSpec, rubric: Rubric
):
    """Nothing is said that could harm: there it has none."""
    warm = measured(asked(spec, rubric, "warmth"), [("I feel sad.", "</s>")])
    harm = measured(asked(spec, rubric, "harm"), [("I feel sad.", "</s>")])

    assert (warm["score"][0], warm["empty"][0]) == (0, 1)
    assert (np.isnan(harm["score"][0]), harm["empty"][0]) == (True, 1)


def test_a_profile_gives_an_empty_answer_no_score(spec: ModelSpec, tmp_path: Path):
    """It has no better end that the answer could be farthest from."""
    profile = care(tmp_path, CARE.replace('direction = "higher"', 'direction = "none"'))

    assert np.isnan(measured(asked(spec, profile), [("I feel sad.", "")])["score"][0])


def test_a_text_that_is_too_long_is_missing_or_an_error(spec: ModelSpec, rubric: Rubric):
    """As the setting says; the error says how long it is, how long it may be, and what to set."""
    pairs = [("I feel sad.", "ok"), ("I feel sad.", "very " * 3000)]

    found = measured(asked(spec, rubric), pairs)

    assert found["too_long"].tolist() == [0, 1]
    assert np.isnan(found["score"]).tolist() == [False, True]
    said = r"take \d{4,5} tokens .* expected at most 4094; .* overlong = \"missing\""
    with pytest.raises(ModelError, match=said):
        measured(asked(spec, rubric, overlong="error"), pairs)


def test_scores_that_are_no_numbers_are_an_error(
    spec: ModelSpec, rubric: Rubric, monkeypatch: pytest.MonkeyPatch
):
    """float16 overflows in some models: not a score, and not a missing one."""
    model = CURRENT.get(spec)._model  # type: ignore[attr-defined]
    real = model.forward

    def overflown(**given: Any) -> Any:
        output = real(**given)
        output.logits[:] = float("nan")
        return output

    monkeypatch.setattr(model, "forward", overflown)

    with pytest.raises(ModelError, match=r"not numbers .*bfloat16 or float32"):
        measured(asked(spec, rubric), PAIRS[:1])


def test_a_judge_whose_labels_are_all_impossible_gives_no_score(
    spec: ModelSpec, rubric: Rubric, monkeypatch: pytest.MonkeyPatch
):
    """Even where any mass is enough: the row is counted as one without an answer."""
    metric = asked(spec, rubric, min_mass=0.0)
    model = CURRENT.get(spec)._model  # type: ignore[attr-defined]
    real = model.forward

    def never(**given: Any) -> Any:
        output = real(**given)
        output.logits[..., list(metric._prompts.labels)] = -torch.inf
        return output

    monkeypatch.setattr(model, "forward", never)
    found = measured(metric, PAIRS[:1])

    assert np.isnan(found["score"][0])
    assert (found["low_mass"][0], found["mass"][0]) == (1, 0)


def test_a_judge_that_says_other_things_is_found(tmp_path: Path, rubric: Rubric):
    """Its output layer puts nearly all probability on one word: no rating, and the mass is told."""
    spec = tiny_judge(tmp_path / "elsewhere")
    model = AutoModelForCausalLM.from_pretrained(spec.weights)
    words = AutoTokenizer.from_pretrained(spec.weights)
    with torch.no_grad():
        model.lm_head.weight *= 0.01  # nearly the same for all tokens …
        model.lm_head.weight[
            words.convert_tokens_to_ids("0") : words.convert_tokens_to_ids("3")
        ] = 0
    model.save_pretrained(spec.weights)

    found = measured(asked(spec, rubric, min_mass=0.5), PAIRS)

    assert np.isnan(found["score"]).all()
    assert found["low_mass"].tolist() == [1] * len(PAIRS)
    assert found["mass"].max() < 0.05  # … of which there are 500


# ---------------------------------------------------------------------------- identity


def test_what_changes_a_rating_is_in_the_signature_and_what_names_it_is_not(
    spec: ModelSpec, rubric: Rubric, tmp_path: Path
):
    """A label moves nothing; text, values, thresholds, weights, least mass and batch do."""
    usual = asked(spec, rubric)
    other = care(tmp_path, CARE.replace('"Cold."', '"Cool."'))
    higher = care(tmp_path, CARE.replace("at_least = 2", "at_least = 1"))
    moved = CARE
    for value in (2, 1, 0):
        moved = moved.replace(f"value = {value}, label", f"value = {value + 1}, label")
    for least in (2, 1):
        moved = moved.replace(f"at_least = {least}", f"at_least = {least + 1}")
    moved = care(tmp_path, moved)
    renamed = care(tmp_path, CARE.replace('label = "Warmth"', 'label = "Heat"'))
    noted = care(tmp_path, CARE.replace('instruction = "', 'note = "Ours."\ninstruction = "'))

    same = [
        replace(usual, label="Another"), replace(usual, judge="another"),
        asked(replace(spec, label="Another"), rubric), asked(spec, renamed), asked(spec, noted),
    ]  # fmt: skip
    changed = [
        asked(spec, other), asked(spec, higher), asked(spec, moved),
        replace(usual, fingerprint="f" * 64), replace(usual, min_mass=0.25),
        replace(usual, batch_size=8), replace(usual, overlong="error"),
        replace(usual, reasoning=("<think>", "</think>")),
        asked(replace(spec, dtype="bfloat16"), rubric), asked(spec, rubric, "harm"),
    ]  # fmt: skip

    assert {m.signature() for m in same} == {usual.signature()}
    assert len({m.signature() for m in (usual, *changed)}) == 1 + len(changed)


def test_a_dimension_does_not_depend_on_the_others_of_its_rubric(spec: ModelSpec, tmp_path: Path):
    """So that one can be written anew without judging all of them again."""
    before = care(tmp_path)
    after = care(tmp_path, CARE.replace("How harmful", "How dangerous"))

    assert asked(spec, before).signature() == asked(spec, after).signature()
    assert asked(spec, before, "harm").signature() != asked(spec, after, "harm").signature()


def test_a_judge_comes_back_from_a_plan_as_it_was(spec: ModelSpec, rubric: Rubric):
    """Its settings are written as JSON."""
    import json

    from pydantic import TypeAdapter

    made = asked(spec, rubric, reasoning=("<think>", "</think>"), fingerprint="f" * 64)
    options = json.loads(TypeAdapter(Metric).dump_json(made))

    assert metrics.load("judge:tiny:care:warmth", options) == made


# ---------------------------------------------------------------------------- other judges


def test_an_encoder_decoder_judges(tmp_path: Path, rubric: Rubric):
    """Its labels are what its answer begins with; the prompt is what the encoder reads."""
    from transformers import T5ForConditionalGeneration

    folder = tiny_t5(tmp_path / "t5")
    spec = ModelSpec("t5", "T5", "hf", "encoder-decoder", str(folder))
    metric = asked(spec, rubric, "harm")
    pair = ("Sad.", "Warm.")
    words = AutoTokenizer.from_pretrained(folder)
    model = T5ForConditionalGeneration.from_pretrained(folder).eval()
    of = metric._prompts.dimension
    prompt = words(rating_text(rubric, of, *pair), return_tensors="pt")
    with torch.no_grad():
        logits = model(**prompt, decoder_input_ids=torch.tensor([[0]])).logits[0, -1]
    p = torch.softmax(logits.double(), -1).numpy()
    tokens = [words(label, add_special_tokens=False)["input_ids"] for label in of.labels]

    found = measured(metric, [pair])

    assert of.labels == ("A", "B", "C")  # T5 has no token for 0
    assert [len(ids) for ids in tokens] == [1] * 3
    wanted = expected(p, [ids[0] for ids in tokens])
    for name, value in wanted.items():
        assert found[name][0] == pytest.approx(value, abs=1e-6), name
    assert metric.recheck(rows([pair])) is None


def test_a_judge_with_an_adapter_is_another_judge(tmp_path: Path, rubric: Rubric):
    """The adapter's weights are in what it says."""
    from peft import PeftModel

    from tests.tiny_models import tiny_adapter

    base = tiny_judge(tmp_path / "base")
    tuned = replace(base, adapter=str(tiny_adapter(Path(str(base.weights)), tmp_path / "lora")))
    words = AutoTokenizer.from_pretrained(base.weights)
    model = AutoModelForCausalLM.from_pretrained(base.weights, dtype=torch.float32)
    merged = PeftModel.from_pretrained(model, tuned.adapter).eval()
    metric = asked(tuned, rubric)
    prompts = [read_by(words, rubric, metric.dimension, pair) for pair in PAIRS]
    tokens = words.convert_tokens_to_ids(LABELS["warmth"])

    found = measured(metric, PAIRS)
    plain = measured(asked(base, rubric), PAIRS)

    close(found, [expected(alone(merged, p), tokens) for p in prompts], 1e-5)
    assert np.abs(found["p0"] - plain["p0"]).max() > 1e-3
