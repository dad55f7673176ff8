"""The site is built without a warning, and the software can be cited."""

import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

from tests.docs.markdown_pages import DOCS, ROOT


def test_the_site_is_built_without_warnings_and_asks_no_other_host(tmp_path: Path):
    """Every page is there, and loads nothing from another place."""
    site = tmp_path / "html"
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet",
         "--doctree-dir", str(tmp_path / "trees"), str(DOCS), str(site)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    pages = {page.stem for page in DOCS.glob("*.md")}
    assert pages <= {page.stem for page in site.glob("*.html")}
    loaded = [
        word
        for page in site.glob("*.html")
        for word in page.read_text(encoding="utf-8").split()
        if word.startswith(("src=", "srcset=")) and "//" in word
    ]
    assert not loaded


def test_the_citation_names_the_software_its_version_and_the_paper():
    """As CITATION.cff 1.2.0 wants it; version and licence are the project's."""
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert cited["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(cited)
    assert cited["type"] == "software"
    assert (cited["title"], cited["version"]) == (project["name"], project["version"])
    assert cited["license"] == project["license"]
    (paper,) = cited["references"]
    assert paper["year"] == 2024
    assert [a["family-names"] for a in paper["authors"]] == ["Huang", "Khan"]
