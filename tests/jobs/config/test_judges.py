"""Judges in a configuration: what is asked of whom, and what is refused with its reason."""

from pathlib import Path

import polars as pl
import pytest

from empathy_core import metrics
from empathy_core.errors import ConfigError
from jobs.commands.prefetch import _fetches
from jobs.config import read as configuration
from jobs.config.judges import metric_options, questions
from jobs.config.schema import Config
from jobs.planning.report_settings import check_margins
from tests.runs.judged import CARE

BASE = """
name = "judged"
[data.sources.sample]
[models.echo]
prompts = ["none"]
[models.therapist]
[models.mine]
weights = "./weights"
architecture = "decoder"
prompts = []
[models.served]
weights = "./weights"
architecture = "decoder"
engine = "elsewhere"
prompts = []
[models.unlikely]
weights = "./weights"
architecture = "decoder"
engine = "silent"
prompts = []
[models.remote]
backend = "server"
engine = "chatty"
prompts = []
[engines.elsewhere]
base_url = "http://127.0.0.1:9/v1"
probabilities = "echo"
[engines.silent]
base_url = "http://127.0.0.1:9/v1"
[engines.chatty]
base_url = "http://127.0.0.1:9/v1"
prompts = "messages"
[metrics.length]
"""
JUDGE = '[judges.one]\nmodel = "mine"\nrubrics = ["epitome"]\n'


def read(folder: Path, text: str) -> Config:
    """Return a configuration; beside it lies a rubric of one's own."""
    (folder / "judged.toml").write_text(BASE + text)
    (folder / "care.toml").write_text(CARE)
    return configuration.read(str(folder / "judged.toml"), [])


def test_each_dimension_is_a_metric(tmp_path: Path):
    """Of shipped rubrics and of one's own, whose path is beside the configuration."""
    text = '[judges.one]\nmodel = "mine"\nrubrics = ["epitome", "./care.toml"]\n'
    found = metric_options(read(tmp_path, text))

    assert list(found) == [
        "length", "judge:one:epitome:emotional_reactions", "judge:one:epitome:interpretations",
        "judge:one:epitome:explorations", "judge:one:care:warmth", "judge:one:care:harm",
    ]  # fmt: skip
    harm = found["judge:one:care:harm"]
    assert [d["name"] for d in harm["rubric"]["dimensions"]] == ["harm"]
    assert harm["model"]["name"] == "mine"


def test_dimensions_can_be_chosen_and_wordings_added(tmp_path: Path):
    """The paraphrases that ship are rubrics like others."""
    text = (
        '[judges.one]\nmodel = "mine"\nrubrics = ["emotionqueen"]\nwordings = true\n'
        'dimensions = ["key", "implicit"]\n'
    )
    found = questions(read(tmp_path, text), "one")

    assert list(found) == [
        f"judge:one:emotionqueen{wording}:{dimension}"
        for wording in ("", "_2", "_3")
        for dimension in ("key", "implicit")
    ]


def test_a_model_that_ships_can_judge_without_a_table_of_its_own(tmp_path: Path):
    """And is called what it is called there, unless the judge has a label."""
    text = '[judges.one]\nmodel = "smollm2_135m_instruct"\nrubrics = ["./care.toml"]\n'
    named = text + 'label = "Small"\n'

    labels = [
        next(iter(questions(read(tmp_path, t), "one").values()))["label"] for t in (text, named)
    ]

    assert labels == ["SmolLM2-135M-Instruct", "Small"]


REFUSED = {
    "an unknown rubric": (
        'rubrics = ["epitome"]', 'rubrics = ["epitom"]', "unknown rubric 'epitom'.*'epitome'"
    ),
    "a file that is not there": (
        'rubrics = ["epitome"]', 'rubrics = ["./nowhere.toml"]',
        "1 problem:.  judges.one.rubrics: rubric .*nowhere.toml cannot be",
    ),
    "no rubric": (
        'rubrics = ["epitome"]', "rubrics = []",
        "judges.one.rubrics: has too few entries .given: \\[\\].; expected 1 entry at least",
    ),
    "paraphrases of a rubric without any": (
        '["epitome"]', '["epitome"]\nwordings = true', "wordings = true has no effect.*emotionqueen"
    ),
    "an instrument for sessions": (
        'rubrics = ["epitome"]',
        'rubrics = ["ctrs"]',
        "judges.one.rubrics: rubric 'ctrs' cannot be asked of a single .* whole session of",
    ),
    "an unknown dimension": (
        'rubrics = ["epitome"]',
        'rubrics = ["epitome"]\ndimensions = ["explorations", "interpretation"]',
        "1 problem:.  judges.one.dimensions: unknown dimension 'interpretation'. Did you mean 'int",
    ),
    "a rubric of which nothing is asked": (
        'rubrics = ["epitome"]',
        'rubrics = ["epitome", "./care.toml"]\ndimensions = ["warmth"]',
        "rubric 'epitome' has none of the dimensions warmth; expected at least one of emotional_",
    ),
    "two rubrics of one name": (
        'rubrics = ["epitome"]',
        'rubrics = ["epitome", "./mine/epitome.toml"]',
        "two rubrics are called 'epitome'",
    ),
    "a comparison without a baseline": (
        '["epitome"]',
        '["emrank"]',
        "rubric 'emrank' compares two replies, and no baseline is named",
    ),
    "an unknown baseline": (
        '["epitome"]', '["emrank"]\nbaseline = "ecko"',
        "judges.one.baseline: unknown model 'ecko'.*'echo'",
    ),
    "a prompt that the baseline is not asked with": (
        '["epitome"]', '["emrank"]\nbaseline = "echo.prompt1"',
        "judges.one.baseline: unknown prompt of echo 'prompt1'.*none",
    ),
    "a baseline of nothing": (
        '["epitome"]', '["epitome"]\nbaseline = "echo"', "baseline = 'echo' has no effect.*emrank"
    ),
    "all pairs of nothing": (
        '["epitome"]', '["epitome"]\nopponents = "all"', 'opponents = "all" has no effect.*emrank'
    ),
    "a share of nothing": (
        '["epitome"]', '["emrank"]\nbaseline = "echo"\npairs_share = 0.5',
        'pairs_share = 0.5 has no effect.*opponents = "all"',
    ),
    "no pair at all": (
        '["epitome"]', '["emrank"]\nbaseline = "echo"\nopponents = "all"\npairs_share = 0.0',
        "judges.one.pairs_share: .*greater than 0",
    ),
    "a dimension that no comparison has": (
        '["epitome"]', '["emrank"]\nbaseline = "echo"\ndimensions = ["empaty"]',
        "unknown dimension 'empaty'. Did you mean 'empathy'",
    ),
    "opponents by name": (
        '["epitome"]', '["emrank"]\nbaseline = "echo"\nopponents = "echo"',
        "judges.one.opponents: .*'baseline' or 'all'",
    ),
    "an unknown model": (
        '"mine"', '"mina"',
        "1 problem:.  judges.one.model: unknown model 'mina'.*Did you mean 'mine'.* Known: echo",
    ),
    "an echo": (
        '"mine"', '"echo"', "judges.one.model: model 'echo' cannot judge: it has no weights .back"
    ),
    "a therapist": ('"mine"', '"therapist"', "'therapist' cannot judge: it has no weights"),
    "a server that is sent texts": (
        '"mine"', '"remote"', "'remote' cannot judge: its server is sent texts, not tokens"
    ),
    "a server without probabilities": (
        '"mine"', '"unlikely"',
        "'unlikely' cannot judge: engine 'silent' .*set probabilities under .engines.silent",
    ),
    "a comparison by a judge that writes": (
        '["epitome"]', '["emrank"]\nbaseline = "echo"\nanswer = "generated"',
        "'emrank' compares two replies, and a judge that writes its answer is not asked to",
    ),
    "a least mass of a judge that has none": (
        "model =", 'answer = "generated"\nmin_mass = 0.3\nmodel =',
        'min_mass has no effect with answer = "generated"',
    ),
    "a reason of a judge that writes nothing": (
        "model =", "reason = true\nmodel =", 'reason has no effect with answer = "labels"'
    ),
    "a length of what is not written": (
        "model =", "answer_tokens = 9\nmodel =", "answer_tokens has no effect"
    ),
    "an echo that writes": (
        'model = "mine"', 'model = "echo"\nanswer = "generated"',
        "'echo' cannot judge: nothing reads with it .backend echo",
    ),
    "another way to answer": (
        "model =", 'answer = "spoken"\nmodel =', "judges.one.answer: .*'labels' or 'generated'"
    ),
    "an unknown key": ("model =", "modell =", "judges.one.modell: unknown key"),
    "more than all of the mass": (
        "model =", "min_mass = 1.5\nmodel =", "judges.one.min_mass: .*less than or equal to 1"
    ),
    "no text a batch": ("model =", "batch_size = 0\nmodel =", "judges.one.batch_size"),
    "another way with long texts": (
        "model =", 'overlong = "truncate"\nmodel =', "judges.one.overlong: .*'missing' or 'error'"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_judge_that_cannot_be_asked_is_refused(tmp_path: Path, case: str):
    """With the name of its table, what is wrong and what was expected."""
    old, new, said = REFUSED[case]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "epitome.toml").write_text(CARE)

    with pytest.raises(ConfigError, match=f"(?s){said}"):
        read(tmp_path, JUDGE.replace(old, new))


def test_a_server_elsewhere_that_tells_probabilities_can_judge(tmp_path: Path):
    """It is sent tokens, made of the files that its model's weights lie with."""
    found = questions(read(tmp_path, JUDGE.replace('"mine"', '"served"')), "one")

    assert len(found) == 3


@pytest.mark.parametrize("model", ["mine", "served", "unlikely", "remote"])
def test_any_model_that_generates_can_write_its_answer(tmp_path: Path, model: str):
    """Also on a server that tells no probabilities, or takes messages and has the weights."""
    text = JUDGE.replace('"mine"', f'"{model}"') + 'answer = "generated"\nreason = true\n'

    found = questions(read(tmp_path, text), "one")

    assert list(found) == [
        f"generated:one:epitome:{dimension}"
        for dimension in ("emotional_reactions", "interpretations", "explorations")
    ]
    assert {(o["reason"], o["answer_tokens"]) for o in found.values()} == {(True, None)}


def test_a_judge_of_each_kind_may_be_one_model(tmp_path: Path):
    """Two judges, told apart by their names, and in tables by how they answer."""
    two = JUDGE.replace("judges.one", "judges.two") + 'answer = "generated"\n'
    config = read(tmp_path, JUDGE + two)

    found = metric_options(config)

    assert len(found) == 1 + 2 * 3
    judges = [metrics.load(name, options) for name, options in found.items() if ":" in name]
    assert {judge.columns[0].judge for judge in judges} == {"mine", "mine (written)"}
    assert [name for name, _ in _fetches(config)].count("judge two") == 1


_POINTS = CARE[CARE.index("anchors = [") : CARE.index("]\n\n[[dimensions]]", 300) + 1]
_ONE = 'anchors = [{ value = 0, label = "0", text = "Cold." }]'
BROKEN = {
    "no anchors": (_POINTS, ""),
    "one point": (_POINTS, _ONE),
    "equal labels": ('label = "1"', 'label = "0"'),
}


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("no anchors", "the scale has no point"),
        ("one point", "the scale has one point"),
        ("equal labels", "'0' is there 2 times"),
    ],
)
def test_a_rubric_that_is_none_is_refused_with_the_judge(tmp_path: Path, case: str, said: str):
    """What is wrong with the file stands beside the name of the judge."""
    old, new = BROKEN[case]
    assert old in CARE
    (tmp_path / "broken.toml").write_text(CARE.replace(old, new, 1))

    with pytest.raises(ConfigError, match=f"(?s)judges.one.rubrics: rubric .*broken.toml.*{said}"):
        read(tmp_path, JUDGE.replace('"epitome"', '"./broken.toml"'))


def test_two_judges_may_have_one_rubric(tmp_path: Path):
    """Their columns are named by the judge."""
    other = JUDGE.replace("judges.one", "judges.two") + 'label = "Two"\n'
    found = metric_options(read(tmp_path, JUDGE + other))

    assert len(found) == 1 + 2 * 3


def test_the_column_of_tiers_is_missing_in_the_table_of_the_judge(tmp_path: Path):
    """``metrics.judge:…`` is a name that stands in no file of the user's."""
    asked = JUDGE.replace("epitome", "crisis") + 'tier_column = "risk"\n'
    [(name, options), *_] = questions(read(tmp_path, asked), "one").items()
    rows = pl.DataFrame({"id": ["a"], "context": ["Hello?"], "response": ["Yes."]})

    with pytest.raises(ConfigError, match=r"^judges\.one: no column 'risk' in the data"):
        metrics.prepared(name, options, rows)


ALIKE = {
    "one label": ("two", "", "epitome", "judges.two: in tables it is called 'mine', as is"),
    "a judge called as the jury": (
        "jury", 'label = "Two"', "epitome",
        "a column of the jury of all judges is called 'jury_epitome_.*judge 'jury'",
    ),
    "judge and rubric that make the name of others": (
        "one_epitome", 'label = "Two"', "./one.toml",
        "rubric 'one', 'explorations' is called 'one_epitome_one_explorations', as is one of judge",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ALIKE)
def test_judges_that_no_reader_could_tell_apart_are_refused(tmp_path: Path, case: str):
    """In tables by their labels; in files, macros and claims by the names of their columns."""
    name, label, rubric, said = ALIKE[case]
    text = CARE.replace('name = "warmth"', 'name = "explorations"')
    (tmp_path / "one.toml").write_text(text)
    (tmp_path / "epitome_one.toml").write_text(text)
    first = JUDGE.replace('["epitome"]', '["epitome", "./epitome_one.toml"]')
    second = f'[judges.{name}]\nmodel = "mine"\nrubrics = ["{rubric}"]\n{label}\n'

    with pytest.raises(ConfigError, match=f"(?s){said}") as error:
        read(tmp_path, first + second)

    assert "_pass' as" not in str(error.value).replace(",", "")  # each pair once, not each column


def test_a_threshold_s_column_is_no_dimension_s(tmp_path: Path):
    """A dimension may be called as another's share above a point."""
    text = CARE.replace('name = "harm"', 'name = "warmth_pass"')
    (tmp_path / "both.toml").write_text(text)

    with pytest.raises(ConfigError, match="'warmth_pass' is called 'one_both_warmth_pass'"):
        read(tmp_path, JUDGE.replace("epitome", "./both.toml"))


def test_the_weights_of_a_judge_are_fetched_beforehand(tmp_path: Path):
    """Compute nodes have no internet; a judge need answer nothing."""
    named = [name for name, _ in _fetches(read(tmp_path, JUDGE))]

    assert "judge one" in named


def test_a_comparison_is_one_metric_for_each_opponent_and_one_column_beside_two(tmp_path: Path):
    """Of a configuration that is only read, that with the baseline."""
    from jobs.config.judges import Opponent

    config = read(tmp_path, JUDGE.replace("epitome", "emrank") + 'baseline = "echo"\n')
    few = questions(config, "one")
    ids = ("echo.none-1", "therapist-2", "mine-3")
    more = questions(config, "one", opponents=[Opponent(i, i.title()) for i in ids])
    loaded = [metrics.load(name, options) for name, options in more.items()]

    assert list(few) == ["preference:one:emrank:empathy"]
    assert list(more) == [
        "preference:one:emrank:empathy", "preference:one:emrank:empathy:therapist-2",
        "preference:one:emrank:empathy:mine-3",
    ]  # fmt: skip
    assert [[c.name for c in metric.columns] for metric in loaded] == [
        ["one_emrank_empathy", "one_emrank_empathy_first", "one_emrank_empathy_consistent"], [], [],
    ]  # fmt: skip
    assert loaded[0].columns[0].label == "Empathy: preferred to Echo.None-1"
    assert {options["baseline"] for options in more.values()} == {"echo.none-1"}


# ---------------------------------------------------------------------------- what is required


def test_what_a_judge_must_reach_is_declared_with_it(tmp_path: Path):
    """Integers and false where they are meant; what is left out is null, and has its default."""
    given = "require = { items = 50, kappa = 0.3, bias = 0.25, alt_test = false }\n"
    table = read(tmp_path, JUDGE + given).judges["one"].require

    assert (table.items, table.kappa, table.bias, table.alt_test) == (50, 0.3, 0.25, False)
    assert table.raters is None


def test_a_requirement_can_be_set_on_the_command_line(tmp_path: Path):
    read(tmp_path, JUDGE)
    path = str(tmp_path / "judged.toml")
    config = configuration.read(path, ["judges.one.require.raters=3"])

    assert config.judges["one"].require.raters == 3


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("kapa = 0.3", "judges.one.require.kapa"),
        ("kappa = 3.0", "judges.one.require.kappa"),
        ("items = 0", "judges.one.require.items"),
        ("alt_test = true", "judges.one.require.alt_test"),
        ("bias = -0.1", "judges.one.require.bias"),
    ],
)
def test_a_requirement_that_is_none_is_refused(tmp_path: Path, given: str, said: str):
    with pytest.raises(ConfigError, match=said):
        read(tmp_path, f"{JUDGE}require = {{ {given} }}\n")


# ---------------------------------------------------------------------------- other data

CRISIS = '[judges.one]\nmodel = "mine"\nrubrics = ["crisis", "epitome"]\n'
ELSEWHERE = """
[judges.one.elsewhere."{asked}"]
positive = 20
found = {found}
negative = 100
cleared = 95
source = "pilot"
"""


def test_how_a_judge_agreed_elsewhere_is_declared_with_it(tmp_path: Path):
    config = read(tmp_path, CRISIS + ELSEWHERE.format(asked="crisis.blaming", found=18))
    of = config.judges["one"].elsewhere["crisis.blaming"]

    assert (of.found, of.positive, of.cleared, of.negative) == (18, 20, 95, 100)


@pytest.mark.parametrize(
    ("asked", "found", "said"),
    [
        ("crisis.blamed", 18, "Did you mean 'crisis.blaming'"),
        ("epitome.explorations", 18, "yes-or-no question of this judge"),
        ("crisis.blaming", 21, "found = 21 is more than positive = 20"),
        ("crisis.blaming", -1, "judges.one.elsewhere"),
    ],
)
def test_counts_that_cannot_be_are_refused(tmp_path: Path, asked: str, found: int, said: str):
    with pytest.raises(ConfigError, match=said):
        read(tmp_path, CRISIS + ELSEWHERE.format(asked=asked, found=found))


def test_a_margin_can_be_declared_before_people_have_rated(tmp_path: Path):
    """Of their column, of the judge corrected by it, and of nothing that will never be there."""
    judge = '[judges.one]\nmodel = "mine"\nrubrics = ["./care.toml"]\n'
    asked = metric_options(read(tmp_path, judge))

    check_margins(["human_care_warmth", "corrected_one_care_warmth"], asked)
    with pytest.raises(ConfigError, match="human_care_cold"):
        check_margins(["human_care_cold"], asked)
