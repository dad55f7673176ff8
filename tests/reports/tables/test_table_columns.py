"""Which columns stand in Table 1 is configuration: any column of any metric, and n."""

from pathlib import Path

import pytest

from empathy_core.errors import ConfigError, UnknownName
from jobs.config.read import read
from reports.build import build
from reports.rows.collect import collect
from reports.tables.columns import named_columns
from tests.runs.by_hand import FLAN, HUMAN, LLAMA, Toy, make, spec

METRICS = {"toy-00000000": Toy(), "other-00000000": Toy("other", main=False)}


def test_the_columns_stand_as_they_are_named(tmp_path: Path):
    """In the order given; a row's n is the number of its answers; the others are in the detail."""
    about = spec(HUMAN, LLAMA, FLAN, metrics=METRICS, columns=("other_words", "n", "toy_overlap"))
    built = build(collect(make(tmp_path / "run", about), about), about)
    tables = {s.file: s.tables for s in built.sections}
    plain = spec(HUMAN, LLAMA, FLAN, metrics=METRICS)
    before = build(collect(make(tmp_path / "other", plain), plain), plain)

    (main,) = tables["table1"]
    assert [head.lines for head in main.heads] == [("Words",), ("n",), ("Overlap",)]
    assert [g.rows[0].cells[1].text for g in main.groups] == ["20", "40", "40"]
    rest = [head.lines for table in tables["table-detail"] for head in table.heads]
    assert rest == [("Words",), ("Overlap",)]
    assert built.results == before.results


def test_a_name_that_two_metrics_share_needs_the_metrics():
    """Alone it would be ambiguous; with the metric's name it never is."""
    names = named_columns({"a-00000000": Toy("same"), "b-00000000": Toy("same")})

    assert set(names) == {"n", "a.same_overlap", "a.same_words", "b.same_overlap", "b.same_words"}


def test_an_unknown_column_is_an_error_with_all_names_and_the_nearest(tmp_path: Path):
    """Of a configuration before anything is planned, and of a report before it is written."""
    with pytest.raises(ConfigError, match=r"report\.columns.*Did you mean 'rouge1'.*bleu"):
        read("demo", ['report.columns=["rogue1"]'])
    about = spec(LLAMA, FLAN, columns=("toy_overlaps",))
    run = make(tmp_path / "run", about)
    with pytest.raises(UnknownName, match=r"Did you mean 'toy_overlap'.*toy_words"):
        build(collect(run, about), about)
