"""``[evaluate] ids``: exactly the rows that a list names, and no identity moves without one."""

from pathlib import Path

import pytest

from empathy_core.data import DataSpec, EvaluateSpec, changes, identity, prepare, source
from empathy_core.errors import DataError
from empathy_core.store import EVALUATED
from jobs.config import read as configuration

DATA = DataSpec((source("sample"),))


def ids_of(evaluate: EvaluateSpec) -> list[str]:
    """Return the ids of the evaluated rows."""
    return sorted(prepare(DATA, evaluate).examples.filter(EVALUATED)["id"])


def test_only_the_rows_of_the_list_are_evaluated(tmp_path: Path) -> None:
    """In any order, blank lines ignored; a limit draws among them."""
    every = ids_of(EvaluateSpec(split="validation"))
    chosen = every[::3]
    path = tmp_path / "ids.txt"
    path.write_text("\n\n".join(reversed(chosen)) + "\n")

    assert ids_of(EvaluateSpec(split="validation", ids=str(path))) == chosen
    assert set(ids_of(EvaluateSpec(split="validation", ids=str(path), limit=2))) < set(chosen)


def test_an_id_of_another_side_is_refused(tmp_path: Path) -> None:
    """A row of the test split does not slip in, and a misspelt one is not lost."""
    path = tmp_path / "ids.txt"
    path.write_text(ids_of(EvaluateSpec(split="test"))[0] + "\n")
    with pytest.raises(DataError, match=r"evaluate.ids names 1 ids? that .* split 'validation'"):
        prepare(DATA, EvaluateSpec(split="validation", ids=str(path)))
    path.write_text("\n")
    with pytest.raises(DataError, match="holds no id: expected one a line"):
        prepare(DATA, EvaluateSpec(split="validation", ids=str(path)))


def test_the_identity_is_of_the_ids_and_not_of_the_file(tmp_path: Path) -> None:
    """A run without a list is what it was; another list is another run."""
    one, two, other = (tmp_path / f"{name}.txt" for name in ("one", "two", "other"))
    one.write_text("a\nb\n")
    two.write_text("b\n\na\n")
    other.write_text("a\n")
    found = [identity(DATA, EvaluateSpec(ids=str(path))) for path in (one, two, other)]

    assert "ids" not in identity(DATA, EvaluateSpec())["evaluate"]
    assert changes(found[0], found[1]) == []
    assert changes(found[0], found[2])
    assert changes(identity(DATA, EvaluateSpec()), found[0])


def test_the_list_is_found_beside_the_configuration(tmp_path: Path) -> None:
    """As every path of a configuration."""
    (tmp_path / "c.toml").write_text(
        'name = "c"\n[data.sources.sample]\n[evaluate]\nids = "ids.txt"\n'
        '[models.echo]\nprompts = ["none"]\n[metrics.length]\n'
    )
    config = configuration.read(str(tmp_path / "c.toml"))

    assert config.evaluate.ids == str(tmp_path / "ids.txt")
