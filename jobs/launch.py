"""The command line: ``python -m jobs.launch sweep | status | retry | report | …``.

Exit codes: 0 done, 1 some work failed, 2 a mistake that you can mend, 3 rows are missing or
damaged, 4 a claim does not hold, 130 stopped by Ctrl-C. Heavy libraries are imported when a command
needs them, so that ``--help`` answers at once.
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

DESCRIPTION = """\
Evaluate how language models answer mental-health questions.

  python -m jobs.launch sweep                    the demo: a small real model, on this machine
  python -m jobs.launch sweep --config finetune  a small qLoRA fine-tune beside its base: Table 2
  python -m jobs.launch sweep --config paper     the paper's Tables 1 and 2 (needs the weights)
  python -m jobs.launch sweep --dry-run          what would be done, and what each model will see
  python -m jobs.launch status                   what is done

On a cluster (where sbatch is configured) sweep submits job arrays and returns; then:
  status --watch    explain TASK    logs TASK    retry --mem 32    cancel    gc
"""

EPILOG = """\
A configuration is a TOML file (or the name of a shipped one: demo, finetune, paper). Any value
can be changed with --set, for example:
  --set evaluate.limit=8  --set decoding.greedy.max_new_tokens=64
Exit codes: 0 done, 1 some work failed, 2 a usage error or a training that the preflight stopped,
3 rows missing or damaged, 4 a claim does not hold.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    options = _parser().parse_args(arguments)
    if getattr(options, "profile", None):
        options.overrides.insert(0, f"slurm.profile={json.dumps(options.profile)}")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    from empathy_core.errors import EmpathyError

    try:
        module = import_module(f"jobs.commands.{MODULES[options.command]}")
        return int(getattr(module, options.command)(options))
    except EmpathyError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nstopped: what was finished is kept; the same command goes on", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as head, has seen enough
        sys.stderr.close()
        return 0


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m jobs.launch", description=DESCRIPTION, epilog=EPILOG, formatter_class=raw
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = _common()
    for name, text in COMMANDS.items():
        first = text.strip().splitlines()[0]
        command = commands.add_parser(
            name, help=first, description=text, parents=[common], formatter_class=raw
        )
        _own(name, command)
    return parser


COMMANDS = {
    "sweep": """\
plan, generate, score and report; only what is missing is done

The run directory is the state: call the same command again after anything at all (Ctrl-C, a
power cut, an error that you mended) and it goes on from the last finished block. A new model,
prompt, decoding or metric in the configuration simply grows the run; changed data or splits are
refused, since rows must not move under answers that are there.
""",
    "preflight": """\
look for what would break a fine-tune, before it is trained

Shows a row as tokens with its labels, checks every row, and tries the base on eight of them:
whether it can learn them, give them back, and stop. Exit code 2 if anything is wrong.
""",
    "finetune": """\
train the adapters of [finetune.*], and nothing else

As sweep does before it answers with them: preflight, training with checkpoints, the finished
adapter in <run>/adapters. The same command goes on after anything at all.
""",
    "merge": """\
merge an adapter into its base, and save the whole model

Into the base at full precision, never into quantised weights. How far the logits move is
measured and printed; too far is an error, and nothing is written.
""",
    "data": """\
print the data audit: rows in and out, duplicates, leaks, lengths, licences

Reads the sources of the configuration, cleans and splits them. With --export FILE it writes
the evaluated examples instead (columns example and question): answer them elsewhere, add the
answers as a column text, and name that file under [answers.<name>].
""",
    "report": """\
merge the scores of a run and write its tables and page

Every (condition, example) must be there exactly once, with one provenance; otherwise it refuses
with exit code 3 and names the file. --partial reports what is there and stamps every page.
--set report.intervals=none and the like change [report] without a new sweep.
""",
    "claims": """\
check what a paper says against the numbers of a run, or of a published table

FILE is a claims.toml, with tables [[claims]] says = "llama prompt2 > none on rouge1" (quote and
where at will, [names] for words of your own), or the paper's LaTeX, with comments
"% claim: llama prompt2 > none on rouge1"; there, numbers typed by hand are looked up as well,
and "% claims: ignore" leaves a line out. A wrong claim is answered with all forms that there are.
Exit code 4 if a claim is false; with --strict also if it may be chance, cannot be told, or if a
typed number is no result. --published huang2024 checks the paper that this suite repeats.
""",
    "status": """\
show what of a run is done, running, queued and failed

From the run's files, and from one query of squeue; without Slurm, from the files alone.
""",
    "retry": """\
submit again what was submitted to Slurm and failed

Nothing that is done or in the queue is submitted. --mem, --time and --exclude change what the
elements get; scoring and the report follow anew.
""",
    "explain": """\
tell where a number comes from, or what happened to a task on Slurm

WHAT is a number's key, as macros.tex and results.csv have it (llama.prompt2.rouge1,
llama.prompt2-vs-llama.none.rouge1), or a condition's (llama.prompt2): rows, model, prompt,
files, commit, and the command that makes it again. Or it is a task as status and logs name it
(generate-<model>-00003-of-00008), a condition's id, a model, or an element (12_3): attempts,
nodes, times, class of failure, what to do.
""",
    "logs": """\
print the logs of a task, a condition or a model on Slurm, or of all that failed
""",
    "cancel": """\
cancel what of a run is in Slurm's queue: everything, or one task, condition or model
""",
    "diagnose": """\
answer broken rows of a condition again, step by step, and name the cause

WHAT is a condition's id, or a part of it that no other has. Broken rows come first: empty,
special tokens, echo, repetition, noise, cut at the limit. Loads the model. Also writes
diagnosis/<condition>.html in the run.
""",
    "gc": """\
remove what finished work left: logs and scripts of submissions, old code, what was set aside

Examples, answers, scores, reports and plans stay; so does what failed or is in the queue.
""",
    "prefetch": """\
fetch everything a configuration needs, on a node with internet

Afterwards everything runs with HF_HUB_OFFLINE=1. Gated models need HF_TOKEN, or the Hub's own
login (hf auth login); a token never stands in a configuration.
""",
}


MODULES = {
    "sweep": "sweep", "finetune": "finetune", "preflight": "finetune", "merge": "finetune",
    "status": "status", "report": "report", "claims": "claims", "diagnose": "diagnose",
    "data": "data", "prefetch": "data",
} | dict.fromkeys(("cancel", "explain", "gc", "logs", "retry"), "slurm")  # fmt: skip
"""Command → the module of ``jobs.commands`` that holds its body: no other is imported."""


def _common() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--config", default="demo", help="a TOML file, or demo | finetune | paper (demo)"
    )
    common.add_argument(
        "--set", action="append", default=[], dest="overrides", metavar="A.B=C",
        help="change one value of the configuration; may be given several times",
    )  # fmt: skip
    common.add_argument("--runs", type=Path, default=Path("runs"), help="folder of runs (./runs)")
    common.add_argument("--name", help="name of the run (the configuration's)")
    common.add_argument("--json", action="store_true", help="print JSON")
    return common


def _own(name: str, command: argparse.ArgumentParser) -> None:
    """Add the options that only some commands have."""
    for names, add in OWN:
        if name in names:
            add(command)


def _executor(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--executor", choices=("auto", "local", "slurm"), default="auto",
        help="auto: Slurm where it is configured, else this machine (auto)",
    )  # fmt: skip
    command.add_argument(
        "--profile", metavar="NAME_OR_PATH",
        help="cluster profile: a TOML file, or one that ships (see slurm/profiles)",
    )  # fmt: skip


def _allow(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--allow", action="append", default=[], metavar="FINDING",
        help="go on although the preflight finds this; tables say so for ever",
    )  # fmt: skip


def _preflight(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--rows-only", action="store_true", help="do not load the base: check the rows alone"
    )


def _data(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--export", type=Path, metavar="FILE",
        help="instead, write the evaluated examples, ids and questions, to be answered elsewhere "
        "(.csv, .jsonl or .parquet)",
    )  # fmt: skip


def _merge(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "adapter", metavar="ADAPTER", help="a fine-tune of the run, as status names it"
    )
    command.add_argument("--out", type=Path, required=True, help="folder of the merged model")
    command.add_argument(
        "--bound", type=float, default=1e-2, metavar="LOGITS",
        help="largest distance of any logit that is taken (0.01)",
    )  # fmt: skip


def _sweep(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--dry-run", action="store_true",
        help="print conditions, shards, work to do and done, one rendered prompt each, and the "
        "scripts for Slurm",
    )  # fmt: skip
    command.add_argument(
        "--test-only", action="store_true",
        help="a dry run that also asks Slurm whether it would take every script",
    )  # fmt: skip
    command.add_argument(
        "--pilot", action="store_true",
        help="answer one block with each model first, show five answers of each condition, and "
        "propose shards, time and memory for the whole",
    )  # fmt: skip


def _retry(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--all", action="store_true", help="also what was never submitted, for want of room"
    )


def _what(command: argparse.ArgumentParser) -> None:
    command.add_argument("what", nargs="?", metavar="WHAT", help="task, condition or model")


def _failed(command: argparse.ArgumentParser) -> None:
    command.add_argument("--failed", action="store_true", help="everything that failed")
    command.add_argument(
        "--lines", type=int, default=0, metavar="N", help="only the last N lines of each log"
    )


def _diagnose(command: argparse.ArgumentParser) -> None:
    command.add_argument("what", metavar="WHAT", help="condition, or a unique part of its id")
    command.add_argument("--rows", type=int, default=5, metavar="N", help="at most N rows (5)")
    command.add_argument(
        "--example", action="append", default=[], metavar="ID",
        help="this row; may be given several times",
    )  # fmt: skip
    command.add_argument("--steps", type=int, default=12, metavar="N", help="of each row (12)")
    command.add_argument(
        "--top", type=int, default=5, metavar="K", help="most probable tokens of each step (5)"
    )


def _watch(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--watch", action="store_true", help="look again every 10 s until the queue is empty"
    )


def _report(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--partial", action="store_true", help="report what is there, stamped PARTIAL n/N"
    )
    command.add_argument(
        "--recheck", type=int, default=0, metavar="N",
        help="also recompute N rows of every metric through the reference libraries",
    )  # fmt: skip
    command.add_argument(
        "--compare", nargs=2, metavar=("A", "B"),
        help="instead, show the differences between two runs, paired where they have equal rows; "
        "or between a report (its folder) and a run or report: which numbers moved, and by which "
        "change of the suite",
    )  # fmt: skip


def _claims(command: argparse.ArgumentParser) -> None:
    command.add_argument("files", nargs="*", metavar="FILE", help="./claims.toml, or LaTeX")
    command.add_argument("--run", dest="name", metavar="NAME", help="the same as --name")
    command.add_argument(
        "--published", metavar="NAME", help="check against a published table, not against a run"
    )
    command.add_argument(
        "--partial", action="store_true", help="check against what is there of a run"
    )
    command.add_argument(
        "--strict", action="store_true", help="what is not plainly true fails as well"
    )
    command.add_argument(
        "--suggest", action="store_true", help="print claims that are true and significant"
    )


def _resources(command: argparse.ArgumentParser) -> None:
    command.add_argument("--mem", type=float, metavar="GB", help="memory of an element")
    command.add_argument("--time", type=int, metavar="MIN", help="time limit of an element")
    command.add_argument("--exclude", metavar="NODES", help="keep away from these nodes")


OWN = (
    (("sweep", "finetune"), _executor),
    (("sweep",), _sweep),
    (("sweep", "finetune", "preflight"), _allow),
    (("preflight",), _preflight),
    (("data",), _data),
    (("merge",), _merge),
    (("retry",), _retry),
    (("sweep", "finetune", "retry"), _resources),
    (("logs", "explain", "cancel"), _what),
    (("logs", "explain"), _failed),
    (("diagnose",), _diagnose),
    (("status",), _watch),
    (("report",), _report),
    (("claims",), _claims),
)
"""Options of single commands."""


if __name__ == "__main__":
    sys.exit(main())
