"""Rubric files of one's own: what is wrong with one is said, all of it, with what was expected."""

from pathlib import Path

import pytest

from empathy_core import rubrics
from empathy_core.errors import ConfigError

GOOD = """
label = "Warmth"
origin = "Our own"
licence = "Ours"
single_reply = true
instruction = '''Rate
  one reply.'''

[[tiers]]
name = "low"
text = "Nothing is wrong."

[[dimensions]]
name = "warmth"
label = "Warmth"
question = "How warm is it?"
direction = "higher"
anchors = [
  { value = -1, label = "cold", text = "It rejects." },
  { value = 0, label = "cool", text = "It does neither." },
  { value = 1, label = "warm", text = "It welcomes." },
]
"""
ANCHORS = GOOD[GOOD.index("anchors") :]
DIMENSION = GOOD[GOOD.index("[[dimensions]]") :]


def _read(folder: Path, text: str, name: str = "warmth"):
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return rubrics.read(path)


def test_a_file_of_ones_own_is_read(tmp_path: Path):
    """The file's name is the rubric's; a text over several lines is one line."""
    found = _read(tmp_path, GOOD)

    assert found.name == "warmth"
    assert found.instruction == "Rate one reply."
    assert found.dimensions[0].labels == ("cold", "cool", "warm")
    assert [a.value for a in found.dimensions[0].anchors] == [-1, 0, 1]


BAD = {
    "no dimensions": (DIMENSION, "", "dimensions: there are none; expected at least one"),
    "no anchors": (ANCHORS, "", "dimensions.warmth.anchors: the scale has no point; expected two"),
    "empty anchors": (ANCHORS, "anchors = []", "the scale has no point; expected two or more"),
    "one point": (
        ANCHORS,
        'anchors = [{ value = 0, label = "0", text = "Any." }]',
        "dimensions.warmth.anchors: the scale has one point; expected two or more",
    ),
    "a missing anchor": (
        '  { value = 0, label = "cool", text = "It does neither." },\n',
        "",
        "dimensions.warmth.anchors: no anchor has the value 0; expected one at every point",
    ),
    "an anchor without text": (
        ', text = "It rejects."',
        "",
        "dimensions.warmth.anchors.cold.text: missing; this key is required",
    ),
    "equal labels": ('"warm",', '" COLD",', "(labels): 'cold' is there 2 times; expected once"),
    "values that fall": (
        "value = 1,",
        "value = -2,",
        "the values are [-1, 0, -2]; expected each to be above the one before it",
    ),
    "equal values": ("value = 1,", "value = 0,", "the values are [-1, 0, 0]; expected each"),
    "a value between": (
        "value = 1,",
        "value = 1.5,",
        "anchors.warm.value: is 1.5; expected a whole number",
    ),
    "a value that is no number": (
        "value = 1,",
        "value = nan,",
        "anchors.warm.value: is nan; expected a whole",
    ),
    "anchors that are no list": (ANCHORS, "anchors = 3", "anchors: is 3; expected a list"),
    "points that are no tables": (
        ANCHORS,
        'anchors = ["a", "b"]',
        "dimensions.warmth.anchors.1: is 'b'; expected a table of keys and values",
    ),
    "a word for a truth value": ("= true", '= "yes"', "single_reply: is 'yes'; expected true or"),
    "the label of not applicable": ('"warm",', '"x",', "the label 'X' stands for 'not applicable'"),
    "an empty text": ('"It rejects."', '"\\u200B "', "anchors.cold.text: nothing in it is visible"),
    "an empty question": ('"How warm is it?"', '""', "dimensions.warmth.question: nothing in it"),
    "an empty instruction": ("'''Rate\n  one reply.'''", '" "', "instruction: nothing in it"),
    "a number for a label": ('"cold"', "0", "anchors.0.label: is 0; expected a text in quotes"),
    "an unknown key": (
        "licence =",
        "license =",
        "license: unknown key. Did you mean 'licence'? Expected one of label, origin, licence",
    ),
    "an unknown key of a dimension": (
        "direction =",
        "directoin =",
        "dimensions.warmth.directoin: unknown key. Did you mean 'direction'? Expected one of name",
    ),
    "an unknown key of an anchor": (
        'text = "It rejects."',
        'txt = "It rejects."',
        "dimensions.warmth.anchors.cold.txt: unknown key. Did you mean 'text'? Expected one of",
    ),
    "an unknown key of a tier": (
        'text = "Nothing is wrong."',
        'txt = "Nothing is wrong."',
        "tiers.low.txt: unknown key. Did you mean 'text'? Expected one of name, text",
    ),
    "a name in the file": ("label =", 'name = "warmth"\nlabel =', "key 'name' is given; expected"),
    "no direction": ('direction = "higher"\n', "", "dimensions.warmth.direction: missing; this"),
    "an unknown direction": (
        '"higher"',
        '"up"',
        "dimensions.warmth.direction: is 'up'; expected 'higher', 'lower', or 'none'",
    ),
    "a dimension that is no name": (
        'name = "warmth"',
        'name = "a/b"',
        "dimensions.a/b.name: cannot be a name; expected letters",
    ),
    "a dimension twice": (
        DIMENSION,
        DIMENSION * 2,
        "dimensions: 'warmth' is there 2 times; expected once",
    ),
    "an unknown tier": (
        "direction =",
        'tiers = ["lw"]\ndirection =',
        "dimensions.warmth.tiers: unknown tier 'lw'. Did you mean 'low'? Expected of: low",
    ),
    "an unknown severity": (
        "direction =",
        'severity = "grey"\ndirection =',
        "dimensions.warmth.severity: input should be 'red' or 'yellow'",
    ),
    "sessions without a reason": (
        "single_reply = true",
        "single_reply = false",
        "why_not_single_reply: missing; expected the reason",
    ),
    "a reason without sessions": (
        "single_reply = true",
        'single_reply = true\nwhy_not_single_reply = "A session."',
        "why_not_single_reply: given, but single_reply is true",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused(case: str, tmp_path: Path):
    """The message has the file, the place, what was expected, and what to do next."""
    old, new, said = BAD[case]
    assert old in GOOD
    with pytest.raises(ConfigError) as error:
        _read(tmp_path, GOOD.replace(old, new, 1))

    message = str(error.value)
    assert said in message
    assert "warmth.toml cannot be used" in message
    assert message.endswith("emotionqueen.toml for a model.")


@pytest.mark.parametrize("name", ["my rubric", "wärme", ".hidden", "a\nb", "-x"])
def test_a_name_that_cannot_be_a_folder_is_refused(name: str, tmp_path: Path):
    """Columns and folders are named by it."""
    with pytest.raises(ConfigError, match="cannot be the name of a folder; expected letters"):
        _read(tmp_path, GOOD, name)


def test_of_a_broken_scale_nothing_is_said_that_follows_from_it(tmp_path: Path):
    """Thresholds above points that are not there are no further mistakes."""
    threshold = 'thresholds = [{ name = "pass", label = "PASS", at_least = 1 }]\n'
    text = GOOD.replace(ANCHORS, "anchors = []").replace("[[tiers]]", f"{threshold}[[tiers]]")
    with pytest.raises(ConfigError) as error:
        _read(tmp_path, text)

    assert "the scale has no point" in str(error.value)
    assert "at_least" not in str(error.value)


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path):
    """One line each."""
    text = GOOD.replace('"warm",', '"cold",').replace("How warm is it?", " ")
    with pytest.raises(ConfigError) as error:
        _read(tmp_path, text)

    assert len(str(error.value).splitlines()) == 4


@pytest.mark.parametrize("text", [None, "label = ", "label = '\udce9'"])
def test_a_file_that_cannot_be_read_is_named(text: str | None, tmp_path: Path):
    """It is absent, no TOML, or not in UTF-8."""
    path = tmp_path / "warmth.toml"
    if text is not None:
        path.write_bytes(text.encode("utf-8", "surrogateescape"))

    with pytest.raises(ConfigError, match=r"warmth\.toml cannot be read .*; expected a TOML file"):
        rubrics.read(path)


def test_a_rubric_for_sessions_may_have_dimensions(tmp_path: Path):
    """It is read, and refused where a single reply is rated."""
    text = GOOD.replace(
        "single_reply = true", 'single_reply = false\nwhy_not_single_reply = "it rates a session."'
    )
    found = _read(tmp_path, text)

    with pytest.raises(ConfigError, match=r"'warmth' cannot .*: it rates a session\. Expected one"):
        rubrics.require_single_reply(found)
