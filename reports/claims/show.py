"""Findings → text for a terminal. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from textwrap import fill

from empathy_core.counted import counted
from reports.claims.checks import Check
from reports.claims.citable_numbers import Citable
from reports.claims.findings import VERDICTS, Checked, Findings
from reports.claims.judge import Judged
from reports.claims.typed_numbers import HALF, Typed
from reports.labels import count, number, p_text

LISTED = 8
"""Counter-examples and typed numbers that are listed; the rest are counted."""
FEW = 3
"""Comparisons that are listed of a claim that is not false."""

_LABELS = {"false": "FALSE", "error": "ERROR", "cannot be told": "undecided"}
"""Verdicts that are printed otherwise than in ``--json``."""
_QUOTED = 70


def text(found: Findings, width: int) -> str:
    """Return everything for the eyes, no line wider than *width* where words can be parted."""
    blocks = [_head(found), *(_block(of, width) for of in found.checked)]
    if found.problems:
        problems = [f"{p.place}: {p.message}" for p in found.problems]
        blocks.append("\n".join(_wrapped("ERROR  ", line, width) for line in problems))
    if found.files:
        blocks.append("\n".join(_numbers(found, width)))
    blocks.append("\n".join(_counted(found, width)))
    return "\n\n".join(blocks)


def _head(found: Findings) -> str:
    if not found.correction:
        return f"claims against {found.source}: as printed, without rows and without tests"
    stamp = f" [{found.stamp}]" if found.stamp else ""
    return f"claims against {found.source}{stamp}: p corrected by {found.correction}"


_TIED = "\N{NO-BREAK SPACE}"
"""Between words that belong on one line."""


def _wrapped(indent: str, line: str, width: int) -> str:
    filled = fill(
        line, max(width, 40), initial_indent=indent, subsequent_indent=" " * len(indent),
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return filled.replace(_TIED, " ")


# ---------------------------------------------------------------------------- claims


def _block(of: Checked, width: int) -> str:
    claim, judged = of.claim, of.judged
    label = _LABELS.get(judged.verdict, judged.verdict)
    where = f" ({claim.where})" if claim.where else ""
    lines = [_wrapped(f"{label:<15}  ", f"{claim.says}   {claim.place}{where}", width)]
    lines += [_wrapped("    ", _quoted(quote), width) for quote in claim.quotes]
    lines += [_wrapped("  ", line, width) for line in _reasons(judged)]
    return "\n".join(lines)


def _quoted(quote: str) -> str:
    cut = (
        quote[: _QUOTED - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}" if len(quote) > _QUOTED else quote
    )
    return f"\N{LEFT DOUBLE QUOTATION MARK}{cut}\N{RIGHT DOUBLE QUOTATION MARK}"


def _reasons(judged: Judged) -> Iterator[str]:
    shown, most = _telling(judged), LISTED if judged.verdict == "false" else FEW
    if judged.reason:
        yield judged.reason
    for check in shown[:most]:
        yield check_line(replace(check, note="") if check.note == judged.reason else check)
    if judged.verdict == "true" and len(shown) == 1 < len(judged.checks):
        yield f"the weakest of {len(judged.checks)} comparisons"
    if len(shown) > most:
        yield f"and {len(shown) - most} more: --json lists all"
    if judged.left_out:
        yield f"left out, since there is no number: {', '.join(judged.left_out)}"


def _telling(judged: Judged) -> Sequence[Check]:
    """Return the comparisons that the verdict follows from; of a true claim the weakest.

    Under most columns, those against it.
    """
    found = judged.checks
    against = [c for c in found if c.holds is False]
    weak = [c for c in found if not c.shown]
    if judged.verdict in ("not testable", "cannot be told"):
        return found
    if judged.verdict == "false" or against:
        return against or weak
    if judged.verdict == "not significant":
        return weak
    return found if len(found) <= FEW else [max(found, key=_weakness)]


def _weakness(check: Check) -> tuple[bool, float, float]:
    """Return what grows the less it takes for the claim to fail."""
    gap = check.gap
    scale = max(abs(check.score or 0), abs(check.other or 0)) or 1
    near = abs(gap.value or 0) * (1 if check.note.startswith("bound") else -1 / scale)
    return not check.shown, gap.p or 0, near


def check_line(check: Check) -> str:
    """Return a comparison in words: scores, difference, interval, p and n."""
    column, gap = check.measure.column, check.gap
    parts = list(_scores(check))
    if gap.value is not None and check.right:
        parts.append(f"difference {number(gap.value, column, signed=True)}")
    if gap.low is not None and gap.high is not None:
        signed = bool(check.right)
        low, high = (number(v, column, signed=signed) for v in (gap.low, gap.high))
        parts[-1] += f" [{low}, {high}]"
    if check.note and check.note != "ranges":
        parts.append(check.note)
    if gap.p is not None and not check.note.startswith("bound"):  # there the interval decides
        text = p_text(gap.p)
        parts.append(f"p {text}" if text.startswith("<") else f"p = {text}")
    if gap.n is not None:
        known = gap.n_questions
        questions = "" if known in (None, gap.n) else f" ({count(known)} questions)"
        parts.append(f"n = {count(gap.n)}{questions}")
    return f"{check.measure.title}: {', '.join(part.replace(' ', _TIED) for part in parts)}"


def _scores(check: Check) -> Iterator[str]:
    column, gap = check.measure.column, check.gap
    one, two = (number(v, column) for v in (check.score, check.other))
    if check.note == "ranges":
        yield f"range of {check.left} {one}"
        yield f"of {check.right} {two}"
    elif check.right:
        yield f"{check.left} {one}"
        yield f"{check.right} {two}"
    elif gap.value is not None:
        yield f"{check.left} from {two} to {one}"
        yield f"range {number(gap.value, column)}"
    else:
        yield f"{check.left} {one}"


# ---------------------------------------------------------------------------- numbers


def _numbers(found: Findings, width: int) -> Iterator[str]:
    files = f"{len(found.files)} files" if len(found.files) > 1 else found.files[0]
    doubtful = found.doubtful
    in_doubt = f", {len(doubtful)} doubtful" if doubtful else ""
    yield (
        f"numbers typed by hand in {files}: {len(found.typed)}, of which {len(found.unknown)} "
        f"match no result{in_doubt}"
    )
    same = [_same(of, of.same) for of in found.typed if of.same and not of.doubt]
    doubted = [_doubted(of, of.same) for of in doubtful if of.same]
    for lines in ([_unknown(of) for of in found.unknown], doubted, same):
        yield from (_wrapped("  ", line, width) for line in lines[:LISTED])
        if len(lines) > LISTED:
            yield f"  and {len(lines) - LISTED} more: --json lists all"
    for warning in found.warnings:
        yield _wrapped("warning  ", warning, width)


def _unknown(of: Typed) -> str:
    fact = f"{of.place}: {of.text} matches no result"
    near = of.nearest
    if near is None:
        return f"{fact}: the report has no such test" if of.text.startswith("p ") else fact
    if of.how:
        return f"{fact}; {of.how} {near.macro} is {near.text}"
    return f"{fact}; the nearest is {_printed(near)}"


def _printed(near: Citable) -> str:
    return f"{near.text}, {near.macro}"


def _doubted(of: Typed, same: Citable) -> str:
    near = f"; the nearest of that is {_printed(of.nearest)}" if of.nearest else ""
    return f"{of.place}: {of.text} has the digits of {_written(of, same)}, but {of.doubt}{near}"


def _written(of: Typed, same: Citable) -> str:
    """Return what a number is of *same*."""
    how = f"{of.how} " if of.how in ("100 x", HALF) else ""
    after = f" {of.how}" if of.how and not how else ""
    return f"{how}{same.macro}{after}{f' ({same.text})' if of.how else ''}"


def _same(of: Typed, same: Citable) -> str:
    others = f" (or {counted(of.n_same - 1, 'other')})" if of.n_same > 1 else ""
    written = _written(of, same)
    if not of.named:
        return f"{of.place}: {of.text} has the digits of {written}{others}, not named near it"
    verb = "may be written" if same.command and not of.how else "is"
    return f"{of.place}: {of.text} {verb} {written}{others}"


def _counted(found: Findings, width: int) -> Iterator[str]:
    counts = found.counts
    shown = [f"{counts[v]} {_LABELS.get(v, v).lower()}" for v in VERDICTS[:-1]
             if counts[v] or v in ("true", "false")]  # fmt: skip
    wrong = counts["error"] + len(found.problems)
    shown += [f"{wrong} not understood"] if wrong else []
    n = len(found.checked)
    yield _wrapped("", f"{n} claim{'s' * (n != 1)}: {', '.join(shown)}", width)
