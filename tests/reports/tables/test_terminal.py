"""Tables for the eye of who started the run."""

import re

from reports.tables import terminal
from tests.paper_tables import paper_table


def test_the_terminal_shows_marks_beside_the_numbers():
    """The best of a column, and the second."""
    text = terminal.text(paper_table())

    assert re.search(r"Prompt 2 +0\.0139\* +0\.2675\*", text)
    assert "* best, + second among models" in text
