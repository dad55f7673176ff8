"""A preference is made of two plain readings of the same two replies, one in each order."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from empathy_core import rubrics
from empathy_core.backends.current import CURRENT
from empathy_core.errors import ModelError
from empathy_core.metrics._preference import Metric
from empathy_core.rubrics.rendering import rating_text
from empathy_core.types import ModelSpec
from tests.judging import PAIRS, rows, tiny_judge

EMRANK = rubrics.rubric("emrank")
OTHERS = (
    "Breathe.",
    "I am so sorry. That must hurt.",
    "ok",
    "Sleep more.",
    "No.",
    "Talk to me.",
    "-",
)
"""The baseline's answers to the messages of ``PAIRS``."""


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    """A judge of random weights."""
    return tiny_judge(tmp_path_factory.mktemp("judge") / "tiny")


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Let go of the judge of each test, since the next has other weights under the same name."""
    yield
    CURRENT.close()


def comparing(model: ModelSpec, **settings: Any) -> Metric:
    """Return the metric of the one question; everything counts, however little mass it has."""
    usual: dict[str, Any] = {"min_mass": 0.0, "opponent": "base", "baseline": "base", **settings}
    return Metric("tiny", "Tiny", model, EMRANK, **usual)


def beside(
    others: Sequence[str | None], pairs: Sequence[tuple[str, str]] = PAIRS, condition: str = "mine"
) -> pl.DataFrame:
    """Return rows of messages and replies, and the baseline's reply to each."""
    given = pl.Series(others, dtype=pl.String)
    return rows(pairs).with_columns(opponent=given, condition=pl.lit(condition))


def statistics(metric: Metric, frame: pl.DataFrame) -> dict[str, np.ndarray]:
    """Return statistic → its value in each row."""
    return dict(zip(metric.statistics, metric.measure(frame, None).T, strict=True))


# ---------------------------------------------------------------------------- exact


def plain(folder: str) -> Callable[[str, str, str], tuple[float, float]]:
    """Return P(A of A and B) and their mass by one call of transformers, the template spelled."""
    words = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    a, b = words.convert_tokens_to_ids(["A", "B"])

    def read(context: str, first: str, second: str) -> tuple[float, float]:
        text = rating_text(EMRANK, EMRANK.dimensions[0], context, first, second)
        whole = f"<|start|>user<|stop|>{text}<|eot|><|start|>assistant<|stop|>"
        ids = torch.tensor([words(whole, add_special_tokens=False)["input_ids"]])
        with torch.no_grad():
            p = model(input_ids=ids, use_cache=False).logits[0, -1].double().softmax(-1)
        return float(p[a] / (p[a] + p[b])), float(p[a] + p[b])

    return read


def test_a_preference_is_that_of_two_plain_readings_of_transformers(spec: ModelSpec):
    """(a + 1 - b) / 2; what was seen of both orders stands beside it; in batches of any size."""
    read = plain(str(spec.weights))
    wanted: dict[str, list[float]] = {}
    for (context, answer), other in zip(PAIRS, OTHERS, strict=True):
        (a, mass_a), (b, mass_b) = read(context, answer, other), read(context, other, answer)
        row = {
            "preference": (a + 1 - b) / 2, "first": (a + b) / 2, "mass": (mass_a + mass_b) / 2,
            "consistent": float((a > 0.5) != (b > 0.5)), "p_first_as_a": a, "p_first_as_b": b,
            "longer": len(answer) - len(other), "judged": 1, "n": 1, "alone": 0, "empty": 0,
        }  # fmt: skip
        for name, value in row.items():
            wanted.setdefault(name, []).append(value)

    for size in (1, 3, 16):
        found = statistics(comparing(spec, batch_size=size), beside(OTHERS))
        for name, values in wanted.items():
            np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-5, err_msg=name)


def test_the_two_replies_stand_at_their_places_in_what_is_read():
    """The answer's text is the one called A in the first order."""
    text = rating_text(EMRANK, EMRANK.dimensions[0], "Sad.", "Mine.", "Theirs.")

    assert "Reply A:\n> Mine.\n\nReply B:\n> Theirs.\n" in text
    assert text.endswith("Answer with one of these and nothing else: A, B\nAnswer:")
    assert "two replies" in text


def test_whoever_is_scored_and_whoever_is_the_baseline_preferences_add_up_to_one(spec: ModelSpec):
    """Both orders are asked, so that a place favours nobody."""
    one = statistics(comparing(spec), beside(OTHERS))
    swapped = [(context, other) for (context, _), other in zip(PAIRS, OTHERS, strict=True)]
    other = statistics(comparing(spec), beside([answer for _, answer in PAIRS], swapped))

    np.testing.assert_allclose(one["preference"] + other["preference"], 1, rtol=0, atol=1e-5)
    assert np.ptp(one["preference"]) > 1e-4


# ---------------------------------------------------------------------------- nothing to ask


def test_what_no_judge_must_see_is_told_without_one(tmp_path: Path):
    """Equal texts, empty answers, a baseline without an answer: no weights are read for these."""
    nowhere = ModelSpec("none", "None", "hf", "decoder", str(tmp_path / "nowhere"))
    pairs = [("Sad.", text) for text in ("Same.", "", "Warm.", " \n", "Warm.")]

    found = statistics(comparing(nowhere), beside(["Same.", "Kind.", " ", "", None], pairs))

    np.testing.assert_array_equal(found["preference"], [0.5, 0, 1, 0.5, np.nan])
    assert found["empty"].tolist() == [0, 1, 1, 0, 0]
    assert found["alone"].tolist() == [0, 0, 0, 0, 1]
    assert found["judged"].tolist() == found["left_out"].tolist() == [0] * 5
    assert found["n"].tolist() == [1] * 5


def test_the_baseline_beside_itself_is_one_half(tmp_path: Path):
    """Every row of it, whatever the judge would say."""
    nowhere = ModelSpec("none", "None", "hf", "decoder", str(tmp_path / "nowhere"))
    metric = comparing(nowhere)

    values = metric.measure(beside([answer for _, answer in PAIRS], condition="base"), None)

    assert values[:, 0].tolist() == [0.5] * len(PAIRS)
    assert metric.score(values.sum(axis=0))[0] == 0.5


def test_a_text_that_is_too_long_is_missing_or_an_error(spec: ModelSpec):
    """Whichever of the two replies it is; then neither order is read."""
    long = "very " * 3000
    pairs = [("Sad.", "ok"), ("Sad.", long), ("Sad.", "ok")]
    frame = beside(["Warm.", "Warm.", long], pairs)

    found = statistics(comparing(spec), frame)

    assert found["too_long"].tolist() == [0, 1, 1]
    assert found["judged"].tolist() == [1, 0, 0]
    assert np.isnan(found["preference"]).tolist() == [False, True, True]
    with pytest.raises(ModelError, match=r"dimension 'empathy'; expected at most 4094"):
        statistics(comparing(spec, overlong="error"), frame)


# ---------------------------------------------------------------------------- planted judges

Says = Callable[[str, str], tuple[float, float]]
"""First and second reply → the probabilities of A and of B."""


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch, spec: ModelSpec) -> Callable[[Says], None]:
    """Return what makes the judge say something of the two replies that it reads."""

    def plant(says: Says) -> None:
        at_work, words = CURRENT.get(spec), AutoTokenizer.from_pretrained(spec.weights)
        tokens = words.convert_tokens_to_ids(["A", "B"])
        real = at_work._model.forward  # type: ignore[attr-defined]

        def forward(input_ids: Any, **given: Any) -> Any:
            output = real(input_ids=input_ids, **given)
            for row, ids in enumerate(input_ids):
                _, _, replies = words.decode(ids).rpartition("Reply A:\n> ")
                first, _, rest = replies.partition("\n\nReply B:\n> ")
                shares = torch.tensor(says(first, rest.partition("\n\n")[0]))
                left = (1 - shares.sum()) / (output.logits.shape[-1] - 2)
                p = torch.full_like(output.logits[row, -1], float(left))
                p[tokens] = shares
                output.logits[row, -1] = p.log()
            return output

        monkeypatch.setattr(at_work._model, "forward", forward)  # type: ignore[attr-defined]

    return plant


def test_a_judge_that_prefers_the_first_prefers_nobody(
    spec: ModelSpec, planted: Callable[[Says], None]
):
    """Its preference is one half, its rate of the first place what it is, and no order agrees."""
    planted(lambda first, second: (0.9, 0.1))
    metric = comparing(spec)

    found = statistics(metric, beside(OTHERS))
    preferred, first, consistent = metric.score(metric.measure(beside(OTHERS), None).sum(axis=0))

    np.testing.assert_allclose(found["preference"], 0.5, rtol=0, atol=1e-6)
    assert (preferred, first, consistent) == pytest.approx((0.5, 0.9, 0.0), abs=1e-6)


def test_a_judge_that_prefers_the_longer_prefers_it_in_either_order(
    spec: ModelSpec, planted: Callable[[Says], None]
):
    """Against that of the test: in both orders, whoever is longer."""
    planted(lambda first, second: (0.8, 0.2) if len(first) > len(second) else (0.2, 0.8))
    pairs = [("Sad.", "A long answer that goes on."), ("Sad.", "Short.")]

    found = statistics(comparing(spec), beside(["Brief.", "A very long other answer."], pairs))

    np.testing.assert_allclose(found["preference"], [0.8, 0.2], rtol=0, atol=1e-6)
    np.testing.assert_allclose(found["first"], 0.5, rtol=0, atol=1e-6)
    assert found["consistent"].tolist() == [1, 1]


def test_too_little_mass_in_either_order_leaves_the_pair_without_a_preference(
    spec: ModelSpec, planted: Callable[[Says], None]
):
    """It is counted, what was seen stays, and the sums are of the others."""
    planted(lambda first, second: (0.2, 0.1) if first == "Hm." else (0.6, 0.3))
    metric = comparing(spec, min_mass=0.5)
    pairs = [("Sad.", "Hm."), ("Sad.", "Warm.")]

    found = statistics(metric, beside(["Cold.", "Cold."], pairs))

    assert found["low_mass"].tolist() == [1, 0]
    np.testing.assert_allclose(found["mass"], [0.6, 0.9], rtol=0, atol=1e-6)
    assert np.isnan(found["preference"]).tolist() == [True, False]
    assert found["preference"][1] == pytest.approx(0.5, abs=1e-6)


def test_a_judge_for_which_no_answer_is_possible_has_no_preference(
    spec: ModelSpec, planted: Callable[[Says], None]
):
    """Even where any mass is enough; and nothing of the row but the preference is not a number."""
    planted(lambda first, second: (0.0, 0.0))

    found = statistics(comparing(spec, min_mass=0.0), beside(OTHERS[:1], PAIRS[:1]))

    assert [name for name, values in found.items() if np.isnan(values[0])] == ["preference"]
    assert (found["low_mass"][0], found["judged"][0]) == (1, 1)


# ---------------------------------------------------------------------------- which are drawn


def drawn(metric: Metric, n: int, condition: str) -> list[float]:
    """Return 1 for each of n questions that a comparison leaves out, 0 for the others."""
    pairs = [(f"Worry {i}?", "Same.") for i in range(n)]
    return statistics(metric, beside(["Same."] * n, pairs, condition))["left_out"].tolist()


def test_about_the_share_of_the_questions_is_drawn_and_the_same_for_every_condition(tmp_path: Path):
    """Of 2,000 questions within four standard deviations; another opponent has others."""
    nowhere = ModelSpec("none", "None", "hf", "decoder", str(tmp_path / "nowhere"))
    metric = comparing(nowhere, opponent="x", share=0.3)
    whole = drawn(metric, 2000, "a")
    part = drawn(comparing(nowhere, opponent="x", share=0.1), 2000, "a")

    assert abs(whole.count(0) / 2000 - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 2000)
    assert drawn(metric, 2000, "c") == whole
    assert drawn(comparing(nowhere, opponent="y", share=0.3), 2000, "a") != whole
    assert all(more == 0 for more, less in zip(whole, part, strict=True) if less == 0)
    assert drawn(comparing(nowhere, share=1.0), 50, "a") == [0] * 50


def test_every_two_conditions_are_compared_once_and_each_with_the_baseline(tmp_path: Path):
    """Of the metrics of all opponents, and also after conditions were added."""
    nowhere = ModelSpec("none", "None", "hf", "decoder", str(tmp_path / "nowhere"))

    def compared(conditions: str) -> list[frozenset[str]]:
        return [
            frozenset((one, other))
            for other in conditions
            for one in conditions
            if one != other
            and drawn(comparing(nowhere, opponent=other, baseline="m"), 1, one) == [0]
        ]

    few, more = compared("mbx"), compared("mbxay")

    assert sorted(map(sorted, few)) == [["b", "m"], ["b", "x"], ["m", "x"]]
    assert len(more) == len(set(more)) == 10
    assert set(few) <= set(more)


# ---------------------------------------------------------------------------- identity


def test_what_changes_a_preference_is_in_the_signature(spec: ModelSpec):
    """The opponent, the share and the least mass do; what it is called does not."""
    usual = comparing(spec)
    among = comparing(spec, opponent="other", share=0.5)
    changed = [
        among, replace(among, share=0.25), replace(among, opponent="third"),
        replace(among, baseline="elsewhere"), comparing(spec, opponent="c", baseline="c"),
        comparing(spec, min_mass=0.5), comparing(spec, batch_size=2),
    ]  # fmt: skip

    assert replace(usual, opponent_label="B", label="J").signature() == usual.signature()
    assert len({m.signature() for m in (usual, *changed)}) == 1 + len(changed)
    assert [len(m.columns) for m in (usual, among)] == [3, 0]
    assert among.score(np.zeros((5, len(among.statistics)))).shape == (5, 0)
