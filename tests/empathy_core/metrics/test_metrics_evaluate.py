"""A script of the evaluate library becomes columns, offline, and its code is in the signature."""

from pathlib import Path

import numpy as np
import pytest

from empathy_core import metrics
from empathy_core.errors import ConfigError
from tests.metric_rows import frame, measured

SCRIPT = """
import datasets
import evaluate


class Overlap(evaluate.Metric):
    def _info(self):
        texts = {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
        return evaluate.MetricInfo(
            description="Share of the reference's words", citation="", inputs_description="",
            features=datasets.Features(texts),
        )

    def _compute(self, predictions, references, weight=1.0):
        said, wanted = set(predictions[0].split()), set(references[0].split())
        share = len(said & wanted) / len(wanted)
        return {"overlap": weight * share, "words": [len(said)], "text": "no number"}
"""

ROWS = frame(["a b c", "", "a"], ["a b x y", "a", "a b"])


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """Return a folder with a metric in it, as the library wants it."""
    folder = tmp_path / "overlap"
    folder.mkdir()
    (folder / "overlap.py").write_text(SCRIPT)
    return folder


def test_a_local_script_is_computed_row_by_row(script: Path) -> None:
    """Each key is a column; the score is the mean of the rows, the recheck agrees."""
    metric = metrics.load(f"evaluate:{script}", {"keys": ["overlap", "words"]})
    assert [(c.name, c.label) for c in metric.columns] == [
        ("overlap_overlap", "overlap"),
        ("overlap_words", "overlap words"),
    ]
    statistics = measured(metric, ROWS)
    assert statistics.tolist() == [[0.5, 3, 1], [0, 0, 1], [0.5, 1, 1]]
    np.testing.assert_allclose(metric.score(statistics.sum(axis=0)), [1 / 3, 4 / 3])
    np.testing.assert_array_equal(metric.recheck(ROWS), statistics[:, :2])


def test_what_is_no_finite_number_is_unscored_and_has_a_reason(script: Path) -> None:
    """An infinite value would be every condition's mean; the recheck says the same of the row."""
    path = script / "overlap.py"
    path.write_text(SCRIPT.replace("weight * share", "float(said.pop()) if said else math.nan")
                    .replace("import evaluate\n", "import evaluate\nimport math\n", 1))  # fmt: skip
    rows = frame(["1", "inf", "-inf", "nan", "", "\u200b"], ["a"] * 6)
    metric = metrics.load(f"evaluate:{script}", {"keys": ["overlap"]})

    found = measured(metric, rows)

    assert found[0].tolist() == [1, 1]
    assert np.isnan(found[1:]).all()
    np.testing.assert_array_equal(metric.score(found), metric.recheck(rows))
    assert metrics.why_unscored(metric).text == "it gave no finite number"
    declared = metrics.load(f"evaluate:{script}", {"keys": ["overlap"], "empty": 0.0})
    assert measured(declared, rows)[4:].tolist() == [[0, 1], [0, 1]]
    assert declared.signature() != metric.signature()


def test_arguments_reach_the_metric(script: Path) -> None:
    """They are settings like any other: the number and the signature change."""
    options = {"path": str(script), "keys": ["overlap"]}
    plain = metrics.load("evaluate_metric", options)
    double = metrics.load("evaluate_metric", {**options, "arguments": {"weight": 2.0}})
    assert measured(double, ROWS)[0, 0] == 2 * measured(plain, ROWS)[0, 0]
    assert "args:weight=2.0" in double.signature()


def test_a_change_of_the_code_changes_the_key_and_no_path_is_in_it(
    script: Path, tmp_path: Path
) -> None:
    """The same code elsewhere is the same metric; one more line is another."""
    name = f"evaluate:{script}"
    before = metrics.load(name, {"keys": ["overlap"]})
    key = metrics.key(name, before)
    assert key.startswith("overlap-")
    assert str(tmp_path) not in before.signature()
    moved = script.rename(tmp_path / "elsewhere").rename(tmp_path / "overlap")
    assert metrics.key(name, metrics.load(name, {"keys": ["overlap"]})) == key
    (moved / "overlap.py").write_text(SCRIPT + "\n# more\n")
    assert metrics.key(name, metrics.load(name, {"keys": ["overlap"]})) != key


def test_a_name_on_the_hub_must_be_allowed_and_pinned() -> None:
    """It runs code of others: by choice only, and always the same code."""
    with pytest.raises(ConfigError, match="allow_hub = true"):
        metrics.load("evaluate:somebody/metric", {"keys": ["x"]})
    with pytest.raises(ConfigError, match="without 'revision'"):
        metrics.load("evaluate:somebody/metric", {"keys": ["x"], "allow_hub": True})
    pinned = {"keys": ["x"], "allow_hub": True, "revision": "0a1b2c"}
    assert "code:hub@0a1b2c" in metrics.load("evaluate:somebody/metric", pinned).signature()


def test_wrong_keys_are_answered_with_the_right_ones(script: Path) -> None:
    """An entry that is absent or no number is the user's mistake."""
    for key, what in (("overlp", "is not in its result"), ("text", "is 'no number'")):
        metric = metrics.load(f"evaluate:{script}", {"keys": [key]})
        with pytest.raises(ConfigError, match=f"'{key}' {what}.*returns: overlap, words, text"):
            measured(metric, ROWS)


def test_a_script_that_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    """A Python file without a metric is named, with what was expected."""
    broken = tmp_path / "broken.py"
    broken.write_text("x = 1\n")
    with pytest.raises(ConfigError, match="one subclass of evaluate"):
        measured(metrics.load(f"evaluate:{broken}", {"keys": ["x"]}), ROWS)


def test_keys_are_required(script: Path) -> None:
    """Which numbers to print is not guessed."""
    with pytest.raises(ConfigError, match="option 'keys' is missing"):
        metrics.load(f"evaluate:{script}", {})


def test_a_share_and_its_limits_are_declared(script: Path) -> None:
    """Numbers of 0 and 1 are a share in percent; another number is refused, not averaged."""
    options = {"keys": ["overlap"], "share": True}
    metric = metrics.load(f"evaluate:{script}", options)
    (column,) = metric.columns

    assert (column.share, column.percent, column.least, column.most) == (True, True, 0, 1)
    assert measured(metric, frame(["a", "b"], ["a", "a"])).tolist() == [[1, 1], [0, 1]]
    with pytest.raises(ConfigError, match=r"gives 0\.5; with share = true"):
        measured(metric, ROWS)
    (plain,) = metrics.load(f"evaluate:{script}", {"keys": ["words"], "least": 0.0}).columns
    assert (plain.share, plain.percent, plain.least, plain.most) == (False, False, 0, None)
