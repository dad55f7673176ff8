"""``claims``: what a paper says, against the numbers of a run or of a published table."""

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from jobs.commands.options import Argument, Option, RunOptions

if TYPE_CHECKING:  # heavy: see jobs.commands
    from jobs.commands.views.claims_checked import CheckedAgainst


@dataclass(frozen=True, kw_only=True)
class ClaimsOptions(RunOptions):
    """Check what a paper says against the numbers of a run, or of a published table.

    FILE is a claims.toml, with tables [[claims]] says = "llama prompt2 > none on rouge1" (quote and
    where are optional, [names] for words of your own), or the paper's LaTeX, with comments
    "% claim: llama prompt2 > none on rouge1"; there, numbers typed by hand are looked up as well,
    and "% claims: ignore" leaves a line out. A wrong claim is answered with all forms that there
    are. Exit code 4 if a claim is false; with --strict also if it may be chance, cannot be decided,
    or if a typed number is no result. --published huang2024 checks the paper that this suite
    repeats.
    """

    files: Annotated[tuple[str, ...], Argument("./claims.toml, or LaTeX", "FILE")] = ()
    name: Annotated[
        str | None,
        Option("name of the run; the configuration's if absent", "NAME", ("--name", "--run")),
    ] = None
    published: Annotated[
        str | None, Option("check against a published table, not against a run", "NAME")
    ] = None
    partial: Annotated[bool, Option("check against what is there of a run")] = False
    strict: Annotated[bool, Option("what is not plainly true fails as well")] = False
    suggest: Annotated[bool, Option("print claims that are true and significant")] = False


def claims(options: ClaimsOptions) -> int:
    """Check claims and typed numbers, and print what does not hold.

    Raises:
        ConfigError: There is no file of claims, or nothing to suggest claims from.
        Incomplete: The run is not complete and ``--partial`` is not given.
    """
    from jobs.commands.console import print_out
    from jobs.commands.views.claims_checked import check, files_meant, suggested
    from reports.claims import show
    from reports.claims.findings import MISTAKE, as_json
    from reports.claims.grammar import forms

    if options.suggest:
        print_out(suggested(_numbers(options), as_json=options.json))
        return 0
    files = files_meant(options.files, options.published)
    findings = check(files, _numbers(options))
    code = findings.exit_code(strict=options.strict)
    if options.json:
        shown = as_json(findings, strict=options.strict)
        print_out(json.dumps(shown, indent=1, ensure_ascii=False))
        return code
    print_out(show.text(findings, shutil.get_terminal_size((100, 24)).columns))
    if code == MISTAKE:
        print_out(f"\nA claim has one of these forms (m: columns, or all):\n{forms()}")
    return code


def _numbers(options: ClaimsOptions) -> "CheckedAgainst":
    from empathy_core.errors import ConfigError
    from jobs.commands.console import existing
    from jobs.commands.views.claims_checked import numbers_of_published, numbers_of_run

    if options.published is None:
        return numbers_of_run(existing(options), options.changes, partial=options.partial)
    if options.suggest:
        msg = (
            "a printed table has no rows, so nothing in it can be called significant: "
            "--suggest needs a run"
        )
        raise ConfigError(msg)
    if options.name:
        msg = "--published and --name name two sources to check against: leave one of them out"
        raise ConfigError(msg)
    return numbers_of_published(options.published)
