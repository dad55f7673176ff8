"""The command ``claims``: what a paper says, against the numbers of a run or of a publication."""

import json
import shutil
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from empathy_core.errors import ConfigError, DataError
from jobs.commands.console import existing, say
from reports.claims import manuscript, show
from reports.claims.claim_files import Claim, Claims, Problem, read_comments, read_toml
from reports.claims.evidence import Evidence
from reports.claims.findings import MISTAKE, Checked, Findings, as_json
from reports.claims.grammar import forms
from reports.claims.judge import judge
from reports.claims.manuscript import Manuscript, Place
from reports.claims.names import Names
from reports.claims.shelf import Citable
from reports.claims.typed_numbers import find
from reports.tables import published

DEFAULT = Path("claims.toml")


@dataclass(frozen=True, slots=True)
class _Numbers:
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

    def add(self, found: Claims) -> None:
        self.claims += found.claims
        self.aliases |= found.aliases
        self.problems += found.problems


def claims(options: Namespace) -> int:
    """Check claims and typed numbers, and say what does not hold.

    Raises:
        ConfigError: There is no file of claims, or nothing to suggest claims from.
        Incomplete: The run is not whole and ``--partial`` is not given.
    """
    if options.suggest:
        return _suggest(options)
    read = _read(_files(options))
    numbers = _numbers(options)
    names = Names(numbers.evidence, read.aliases)
    found = Findings(
        source=numbers.evidence.source,
        correction=numbers.evidence.correction,
        stamp=numbers.stamp,
        checked=tuple(Checked(claim, judge(claim.says, names)) for claim in read.claims),
        problems=tuple(read.problems),
        warnings=tuple(w for m in read.manuscripts for w in m.warnings),
        typed=tuple(t for m in read.manuscripts for t in find(m, numbers.citables)),
        files=tuple(f.name for m in read.manuscripts for f in m.files),
    )
    if options.json:
        say(json.dumps(as_json(found, strict=options.strict), indent=1, ensure_ascii=False))
    else:
        say(show.text(found, shutil.get_terminal_size((100, 24)).columns))
    return _ended(found, options)


def _ended(found: Findings, options: Namespace) -> int:
    code = found.exit_code(strict=options.strict)
    if code == MISTAKE and not options.json:
        say(f"\nA claim has one of these forms (m: columns, or all):\n{forms()}")
    return code


# ---------------------------------------------------------------------------- files


def _files(options: Namespace) -> list[Path]:
    """Return the files that are named, or else those that are meant."""
    if options.files:
        return list(dict.fromkeys(map(Path, options.files)))
    if options.published:
        own = published.FOLDER / f"{options.published}_claims.toml"
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
        found = manuscript.read(path)
    except DataError as error:
        read.problems.append(Problem(Place(str(path)), str(error)))
        return
    known = {Path(file.name).resolve() for m in read.manuscripts for file in m.files}
    if path.resolve() not in known:  # what another file includes was read with it
        read.manuscripts.append(found)
        read.add(read_comments(found))


# ---------------------------------------------------------------------------- numbers


def _numbers(options: Namespace) -> _Numbers:
    if options.published and options.name:
        msg = "--published and --name are two things to check against: leave one of them out"
        raise ConfigError(msg)
    if options.published:
        from reports.claims.citables import citables_of_published
        from reports.claims.evidence_of_run import evidence_of_published

        evidence = evidence_of_published(published.load(options.published))
        return _Numbers(evidence, citables_of_published(evidence))
    return _of_run(options)


def _of_run(options: Namespace) -> _Numbers:
    from jobs.commands.as_written import written_spec
    from jobs.planning.plan_file import last_plan
    from reports.claims.citables import citables_of_run
    from reports.claims.evidence_of_run import evidence_of_run
    from reports.keys import condition_keys
    from reports.numbers.adapters import compare
    from reports.numbers.aggregate import aggregate
    from reports.numbers.doubtful import doubtful
    from reports.numbers.prompt_effects import spreads
    from reports.numbers.results import results
    from reports.rows.collect import collect
    from reports.tables import notes

    run = existing(options)
    spec = written_spec(run, last_plan(run)[0], options.overrides)
    collected = collect(run, spec, partial=options.partial)
    found = aggregate(collected, spec)
    compared = compare(collected, spec)
    evidence = evidence_of_run(
        spec, found.summary, found.pairs, spreads(collected, spec), f"the run {run.root.name}",
        compared,
    )  # fmt: skip
    printed = results(spec, found, compared)
    stamp = notes.stamp(collected) or notes.empties(doubtful(collected, spec), spec)
    keys = condition_keys(spec.conditions)
    contrasts = {
        c.name: (c.label, tuple(dict.fromkeys(keys[i] for pair in c.pairs for i in pair)))
        for c in spec.analysis.contrasts
    }
    return _Numbers(evidence, citables_of_run(printed, evidence, contrasts), stamp)


# ---------------------------------------------------------------------------- suggestions


def _suggest(options: Namespace) -> int:
    from reports.claims.suggest import suggest

    if options.published:
        msg = (
            "a printed table has no rows, so nothing in it can be called significant: "
            "--suggest needs a run"
        )
        raise ConfigError(msg)
    numbers = _numbers(options)
    found = suggest(numbers.evidence)
    if options.json:
        say(json.dumps({"source": numbers.evidence.source, "claims": list(found)}, indent=1))
    else:
        say("\n".join(_as_toml(found, numbers)))
    return 0


def _as_toml(found: Sequence[str], numbers: _Numbers) -> Iterator[str]:
    stamp = f" [{numbers.stamp}]" if numbers.stamp else ""
    yield f"# true and significant in {numbers.evidence.source}{stamp}; in LaTeX: % claim: ..."
    if not found:
        yield "# nothing is"
    for says in found:
        yield f"\n[[claims]]\nsays = {json.dumps(says)}"
