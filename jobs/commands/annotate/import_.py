"""``annotate import``: what raters sent back, into the run."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from jobs.commands.options import Argument, Option, RunOptions


@dataclass(frozen=True, kw_only=True)
class AnnotateImportOptions(RunOptions):
    """Bring back what raters sent: files of the page, spreadsheets, Label Studio, Potato, surveys.

    A file's format is found by its content. Each file is imported whole or not at all; one that was
    imported before changes nothing; a later one of the same rater adds to, or replaces, what is
    there. Every repair and every problem is listed. Ratings are left out only by the rules of
    [annotate.exclude], which without FILES are applied anew. No name of a rater is kept.
    """

    files: Annotated[tuple[str, ...], Argument("what raters returned", "FILES")] = ()
    dry_run: Annotated[bool, Option("say what would be imported, and write nothing")] = False
    round: Annotated[str | None, Option("round that they are of; found by the items if absent")] = (
        None
    )
    map: Annotated[
        tuple[str, ...],
        Option("columns of a table: item=A,dimension=B,value=C,rater=D", "NAME=COLUMN,…"),
    ] = ()
    codes: Annotated[
        Path | None, Option("which column of a survey is about which item: qualtrics.csv", "FILE")
    ] = None
    rater: Annotated[
        tuple[str, ...],
        Option("who somebody is whom a file names; may be given several times", "NAME=R01"),
    ] = ()


def import_(options: AnnotateImportOptions) -> int:
    """Import what raters returned, and say what was found.

    Raises:
        ConfigError: There is no such run or round, or an option is wrong.
        DataError: ``--codes`` cannot be read.
        Damaged: A file of a round cannot be read.
    """
    from datetime import UTC, datetime

    from empathy_core.annotation.importing import ImportRules
    from empathy_core.annotation.readers import FileMap
    from jobs.commands.console import print_out, warn
    from jobs.commands.views.rating import rating_settings
    from jobs.commands.views.rating_import import exit_code, import_record, import_text
    from jobs.planning.ratings import returned

    settings = rating_settings(options)
    rounds = returned.open_rounds(settings.run, options.round)
    rules = ImportRules(
        map=FileMap(returned.column_map(options.map), returned.survey_codes(options.codes)),
        raters=returned.declared_raters(options.rater, rounds),
        exclude=settings.table.exclude.rules(),
        now=datetime.now(UTC).isoformat(timespec="milliseconds"),
        dry_run=options.dry_run,
    )
    files = [Path(name) for name in options.files]
    outcomes = returned.import_files(settings.run, rounds, files, rules)
    for failed in (one for one in outcomes if one.error):
        warn(f"{failed.name} was not imported: {failed.error}")
    if options.json:
        print_out(json.dumps(import_record(outcomes, rounds, rules), indent=1, ensure_ascii=False))
    else:
        print_out(import_text(settings.run, outcomes, rounds, rules))
    return exit_code(outcomes)
