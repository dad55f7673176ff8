"""Every link of the pages leads somewhere."""

from pathlib import Path

import pytest

from tests.docs.markdown_pages import DOCS, PAGES, README, anchors, links


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_to_files_and_headings_that_exist(page: Path):
    """Neither a page nor a heading has gone."""
    broken = []
    for link in links(page):
        if link.startswith(("https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)

    assert not broken


def test_the_readme_and_the_index_lead_to_every_page():
    """No page can be reached by search alone."""
    pages = {page.name for page in DOCS.glob("*.md")} - {"index.md"}

    assert pages <= {Path(link).name for link in links(README)}
    assert pages <= set(links(DOCS / "index.md"))
