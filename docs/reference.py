"""Writes the generated parts of the pages: ``python docs/reference.py`` (``make docs`` calls it).

A generated part stands between ``<!-- generated: NAME -->`` and ``<!-- end of NAME -->``. What it
says comes from the code (``reference_parts``): keys, types, defaults and docstrings of the tables
of a configuration, the parsers of the command line, the files that ship. A test compares the pages
with what this writes.
"""

import ast
import re
import sys
from pathlib import Path

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path[:0] = [str(ROOT), str(DOCS)]

from reference_parts import commands, configuration, metrics, shipped  # noqa: E402
from reference_parts.markdown import markdown, prose, table  # noqa: E402

from reports.claims import grammar  # noqa: E402

COMMAND = "python docs/reference.py"


def forms() -> str:
    """Return the forms of a claim, each with its meaning."""
    rows = [(f"`{form.shown}`", markdown(prose(form.means))) for form in grammar.FORMS]
    return table(("form", "also, or means"), rows)


def folders() -> str:
    """Return the folders of the code, each with the first line of its docstring."""
    rows = []
    for package in ("jobs", "reports", "empathy_core", "slurm"):
        for path in sorted((ROOT / package).rglob("__init__.py")):
            text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            first = text.partition("\n")[0]
            rows.append((f"`{path.parent.relative_to(ROOT)}/`", markdown(prose(first))))
    return table(("folder", "what is in it"), rows)


PARTS = {
    "configuration": configuration.configuration,
    "metrics": metrics.metric_settings,
    "models": shipped.shipped_models,
    "engines": shipped.shipped_engines,
    "prompts": shipped.shipped_prompts,
    "rubrics": shipped.shipped_rubrics,
    "judge_checks": shipped.judge_checks,
    "sources": shipped.shipped_sources,
    "profiles": shipped.shipped_profiles,
    "commands": commands.commands,
    "forms": forms,
    "statistics": metrics.statistics,
    "folders": folders,
}


def rewritten(text: str) -> str:
    """Return a page with its generated parts written anew.

    Raises:
        KeyError: It names a part that is none of ``PARTS``.
    """
    pattern = r"<!-- generated: (\w+) -->\n.*?<!-- end of \1 -->"
    return re.sub(pattern, lambda found: _part(found[1]), text, flags=re.DOTALL)


def _part(name: str) -> str:
    return f"<!-- generated: {name} -->\n\n{PARTS[name]()}\n\n<!-- end of {name} -->"


def main() -> None:
    """Rewrite the generated parts of all pages."""
    for page in sorted(DOCS.glob("*.md")):
        before = page.read_text(encoding="utf-8")
        after = rewritten(before)
        if after != before:
            page.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    main()
