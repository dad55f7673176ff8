"""The command line: ``python -m jobs.launch sweep | data | report | status | prefetch``.

Exit codes: 0 done, 1 some work failed, 2 a mistake that you can mend, 3 rows are missing or
damaged, 130 stopped by Ctrl-C. Heavy libraries are imported when a command needs them, so that
``--help`` answers at once.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

DESCRIPTION = """\
Evaluate how language models answer mental-health questions.

  python -m jobs.launch sweep                    the demo: a small real model, on this machine
  python -m jobs.launch sweep --config paper     the paper's Table 1 (needs the weights)
  python -m jobs.launch sweep --dry-run          what would be done, and what each model will see
  python -m jobs.launch status                   what is done
"""

EPILOG = """\
A configuration is a TOML file (or the name of a shipped one: demo, paper). Any value can be
changed with --set, for example:  --set evaluate.limit=8  --set decoding.greedy.max_new_tokens=64
Exit codes: 0 done, 1 some work failed, 2 a mistake to mend, 3 rows missing or damaged.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    from empathy_core.errors import EmpathyError
    from jobs import commands

    try:
        return int(getattr(commands, options.command)(options))
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
    "data": """\
print the data audit: rows in and out, duplicates, leaks, lengths, licences

Reads the sources of the configuration, cleans and splits them, and writes nothing.
""",
    "report": """\
merge the scores of a run and write its tables and page

Every (condition, example) must be there exactly once, with one provenance; otherwise it refuses
with exit code 3 and names the file. --partial reports what is there and stamps every page.
""",
    "status": """\
show what of a run is done, from its files alone
""",
    "prefetch": """\
fetch everything a configuration needs, on a node with internet

Afterwards everything runs with HF_HUB_OFFLINE=1. Gated models need HF_TOKEN, or the Hub's own
login (hf auth login); a token never stands in a configuration.
""",
}


def _common() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", default="demo", help="a TOML file, or demo | paper (demo)")
    common.add_argument(
        "--set", action="append", default=[], dest="overrides", metavar="A.B=C",
        help="change one value of the configuration; may be given several times",
    )  # fmt: skip
    common.add_argument("--runs", type=Path, default=Path("runs"), help="folder of runs (./runs)")
    common.add_argument("--name", help="name of the run (the configuration's)")
    common.add_argument("--json", action="store_true", help="print JSON")
    return common


def _own(name: str, command: argparse.ArgumentParser) -> None:
    if name == "sweep":
        command.add_argument(
            "--executor", choices=("auto", "local", "slurm"), default="auto",
            help="auto: Slurm where it is configured, else this machine (auto)",
        )  # fmt: skip
        command.add_argument(
            "--dry-run", action="store_true",
            help="print conditions, shards, work to do and done, and one rendered prompt each",
        )  # fmt: skip
    if name == "report":
        command.add_argument(
            "--partial", action="store_true", help="report what is there, stamped PARTIAL n/N"
        )
        command.add_argument(
            "--recheck", type=int, default=0, metavar="N",
            help="also recompute N rows of every metric through the reference libraries",
        )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
