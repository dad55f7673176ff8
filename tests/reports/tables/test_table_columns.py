"""Which columns stand in Table 1 is configuration: any column of any metric, and n."""

from pathlib import Path

import pytest

from empathy_core.errors import ConfigError
from jobs.config.read import read
from reports.build import build
from reports.rows.collect import collect
from reports.tables.columns import named_columns
from tests.runs.by_hand import FLAN, HUMAN, LLAMA, Toy, make, spec
from tests.runs.command_line import write_config

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
    with pytest.raises(ConfigError, match=r"Did you mean 'toy_overlap'.*toy_words"):
        build(collect(run, about), about)


def wrong(folder: Path, columns: str) -> str:
    """Return the error of a configuration without BERTScore whose columns are these."""
    with pytest.raises(ConfigError) as error:
        read(str(write_config(folder)), [f"report.columns={columns}"])
    return str(error.value)


def test_every_wrong_column_is_told_with_the_nearest(tmp_path: Path):
    """Misspelt with their metric's name or alone; all names that there are stand once."""
    told = wrong(tmp_path, '["rouge.rougl", "rouge.rouge1", "rogue2", "n"]')

    assert "has 2 problems" in told
    assert "unknown column 'rouge.rougl'. Did you mean 'rouge.rougeL'?" in told
    assert "unknown column 'rogue2'. Did you mean 'rouge2'? Known: bleu, " in told
    assert told.count("Known:") == 1


def test_a_column_that_is_named_twice_is_refused_by_name(tmp_path: Path):
    """Under one name, or under both names that it has."""
    told = wrong(tmp_path, '["n", "rouge1", "n", "rouge.rouge1"]')

    assert "column 'n' is named more than once; name it once" in told
    assert "column 'rouge.rouge1' is 'rouge1', which stands there; name it once" in told
    assert "has 2 problems" in told


def test_a_column_of_a_metric_that_is_not_computed_says_which_to_add(tmp_path: Path):
    """It is known to the suite, so it is not called unknown; a misspelt one is guessed."""
    told = wrong(tmp_path, '["bertscore_f1", "bertscor.f1", "f1"]')
    add = "this run does not compute it: add [metrics.bertscore] to the configuration and sweep"

    assert f"column 'bertscore_f1' is known, but {add}" in told
    assert f"unknown column 'bertscor.f1'. Did you mean 'bertscore_f1'? But {add}" in told
    assert f"unknown column 'f1'. Did you mean 'bertscore_f1'? But {add}" in told


def test_a_report_tells_every_wrong_column_too(tmp_path: Path):
    """Of a run that is there, where report --set names the columns."""
    about = spec(LLAMA, FLAN, columns=("toy_overlaps", "n", "n"))
    run = make(tmp_path / "run", about)
    with pytest.raises(ConfigError, match=r"(?s)2 problems.*'toy_overlap'.*'n' is named more"):
        build(collect(run, about), about)
