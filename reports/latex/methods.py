r"""The appendix that the tables' notes point to: ``methods.tex``. Pure."""

from collections.abc import Sequence

from reports.latex.table import source
from reports.tables.table import Table


def methods_label(main: str) -> str:
    """Return the label of the appendix; *main* is the main table's."""
    return f"{main}-methods"


def methods(tables: Sequence[Table], label: str, stamp: str) -> str:
    r"""Return LaTeX that says of each table that the paper holds how its numbers were made."""
    noted = [table.words for table in tables if table.words.sentences]
    return source("methods.tex.j2", tables=noted, label=label, stamp=stamp)
