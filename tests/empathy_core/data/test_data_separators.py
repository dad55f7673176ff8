"""What stands between cells: named, found by the header, or refused with what to set."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from empathy_core.data import Source, TextLayout, reading
from empathy_core.data.separators import MARKS, Ambiguous, separator
from empathy_core.errors import ConfigError, DataError
from jobs.config import read as configuration

FOUND = TextLayout()
ROWS = [("Why, oh; why?", 'So|so, \t"so"; then'), ("2nd\nline", ",;|\t")]


def _written(mark: str, quoting: int = csv.QUOTE_MINIMAL) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=mark, quoting=quoting).writerows([("q", "a"), *ROWS])
    return buffer.getvalue()


def _source(folder: Path, name: str, text: str, layout: TextLayout = FOUND) -> Source:
    path = folder / name
    path.write_bytes(text.encode())
    return Source("own", path=str(path), context=("q",), response="a", layout=layout, missing=())


@pytest.mark.parametrize("name", ["d.csv", "d.tsv"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("mark", MARKS)
def test_a_separator_is_found_by_the_columns(tmp_path: Path, mark: str, quoting: int, name: str):
    """Whatever the texts hold, whatever the file is called, and the same as when it is named."""
    text = _written(mark, quoting)

    for layout in (TextLayout(), TextLayout(separator=mark)):
        rows = reading.read(_source(tmp_path, name, text, layout)).rows
        assert [(row.context, row.response) for row in rows] == ROWS


NAME = st.text("ab,;|\t \"'", min_size=1, max_size=6)


@given(st.lists(NAME, min_size=2, max_size=4, unique=True), st.sampled_from(MARKS))
def test_any_header_is_read_as_it_was_written(names: list[str], mark: str):
    """Names may hold every separator; the one that gives them all is taken."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=mark).writerow(names)

    found = separator(buffer.getvalue(), TextLayout(), ",", names)

    assert not isinstance(found, Ambiguous)
    assert next(csv.reader(io.StringIO(buffer.getvalue(), newline=""), delimiter=found)) == names


def test_the_usual_one_is_taken_where_it_fits(tmp_path: Path):
    """A comma in CSV, though semicolons would divide the header too."""
    source = _source(tmp_path, "d.csv", "q,a,c;d\nWhy?,So.,1\n")

    assert reading.read(source).rows[0].response == "So."


def test_a_file_of_one_column_needs_none(tmp_path: Path):
    """Its texts may hold anything but a comma that is not quoted."""
    path = tmp_path / "d.csv"
    path.write_text('text\n"a; b | c"\n')
    source = Source("own", path=str(path), column="text",
                    pattern="(?P<context>a); (?P<response>.*)")  # fmt: skip

    assert reading.read(source).rows[0].response == "b | c"


def test_several_that_may_be_meant_are_refused_with_all_readings(tmp_path: Path):
    """None has the columns that are named, and two divide the header."""
    source = _source(tmp_path, "d.csv", "question;answer|by\nWhy?;So.|me\n")

    with pytest.raises(DataError) as caught:
        reading.read(source)

    said = str(caught.value)
    assert "can be read in several ways" in said
    assert 'data.sources.own.separator = ";" reads 2 columns (question, answer|by)' in said
    assert 'data.sources.own.separator = "|" reads 2 columns (question;answer, by)' in said


def test_a_wrong_column_is_told_by_those_that_are_there(tmp_path: Path):
    """The only separator that divides the header divides it in the message, too."""
    source = _source(tmp_path, "d.csv", "question;answer\nWhy?;So.\n")

    with pytest.raises(DataError, match=r"no column 'q'.* It has: question, answer"):
        reading.read(source)


def test_a_named_one_is_used_whatever_the_header_says(tmp_path: Path):
    """Nothing is found over what is named."""
    source = _source(tmp_path, "d.csv", "q;a\nWhy?;So.\n", TextLayout(separator=","))

    with pytest.raises(DataError, match=r"no column 'q'.*separator = .;."):
        reading.read(source)


def test_two_characters_are_refused(tmp_path: Path):
    """With the key and what is expected."""
    path = tmp_path / "own.toml"
    path.write_text('name = "own"\n[data.sources.own]\npath = "d.csv"\ncontext = "q"\n'
                    'response = "a"\nseparator = "::"\n[metrics.length]\n')  # fmt: skip

    with pytest.raises(ConfigError, match=r"own\.separator: .*one character.*\"::\""):
        configuration.read(path)
