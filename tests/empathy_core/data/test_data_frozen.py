"""Frozen rows beside what the configuration says today."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from empathy_core.data import DataSpec, EvaluateSpec, Source, changes, identity
from tests.runs.command_line import write_questions


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The identity of some rows."""
    return identity(_data(tmp_path_factory.mktemp("rows")), EvaluateSpec())


def _data(folder: Path) -> DataSpec:
    write_questions(folder, 8)
    source = Source("made", path=str(folder / "made.csv"), context=("question",), response="answer")
    return DataSpec((source,))


def test_the_version_of_the_cleaning_rules_is_no_change(frozen: dict[str, object]):
    """Rows stay those that were frozen."""
    assert changes(frozen, frozen | {"cleaning_version": 99}) == []


def test_what_an_older_version_did_not_know_is_its_default(frozen: dict[str, object]):
    """Nothing else: a setting that was made since is a change."""
    older = {k: v for k, v in frozen.items() if k not in ("duplicates", "seed")}
    sources = copy.deepcopy(frozen["sources"])
    named = copy.deepcopy(frozen["sources"])
    named["made"]["encoding"] = "cp1252"
    sources["made"]["encoding"] = None

    assert changes(older, frozen) == []
    assert changes(older, frozen | {"seed": 3}) == ["seed: None → 3"]
    assert changes(frozen, frozen | {"sources": sources}) == []
    assert changes(frozen, frozen | {"sources": named}) == ["sources.made.encoding: None → cp1252"]


def test_other_contents_and_settings_are_changes(tmp_path: Path):
    """A file of other bytes, another source, another split."""
    data = _data(tmp_path)
    frozen = identity(data, EvaluateSpec())
    one = changes(frozen, identity(data, EvaluateSpec(limit=4)))
    two = changes(frozen, identity(replace(data, protocol="row"), EvaluateSpec()))
    more = replace(data.sources[0], name="more")
    three = changes(frozen, identity(replace(data, sources=(*data.sources, more)), EvaluateSpec()))
    write_questions(tmp_path, 9)
    four = changes(frozen, identity(data, EvaluateSpec()))

    assert one == ["evaluate.limit: None → 4"]
    assert two == ["protocol: question → row"]
    assert any(line.startswith("sources.more: None") for line in three)
    assert len(four) == 1
    assert four[0].startswith("sources.made.sha256: ")


@given(st.data())
def test_every_single_setting_that_differs_is_told(frozen: dict[str, object], data: st.DataObject):
    """Whatever is taken away from today's identity, or changed in it, is named by its path."""
    path = data.draw(st.sampled_from([key for key in frozen if key != "cleaning_version"]))
    without = {key: value for key, value in frozen.items() if key != path}

    assert [line.split(":")[0] for line in changes(frozen, frozen | {path: "other"})] == [path]
    found = {line.split(":")[0].split(".")[0] for line in changes(frozen, without)}
    assert found == {path}
