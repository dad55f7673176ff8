"""What tests of LaTeX need: whether TeX is there, and what a PDF says."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

UNDER_CI = os.environ.get("CI") == "true"
"""Under CI everything must be there: what is missing fails, and is not skipped."""


def installed(file: str) -> bool:
    """Whether TeX finds *file*."""
    if UNDER_CI:
        return True
    found = shutil.which("kpsewhich") and subprocess.run(
        ["kpsewhich", file], capture_output=True, check=False
    )
    return bool(found) and found.returncode == 0


needs_latex = pytest.mark.skipif(
    not (installed("article.cls") and installed("siunitx.sty")),
    reason="not installed: pdflatex, siunitx (Debian: texlive-latex-recommended, texlive-science)",
)


def pdf_text(pdf: Path) -> str:
    """Return the text of the pages as they are laid out; skip the test where nothing reads it."""
    if shutil.which("pdftotext") is None and not UNDER_CI:
        pytest.skip("pdftotext is not installed (Debian: poppler-utils)")
    command = ["pdftotext", "-layout", str(pdf), "-"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
