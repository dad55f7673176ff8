"""What was found about claims and typed numbers, and what that makes of the exit code. Pure."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, get_args

from reports.claims.checks import Check
from reports.claims.citable_numbers import Citable
from reports.claims.claim_files import Claim, Problem
from reports.claims.judge import Judged, Verdict
from reports.claims.typed_numbers import Typed

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

HOLDS, MISTAKE, DOES_NOT_HOLD = 0, 2, 4
"""Exit codes: all is well; something must be fixed first; a claim is false."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A claim and its verdict."""

    claim: Claim
    judged: Judged


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that one call found.

    Attributes:
        source: What the numbers are of.
        correction: Whose p is given; empty where there are no rows.
        stamp: That the run is partial, or doubtful; else empty.
        problems: Of files that could not be read as they stand.
        warnings: About LaTeX: files not followed, labels that are used twice.
        typed: Numbers typed by hand; empty without LaTeX.
        files: LaTeX files that were read.
    """

    source: str
    correction: str
    stamp: str
    checked: tuple[Checked, ...]
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()
    typed: tuple[Typed, ...] = ()
    files: tuple[str, ...] = ()

    @property
    def counts(self) -> Counter[str]:
        """How many claims have each verdict."""
        return Counter(of.judged.verdict for of in self.checked)

    @property
    def unknown(self) -> tuple[Typed, ...]:
        """Typed numbers that are no result."""
        return tuple(t for t in self.typed if t.same is None)

    @property
    def doubtful(self) -> tuple[Typed, ...]:
        """Typed numbers that have the digits of a result of which the text does not speak."""
        return tuple(t for t in self.typed if t.doubt)

    def exit_code(self, *, strict: bool) -> int:
        """Return the exit code; *strict*: whatever is not plainly true does not hold."""
        counts = self.counts
        if self.problems or counts["error"]:
            return MISTAKE
        doubtful = sum(counts[v] for v in VERDICTS if v not in ("true", "false", "error"))
        doubtful += len(self.unknown) + len(self.doubtful) + len(self.warnings)
        return DOES_NOT_HOLD if counts["false"] or (strict and doubtful) else HOLDS


# ---------------------------------------------------------------------------- for machines


def as_json(found: Findings, *, strict: bool) -> dict[str, Any]:
    """Return everything; null where a number is not there."""
    return {
        "source": found.source,
        "correction": found.correction or None,
        "stamp": found.stamp or None,
        "claims": [_claim(of) for of in found.checked],
        "problems": [
            {"file": p.place.file, "line": p.place.line or None, "message": p.message}
            for p in found.problems
        ],
        "numbers": [_typed(t) for t in found.typed],
        "warnings": list(found.warnings),
        "files": list(found.files),
        "counts": dict(_counts(found)),
        "exit_code": found.exit_code(strict=strict),
    }


def _counts(found: Findings) -> Iterator[tuple[str, int]]:
    for verdict in VERDICTS:
        yield verdict, found.counts[verdict]


def _claim(of: Checked) -> dict[str, Any]:
    claim, judged = of.claim, of.judged
    return {
        "says": claim.says,
        "file": claim.place.file,
        "line": claim.place.line or None,
        "quotes": list(claim.quotes),
        "where": claim.where or None,
        "verdict": judged.verdict,
        "reason": judged.reason or None,
        "left_out": list(judged.left_out),
        "checks": [_check(c) for c in judged.checks],
    }


def _check(check: Check) -> dict[str, Any]:
    gap = asdict(check.gap)
    return {
        "column": check.measure.key,
        "left": check.left,
        "right": check.right or None,
        "left_score": check.score,
        "right_score": check.other,
        "difference": gap["value"],
        **{name: gap[name] for name in ("low", "high", "p", "n", "n_questions")},
        "holds": check.holds,
        "shown": check.shown,
        "note": check.note or None,
    }


def _typed(of: Typed) -> dict[str, Any]:
    def cited(citable: Citable | None) -> dict[str, Any] | None:
        if citable is None:
            return None
        return {"key": citable.key, "macro": citable.macro, "text": citable.text}

    return {
        "file": of.place.file,
        "line": of.place.line or None,
        "typed": of.text,
        "same": cited(of.same),
        "n_same": of.n_same,
        "named": of.named,
        "how": of.how or None,
        "doubt": of.doubt or None,
        "nearest": cited(of.nearest),
    }
