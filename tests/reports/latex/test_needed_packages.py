"""Tests of LaTeX are skipped where a package is not installed, and fail there under CI."""

from pathlib import Path

import pytest

from tests import papers

SYSTEM = (Path(papers.__file__).parent / "system.sh").read_text()


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no program and no file of TeX be found."""
    monkeypatch.setattr(papers, "installed", lambda name: False)


@pytest.mark.parametrize("names", papers.OF_CLASS.values(), ids=list(papers.OF_CLASS))
def test_what_is_missing_fails_under_ci_and_says_what_to_install(
    nothing_installed: None, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
):
    """Each package by Debian's name, and the script that installs it."""
    monkeypatch.setenv("CI", "true")

    with pytest.raises(pytest.fail.Exception, match=r"tests/system\.sh") as failed:
        papers.need(*names)

    assert all(papers.DEBIAN[name] in str(failed.value) for name in names)


def test_elsewhere_the_test_is_skipped(nothing_installed: None, monkeypatch: pytest.MonkeyPatch):
    """A test with the mark does not begin."""
    monkeypatch.delenv("CI", raising=False)

    @papers.needs_latex
    def test() -> None:
        raise AssertionError

    with pytest.raises(pytest.skip.Exception, match="poppler-utils"):
        test()


@pytest.mark.parametrize("name", papers.DEBIAN)
def test_the_script_looks_for_each_and_installs_it(name: str):
    """What a test needs stands on one line with the package that has it."""
    lines = SYSTEM.replace("||\n", "|| ").splitlines()

    assert any(name in line and papers.DEBIAN[name] in line for line in lines)
