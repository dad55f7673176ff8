"""Whether a claim holds, and how surely. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from empathy_core.errors import ConfigError
from empathy_core.stats import LEAST_CLUSTERS
from reports.claims.checks import Check, checks
from reports.claims.grammar import parse
from reports.claims.names import Meant, Names
from reports.claims.statements import Alike, Statement

Verdict = Literal["true", "false", "not significant", "cannot be told", "not testable", "error"]

NO_ROWS = "a printed table has no rows, so that nothing can be tested"


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict with what it rests on.

    Attributes:
        verdict: ``not significant``: the numbers are so, but chance is not excluded; ``cannot be
            told``: there are numbers, and they settle it neither way; ``not testable``: there is
            no number, or no test.
        reason: Empty where the checks say it all; the message of an error.
        left_out: Columns of ``all`` or ``most`` for which there is no number.
    """

    verdict: Verdict
    checks: tuple[Check, ...] = ()
    reason: str = ""
    left_out: tuple[str, ...] = ()


def judge(says: str, names: Names) -> Judged:
    """Return whether *says* holds; what cannot be understood is an ``error``."""
    try:
        statement = parse(says)
        meant = names.columns(statement.on)
        found = tuple(checks(statement, names, meant))
    except ConfigError as error:
        return Judged("error", reason=str(error))
    kept = found
    if meant.quantifier != "each":
        kept = tuple(c for c in found if c.score is not None)
    known = {c.measure for c in kept}
    left_out = tuple(m.title for m in meant.measures if m not in known)
    verdict, reason = _decided(statement, kept, meant, tests=bool(names.evidence.correction))
    return Judged(verdict, kept, reason, left_out)


def _decided(
    statement: Statement, found: Sequence[Check], meant: Meant, *, tests: bool
) -> tuple[Verdict, str]:
    if _fails(found, meant):
        return "false", _how_many(found, meant)
    if untold := _untold(statement, found, tests=tests):
        return "not testable", untold
    if unsettled := [c for c in found if c.holds is None]:
        return "cannot be told", unsettled[0].note
    shown = _shown(found, meant)
    if statement.significant:
        return _significantly(found, shown, tests=tests)
    held = _how_many(found, meant) if meant.quantifier == "most" else ""
    return ("true", held) if shown or not tests else ("not significant", _why_not(found, shown))


def _significantly(
    found: Sequence[Check], shown: bool | None, *, tests: bool
) -> tuple[Verdict, str]:
    if shown is None:
        return "not testable", NO_ROWS if not tests else _why_not(found, shown)
    if shown:
        return "true", ""
    return "false", "the direction is right, but it is not significant"


def _fails(found: Sequence[Check], meant: Meant) -> bool:
    if meant.quantifier == "most":
        held, of = _share(found, "holds")
        return bool(of) and 2 * held <= of
    return any(c.holds is False for c in found)


def _share(found: Sequence[Check], name: str) -> tuple[int, int]:
    """Return under how many columns all checks are true in *name*, and of how many columns."""
    columns = dict.fromkeys(c.measure for c in found)
    held = sum(all(getattr(c, name) for c in found if c.measure == m) for m in columns)
    return held, len(columns)


def _untold(statement: Statement, found: Sequence[Check], *, tests: bool) -> str:
    """Return why the claim cannot be told at all; empty where it can."""
    if not found:
        return "there is no number for it"
    if isinstance(statement, Alike) and not tests:
        return NO_ROWS
    lacking = [c for c in found if c.holds is None and (c.gap.value is None or not c.note)]
    if not lacking:
        return ""
    if isinstance(statement, Alike) and lacking[0].score is not None:
        return _why_not(found, None)
    check = lacking[0]
    who = f"{check.left} and {check.right}" if check.right else check.left
    return f"no number under {check.measure.title} for {who}{check.note and f': {check.note}'}"


def _shown(found: Sequence[Check], meant: Meant) -> bool | None:
    """Return whether chance is excluded; null where that was not tested everywhere."""
    if meant.quantifier == "most":
        held, n_columns = _share(found, "shown")
        return 2 * held > n_columns
    if any(c.shown is False for c in found):
        return False
    return None if any(c.shown is None for c in found) else True


def _how_many(found: Sequence[Check], meant: Meant) -> str:
    if meant.quantifier == "most":
        held, n_columns = _share(found, "holds")
        return f"holds under {held} of {n_columns} columns"
    wrong = sum(c.holds is False for c in found)
    return f"{wrong} of {len(found)} comparisons do not hold" if len(found) > 1 else ""


def _why_not(found: Sequence[Check], shown: bool | None) -> str:
    if shown is None:
        few = min((c.gap.n_questions for c in found if c.gap.n_questions), default=0)
        too_few = 0 < few < LEAST_CLUSTERS
        return f"not tested: {few} questions are too few" if too_few else "not tested"
    weak = sum(not c.shown for c in found)
    many = f"{weak} of {len(found)} comparisons" if len(found) > 1 else "it"
    return f"{many} may be due to chance"
