"""``[decoding.<name>] of``: a choice among samples that cannot be made is refused, and says why."""

from pathlib import Path

import pytest

from empathy_core.errors import ConfigError
from jobs.config.read import read
from tests.runs.command_line import write_config

CONFIG = """
name = "echo"
[data.sources.sample]
[decoding.greedy]
[decoding.sampled]
sample = true
samples = 4
[decoding.best]
of = "sampled"
chosen_by = "rouge1"
[models.echo]
prompts = ["none"]
decodings = ["sampled", "best"]
[metrics.rouge]
[metrics.length]
"""


def test_a_choice_is_how_one_answer_of_the_samples_was_drawn(tmp_path: Path):
    """It has one answer a question, under the settings of the samples, and generates nothing."""
    config = read(str(write_config(tmp_path, CONFIG)))

    found = config.decoding_spec("best")
    assert (found.name, found.n_samples, found.sample) == ("best", 1, True)
    assert config.generating(["sampled", "best"]) == ("sampled",)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (("samples = 4", "samples = 1"), "gives one answer a question (samples = 1)"),
        (('of = "sampled"', 'of = "greedy"'), "gives one answer a question (greedy decoding)"),
        (('of = "sampled"', 'of = "sampld"'), "'sampld' is no decoding of this configuration"),
        (('of = "sampled"', 'of = "best"'), "'best' chooses itself"),
        (('of = "sampled"', 'of = "sampled"\nn = 8'), "n = 8 is more than the 4 samples"),
        (('of = "sampled"', 'of = "sampled"\nn = 1'), "greater than or equal to 2"),
        (('of = "sampled"\n', ""), "chosen_by has no effect without of"),
        (('chosen_by = "rouge1"\n', ""), "chosen_by is not given"),
        (('"rouge1"', '"rouge9"'), "unknown column 'rouge9'"),
        (('"rouge1"', '"one_care_warmth"'), "unknown column 'one_care_warmth'"),
        (('"rouge1"', '"words"'), "no answer is the best by it"),
        (('"rouge1"', '"rouge1"\ntop_p = 0.9'), "top_p has no effect, since the answers are those"),
        (('["sampled", "best"]', '["greedy", "best"]'), "expected both"),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused(
    tmp_path: Path, changed: tuple[str, str], told: str
):
    """Where there is nothing to choose among, nobody to choose, or one setting too many."""
    assert changed[0] in CONFIG
    path = write_config(tmp_path, CONFIG.replace(*changed))

    with pytest.raises(ConfigError) as error:
        read(str(path))

    assert told in str(error.value)
