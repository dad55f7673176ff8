"""What a paper says, against the numbers of a run or of a published table."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from empathy_core.errors import ConfigError, DataError
from empathy_core.store import RunDir
from reports.claims import manuscript
from reports.claims.citable_numbers import Citable
from reports.claims.claim_files import Claim, Claims, Problem, read_comments, read_toml
from reports.claims.evidence import Evidence
from reports.claims.findings import Checked, Findings
from reports.claims.judge import judge
from reports.claims.manuscript import Manuscript, Place
from reports.claims.names import Names
from reports.claims.typed_numbers import find
from reports.tables import published

DEFAULT = Path("claims.toml")


@dataclass(frozen=True, slots=True)
class CheckedAgainst:
    """What is checked against."""

    evidence: Evidence
    citables: tuple[Citable, ...]
    stamp: str = ""


@dataclass(slots=True)
class _Read:
    """What the files hold."""

    claims: list[Claim] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    manuscripts: list[Manuscript] = field(default_factory=list)

    def add(self, claims: Claims) -> None:
        self.claims += claims.claims
        self.aliases |= claims.aliases
        self.problems += claims.problems


def check(files: Sequence[Path], numbers: CheckedAgainst) -> Findings:
    """Return what of the claims and typed numbers in *files* holds."""
    read = _read(files)
    names = Names(numbers.evidence, read.aliases)
    return Findings(
        source=numbers.evidence.source,
        correction=numbers.evidence.correction,
        stamp=numbers.stamp,
        checked=tuple(Checked(claim, judge(claim.says, names)) for claim in read.claims),
        problems=tuple(read.problems),
        warnings=tuple(w for m in read.manuscripts for w in m.warnings),
        typed=tuple(t for m in read.manuscripts for t in find(m, numbers.citables)),
        files=tuple(f.name for m in read.manuscripts for f in m.files),
    )


# ---------------------------------------------------------------------------- files


def files_meant(named: Sequence[str], published_table: str | None) -> list[Path]:
    """Return the files that are *named*, or else the published table's own, or ``claims.toml``.

    Raises:
        ConfigError: There is none.
    """
    if named:
        return list(dict.fromkeys(map(Path, named)))
    if published_table:
        own = published.FOLDER / f"{published_table}_claims.toml"
        if own.is_file():
            return [own]
    if DEFAULT.is_file():
        return [DEFAULT]
    msg = (
        f"no file of claims: expected {DEFAULT} here, or the name of a .toml or .tex file; "
        "claims --suggest prints some to begin with"
    )
    raise ConfigError(msg)


def _read(paths: Sequence[Path]) -> _Read:
    read = _Read()
    for path in paths:
        if path.suffix == ".tex":
            _read_tex(path, read)
        elif path.suffix == ".toml":
            own = path.name if path.parent == published.FOLDER else ""
            read.add(read_toml(path, own))
        else:
            read.problems.append(Problem(Place(str(path)), "expected a .toml or a .tex file"))
    return read


def _read_tex(path: Path, read: _Read) -> None:
    try:
        paper = manuscript.read(path)
    except DataError as error:
        read.problems.append(Problem(Place(str(path)), str(error)))
        return
    known = {Path(file.name).resolve() for m in read.manuscripts for file in m.files}
    if path.resolve() not in known:  # what another file includes was read with it
        read.manuscripts.append(paper)
        read.add(read_comments(paper))


# ---------------------------------------------------------------------------- numbers


def numbers_of_published(name: str) -> CheckedAgainst:
    """Return what a published table holds.

    Raises:
        UnknownName: There is none of that name.
    """
    from reports.claims.citables import citables_of_published
    from reports.claims.evidence_of_run import evidence_of_published

    evidence = evidence_of_published(published.load(name))
    return CheckedAgainst(evidence, citables_of_published(evidence))


def numbers_of_run(run: RunDir, changes: Sequence[str], *, partial: bool) -> CheckedAgainst:
    """Return what the report of a run holds.

    Raises:
        ConfigError: *changes* (``--set``) contradict its report.
        Incomplete: The run is not complete, and *partial* is false.
    """
    from jobs.commands.views.as_written import written_spec
    from jobs.planning.plan_file import last_plan
    from reports.claims.citables import citables_of_run
    from reports.claims.evidence_of_people import with_corrected
    from reports.claims.evidence_of_run import evidence_of_run
    from reports.keys import condition_keys
    from reports.numbers.adapter_vs_base import compare
    from reports.numbers.aggregate import aggregate
    from reports.numbers.corrected import peoples_numbers
    from reports.numbers.derived import compare_derived
    from reports.numbers.every_result import every_result
    from reports.numbers.flagged import flagged_answers
    from reports.numbers.people_results import HeldAgainstPeople
    from reports.numbers.prompt_effects import spreads
    from reports.rows.collect import collect
    from reports.tables import notes

    written = written_spec(run, last_plan(run)[0], changes)
    collected = collect(run, written, partial=partial)
    people = HeldAgainstPeople.of(collected, written)
    spec = people.spec
    aggregated = aggregate(collected, spec)
    compared = compare(collected, spec)
    corrected = peoples_numbers(collected, spec)
    evidence = evidence_of_run(
        spec, aggregated.summary, aggregated.pairs, spreads(collected, spec),
        f"the run {run.root.name}", compared,
    )  # fmt: skip
    evidence = with_corrected(evidence, spec, corrected)
    made = compare_derived(collected, spec)
    printed = every_result(spec, aggregated, people, compared, corrected, made)
    stamp = notes.stamp(collected) or notes.empties(flagged_answers(collected, spec), spec)
    keys = condition_keys(spec.conditions)
    contrasts = {
        c.name: (c.label, tuple(dict.fromkeys(keys[i] for pair in c.pairs for i in pair)))
        for c in spec.analysis.contrasts
    }
    return CheckedAgainst(evidence, citables_of_run(printed, evidence, contrasts), stamp)


# ---------------------------------------------------------------------------- suggestions


def suggested(numbers: CheckedAgainst, *, as_json: bool) -> str:
    """Return claims that are true and significant, as a file of claims or as JSON."""
    from reports.claims.suggest import suggest

    claims = suggest(numbers.evidence)
    if as_json:
        return json.dumps({"source": numbers.evidence.source, "claims": list(claims)}, indent=1)
    return "\n".join(_as_toml(claims, numbers))


def _as_toml(claims: Sequence[str], numbers: CheckedAgainst) -> Iterator[str]:
    stamp = f" [{numbers.stamp}]" if numbers.stamp else ""
    yield f"# true and significant in {numbers.evidence.source}{stamp}; in LaTeX: % claim: ..."
    if not claims:
        yield "# there is none: no difference is significant, or there are fewer than 20 questions"
    for says in claims:
        yield f"\n[[claims]]\nsays = {json.dumps(says)}"
