"""What the commands about people's ratings follow: a run, its plan, and ``[annotate]``."""

from collections.abc import Mapping
from dataclasses import dataclass

from empathy_core.store import RunDir
from jobs.commands.console import existing
from jobs.commands.options import RunOptions
from jobs.config import read as configuration
from jobs.config.annotate import AnnotateTable
from jobs.planning.plan import Plan
from jobs.planning.plan_file import last_plan


@dataclass(frozen=True)
class RatingSettings:
    """What a command about ratings follows.

    Attributes:
        run: The run.
        plan: Its newest.
        table: ``[annotate]``: of the configuration that was named, or else of the plan.
        licences: Source → licence, where a configuration was named.
    """

    run: RunDir
    plan: Plan
    table: AnnotateTable
    licences: Mapping[str, str]


def rating_settings(options: RunOptions) -> RatingSettings:
    """Return what a command line means.

    ``--name`` alone means the configuration that the run was planned with, in which ``--set`` may
    change ``[annotate]``; a configuration that is named may have changed since.

    Raises:
        ConfigError: There is no such run, or the configuration is wrong.
        Incomplete: The run was never planned.
    """
    run = existing(options)
    plan, _ = last_plan(run)
    if options.name and options.config == RunOptions.config:
        own = plan.config.get("annotate", {})
        table = configuration.annotate_table(own, options.changes)
        return RatingSettings(run, plan, table, {})
    config = configuration.read(options.config, options.changes)
    licences = {source.name: source.licence for source in config.data_spec().sources}
    return RatingSettings(run, plan, config.annotate, licences)
