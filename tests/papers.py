"""What tests of LaTeX need: whether TeX is there, and what a PDF says."""

import os
import shutil
import subprocess
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import Any

import pytest

DEBIAN = {
    "pdflatex": "texlive-latex-recommended",
    "pdftotext": "poppler-utils",
    "beamer.cls": "texlive-latex-recommended",
    "siunitx.sty": "texlive-science",
    "IEEEtran.cls": "texlive-publishers",
    "llncs.cls": "texlive-publishers",
    "ptmr7t.tfm": "texlive-fonts-recommended",
    "pgfmath.sty": "texlive-pictures",
}
"""Programs and files of TeX that tests need → Debian's package, which ``system.sh`` installs."""
OF_CLASS = {
    "IEEEtran": ("IEEEtran.cls", "ptmr7t.tfm"),
    "llncs": ("llncs.cls",),
    "beamer": ("beamer.cls", "pgfmath.sty"),
}
"""Class of documents → what it needs."""


@cache
def installed(name: str) -> bool:
    """Tell whether a program is there, or a file where TeX finds it."""
    if "." not in name:
        return shutil.which(name) is not None
    found = shutil.which("kpsewhich") and subprocess.run(
        ["kpsewhich", name], capture_output=True, check=False
    )
    return bool(found) and found.returncode == 0


def need(*names: str) -> None:
    """Skip the test where one of *names* is not installed; under CI that is a failure."""
    absent = {DEBIAN[name]: name for name in names if not installed(name)}
    if not absent:
        return
    listed = ", ".join(f"{package} (Debian) for {name}" for package, name in absent.items())
    end = pytest.fail if os.environ.get("CI") else pytest.skip
    end(f"not installed here: {listed}; see tests/system.sh")


def needs_latex(test: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a test that compiles LaTeX and reads the PDF."""

    @wraps(test)
    def checked(*args: Any, **kwargs: Any) -> Any:
        need("pdflatex", "siunitx.sty", "pdftotext")
        return test(*args, **kwargs)

    return checked


def pdf_text(pdf: Path) -> str:
    """Return the text of the pages as they are laid out."""
    command = ["pdftotext", "-layout", str(pdf), "-"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
