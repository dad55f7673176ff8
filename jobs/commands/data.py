"""``data``: the rows of a configuration, before a sweep."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from jobs.commands.options import Option, RunOptions


@dataclass(frozen=True, kw_only=True)
class DataOptions(RunOptions):
    """Print the data audit: rows in and out, duplicates, leaks, lengths, licences.

    Reads the sources of the configuration, cleans and splits them. Below the audit a few drawn
    rows stand as the first model will get them. With --export FILE it writes the evaluated
    examples instead (columns example and question): answer them elsewhere, add the answers as a
    column text, and name that file under [answers.<name>].
    """

    export: Annotated[
        Path | None,
        Option(
            "instead, write the evaluated examples, ids and questions, to be answered elsewhere "
            "(.csv, .jsonl or .parquet)",
            "FILE",
        ),
    ] = None
    show: Annotated[
        int, Option("rows that are shown as the first model will get them; 0 shows none", "N")
    ] = 5


def data(options: DataOptions) -> int:
    """Print the data audit, or write the evaluated examples to be answered elsewhere.

    Raises:
        ConfigError: The configuration is wrong.
        DataError: A source cannot be read.
    """
    from empathy_core import data as core
    from empathy_core.counted import counted
    from empathy_core.data import audit_text
    from empathy_core.store import EVALUATED
    from jobs.commands.console import print_out
    from jobs.config import read as configuration
    from jobs.planning.resolving.scripts import misread

    config = configuration.read(options.config, options.changes)
    prepared = core.prepare(config.data_spec(), config.evaluate_spec())
    if options.export is None:
        told = misread(config, prepared.examples.filter(EVALUATED))
        audit = {**prepared.audit, "warnings": [*prepared.audit["warnings"], *told]}
        if options.json:
            print_out(json.dumps(audit, indent=1))
            return 0
        print_out(audit_text(audit))
        if options.show > 0:
            from jobs.commands.views.rows_preview import preview

            print_out(preview(config, prepared.examples, options.show))
        return 0
    n = core.export(prepared.examples, options.export)
    if options.json:
        print_out(json.dumps({"exported": str(options.export), "examples": n}))
    else:
        print_out(
            f'{counted(n, "example")}: add a column "text" and name the file under '
            "[answers.<name>] path"
        )
    return 0
