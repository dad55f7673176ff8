"""Numbers become strings in ``reports/labels.py``, so that no two places print one differently."""

import ast
import re
from pathlib import Path

REPORTS = Path(__file__).parents[3] / "reports"
ELSEWHERE = {
    "page/examples.py": "digits of every score for the page's script, the decimal point left out",
}
"""Module that formats numbers itself → why; no reader sees the string."""


def formatted(source: str) -> list[int]:
    """Return the lines in which an f-string or ``%`` says how a number is printed."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
            texts = [of.value for of in ast.walk(node.left) if isinstance(of, ast.Constant)]
            lines += [node.lineno] if any("%" in str(text) for text in texts) else []
        if isinstance(node, ast.FormattedValue) and node.format_spec:
            spec = "".join(
                part.value if isinstance(part, ast.Constant) else "0"
                for part in getattr(node.format_spec, "values", [])
            )
            if re.search(r"[,%]|\d?[fFgGe]$", spec):
                lines.append(node.lineno)
    return lines


def test_numbers_become_strings_in_one_module():
    """No other module of reports formats one but what is listed here, and that does."""
    found = {
        path.relative_to(REPORTS).as_posix(): lines
        for path in sorted(REPORTS.rglob("*.py"))
        if (lines := formatted(path.read_text(encoding="utf-8")))
    }

    assert set(found) == {"labels.py", *ELSEWHERE}


def test_a_format_is_seen_whatever_it_is():
    """Thousands, decimals, percentages, general ones, also where the digits are a variable."""
    for text in ('"%.2f" % x', 'f"%.{d}f " * n % tuple(x)'):
        assert formatted(text) == [1]
    for text in ('f"{n:,}"', 'f"{x:.2f}"', 'f"{x:.0%}"', 'f"{x:g}"', 'f"{x:,.{d}f}"'):
        assert formatted(text) == [1]
    assert formatted('f"{name:>12} {name!r}"') == []
