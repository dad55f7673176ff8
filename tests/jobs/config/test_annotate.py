"""``[annotate]`` says what people are asked, and refuses what cannot be asked."""

from pathlib import Path

import pytest

from empathy_core.errors import ConfigError, UnknownName
from jobs.config import read as configuration
from jobs.config.annotate import AnnotateTable
from jobs.config.asked_of_people import conditions_asked, rubrics_asked
from tests.runs.by_hand import FLAN, HUMAN, LLAMA, LLAMA2
from tests.runs.judged import CARE

CONFIG = """
name = "rated"
[data.sources.sample]
[models.echo]
prompts = ["none"]
[metrics.length]
[annotate]
"""


def _read(folder: Path, text: str) -> AnnotateTable:
    path = folder / "rated.toml"
    path.write_text(CONFIG + text)
    return configuration.read(str(path), ()).annotate


def test_nobody_is_asked_unless_the_configuration_says_so(tmp_path: Path):
    assert _read(tmp_path, "").rubrics == ()
    with pytest.raises(ConfigError, match=r"names no rubric.*set annotate\.rubrics"):
        rubrics_asked(AnnotateTable())


def test_a_rubric_of_ones_own_is_found_beside_the_configuration(tmp_path: Path):
    (tmp_path / "care.toml").write_text(CARE)
    table = _read(tmp_path, 'rubrics = ["./care.toml", "epitome"]\ndimensions = ["warmth", '
                  '"explorations"]')  # fmt: skip
    asked = {r.name: [d.name for d in r.dimensions] for r in rubrics_asked(table)}

    assert asked == {"care": ["warmth"], "epitome": ["explorations"]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('rubrics = ["epitom"]', r"annotate\.rubrics: unknown rubric 'epitom'.*'epitome'"),
        ('rubrics = ["ctrs"]', r"annotate\.rubrics: rubric 'ctrs' cannot be asked"),
        ('rubrics = ["emrank"]', r"cannot be asked of a single reply: it compares"),
        ('rubrics = ["epitome"]\ndimensions = ["explore"]',
         r"1 problem:\s+annotate\.dimensions: unknown dimension 'explore'"),
        ('rubrics = ["epitom"]\ndimensions = ["explore"]',
         r"1 problem:\s+annotate\.rubrics: unknown rubric 'epitom'"),
        ('conditions = ["ecco"]', r"annotate\.conditions: unknown model 'ecco'.*'echo'"),
        ("raters_per_item = 1", r"annotate\.raters_per_item: .*greater than or equal to 2"),
        ("raters = 2", "raters_per_item = 3 needs as many raters, and raters = 2"),
        ("repeats = 0.2", r"annotate\.repeats: .*less than or equal to 0\.1"),
        ("crisis_per_sitting = 31", r"annotate\.crisis_per_sitting: .*less than or equal to 30"),
        ('strata = ["topic"]', r"annotate\.strata\.0: .*'source' or 'tier'"),
        ("question = 5", r"annotate\.question: unknown key\. Did you mean 'questions'"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(tmp_path: Path, text: str, said: str):
    with pytest.raises(ConfigError, match=said):
        _read(tmp_path, text)


def test_conditions_are_named_as_contrasts_are():
    """A model is all of its prompts; nothing named is everything, in the run's order."""
    every = (HUMAN, LLAMA, LLAMA2, FLAN)

    def chosen(*names: str) -> tuple[object, ...]:
        return conditions_asked(AnnotateTable(conditions=names), every)

    assert chosen() == every
    assert chosen("llama") == (LLAMA, LLAMA2)
    assert chosen("flan_t5", "llama.prompt2") == (LLAMA2, FLAN)
    with pytest.raises(ConfigError, match=r"'llama\.prompt9' is no condition.*llama\.prompt2"):
        chosen("llama.prompt9")


def test_one_table_can_be_changed_after_a_sweep():
    """As a report's, and no other table."""
    assert configuration.annotate_table({"raters": 5}, ["annotate.questions=9"]).questions == 9
    with pytest.raises(ConfigError, match=r"annotate changes only \[annotate\]"):
        configuration.annotate_table({}, ["report.title='x'"])
    with pytest.raises(UnknownName):
        rubrics_asked(AnnotateTable(rubrics=("nothing",)))
