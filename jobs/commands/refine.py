"""``refine``: a better prompt, chosen on validation rows and tested once."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from jobs.commands.options import Argument, ExecutorOptions, Option, ResourceOptions

if TYPE_CHECKING:  # heavy: see jobs.commands
    from empathy_core.store import RunDir
    from jobs.commands.refining.steps import StepRunner
    from jobs.config.schema import Config
    from jobs.planning.refining.settings import BegunRefinement


@dataclass(frozen=True, kw_only=True)
class RefineOptions(ResourceOptions, ExecutorOptions):
    """Look for a better prompt as [refine.<name>] says: choose on validation, test once.

    Candidates, written by hand or proposed by a model, are compared with the parent prompt in
    rounds on growing parts of the validation rows; the best, if it is better than the parent, is
    tested once on the test rows. Each step is an ordinary run in <run>/refine/NAME. The same
    command continues after anything at all; on Slurm it submits one step after another, with --wait
    without being called again. For ratings by people and their guidelines see annotate refine.
    """

    what: Annotated[
        str | None, Argument("which [refine.<name>]; needed where there are several", "NAME")
    ] = None
    wait: Annotated[bool, Option("on Slurm, wait for each step and go on, until all is done")] = (
        False
    )
    export: Annotated[
        Path | None,
        Option("write rows and candidates as JSONL for DSPy into this folder, and stop", "FOLDER"),
    ] = None


def refine(options: RefineOptions) -> int:
    """Do the steps of a refinement that are not done, and print what came of it.

    Raises:
        ConfigError: The configuration is wrong, or no candidate can take part.
        EmpathyError: Anything else that the user must fix first; nothing computed is touched.
    """
    from jobs.commands.console import executor_of, print_out, run_dir, warn_all
    from jobs.commands.refining.steps import StepPending, StepRunner
    from jobs.config import read as configuration
    from jobs.config.refinements import remarks
    from jobs.planning.refining.settings import begin

    config = configuration.read(options.config, options.changes)
    name = _chosen(config, options)
    run = run_dir(options, config.name)
    begun = begin(config, name, run)
    if options.export is not None:
        from jobs.commands.refining.exported import export

        print_out(export(begun, config, run, options.export))
        return 0
    warn_all(remarks(config, begun.table))
    executor = executor_of(options.executor, quiet=options.json)
    runner = StepRunner(executor, options, options.wait, options.json)
    try:
        return _steps(config, begun, run, runner, options)
    except StepPending as pending:
        if not pending.exit_code and not options.json:
            print_out("run the same command again when it is done: it goes on from there")
        return pending.exit_code


def _steps(
    config: "Config",
    begun: "BegunRefinement",
    run: "RunDir",
    runner: "StepRunner",
    options: RefineOptions,
) -> int:
    from jobs.commands.console import print_out, relative
    from jobs.commands.refining.found import found, taking_part
    from jobs.commands.refining.rounds import rank
    from jobs.commands.refining.tested import outcome
    from jobs.planning.refining.looks import counted_looks
    from reports.tables.refined import text

    made = found(config, begun, runner)
    ranked = rank(config, begun, taking_part(made), runner)
    ended = outcome(config, begun, run, made, ranked, runner)
    if options.json:
        print_out(begun.folder.outcome.read_text())
    else:
        print_out(text(ended, counted_looks(run)))
        print_out(f"\nprompts, rankings and outcome: {relative(begun.folder.root)}")
    return 0


def _chosen(config: "Config", options: RefineOptions) -> str:
    """Return which refinement is meant.

    Raises:
        ConfigError: There is none, or there are several and none is named.
        UnknownName: There is none of that name.
    """
    from empathy_core.errors import ConfigError, UnknownName

    if not config.refine:
        msg = (
            f"the configuration '{options.config}' has no [refine.<name>] table; expected one with "
            "model, parent and target; see docs/refinement.md"
        )
        raise ConfigError(msg)
    if options.what is None and len(config.refine) > 1:
        msg = (
            f"there are several refinements ({', '.join(config.refine)}): expected the name of "
            "one; add it behind refine"
        )
        raise ConfigError(msg)
    name = options.what or next(iter(config.refine))
    if name not in config.refine:
        raise UnknownName("refinement", name, config.refine)
    return name
