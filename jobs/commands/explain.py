"""``explain``: where a number comes from, or what happened to a task."""

import json
from dataclasses import dataclass
from typing import Annotated

from jobs.commands.options import Argument, LogOptions


@dataclass(frozen=True, kw_only=True)
class ExplainOptions(LogOptions):
    """Show where a number comes from, or what happened to a task.

    WHAT is a number's key, as macros.tex and results.csv have it (llama.prompt2.rouge1,
    llama.prompt2-vs-llama.none.rouge1), or a condition's (llama.prompt2): rows, model, prompt,
    files, commit, and the command that makes it again. Or it is a task as status and logs name it
    (generate-<model>-00003-of-00008), a condition's id, a model, or an array task (12_3): attempts,
    nodes, times, class of failure, what to do.
    """

    what: Annotated[str | None, Argument("number, condition, task or model", "WHAT")] = None


def explain(options: ExplainOptions) -> int:
    """Show where a number comes from, or what happened to a task.

    Raises:
        ConfigError: Nothing is named, or nothing of the run is called so.
    """
    from jobs.commands.console import existing, print_out
    from jobs.commands.views import array_tasks, failures, number

    run = existing(options)
    if options.what and number.is_key(run, options.what):
        print_out(number.explained(run, options.what, options.changes, as_json=options.json))
        return 0
    found = array_tasks.named(run, options.what, failed=options.failed)
    read = found.read()
    nodes = [node.node for node in read.nodes]
    if options.json:
        shown = [array_tasks.as_json(run, *entry, nodes) for entry in read.histories]
        shown += [array_tasks.local_json(run, task) for task in found.here]
        print_out(json.dumps(shown, indent=1))
        return 0
    if options.failed:
        print_out("\n".join(failures.text(run, read, found.here)) or found.nothing)
        return 0
    for entry in read.histories:
        print_out(array_tasks.text(run, *entry, nodes))
    for task in found.here:
        print_out(array_tasks.local_text(run, task))
    return 0
