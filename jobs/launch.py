"""The command line: ``python -m jobs.launch sweep | status | retry | report | …``.

Exit codes: 0 done, 1 some work failed, 2 a usage error or a training that the preflight stopped,
3 rows are missing or damaged, 4 a claim does not hold, 130 stopped by Ctrl-C. Heavy libraries are
imported when a command needs them, so that ``--help`` answers at once.
"""

import argparse
import gc
import sys
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, fields
from difflib import get_close_matches
from importlib import import_module
from keyword import iskeyword
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from jobs.commands.options import Option, RunOptions

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


COMMANDS = (
    "sweep", "preflight", "finetune", "refine", "merge", "data", "report", "claims", "status",
    "retry", "explain", "logs", "cancel", "diagnose", "gc", "prefetch", "annotate plan",
    "annotate export", "annotate import", "annotate adjudicate", "annotate refine",
)  # fmt: skip
"""Files of ``jobs.commands``: each has a function of its own name, which takes its options.

Two words are a file of a folder there. What Python keeps for itself has ``_`` at its end, as the
file ``import_.py`` with a function ``import_`` would.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    # most objects of a command are modules, which stay: to look them through takes a third of it
    gc.set_threshold(50_000, 20, 50)
    command, options = parse(arguments)
    import logging

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    from empathy_core.errors import EmpathyError

    try:
        return body_of(command)(options)
    except EmpathyError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nstopped: what was finished is kept; the same command continues", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as head, has seen enough
        sys.stderr.close()
        return 0


def body_of(command: str) -> Callable[[Any], int]:
    """Return the function that does a command's work and returns the exit code."""
    *folder, word = command.split()
    name = f"{word}_" if iskeyword(word) else word
    module = import_module(".".join(("jobs.commands", *folder, name)))
    body: Callable[[Any], int] = getattr(module, name)
    return body


def options_of(command: str) -> type[RunOptions]:
    """Return the dataclass of a command's options: the type of what its function takes."""
    options: type[RunOptions] = get_type_hints(body_of(command))["options"]
    return options


def parse(arguments: Sequence[str] | None = None) -> tuple[str, RunOptions]:
    """Return a command and its options; without *arguments*, those of this process.

    Raises:
        SystemExit: With 0 after ``--help``, with 2 after a usage error.
    """
    given = vars(parser().parse_args(arguments))
    command = given.pop("command")
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    return command, options_of(command)(**values)


# ---------------------------------------------------------------------------- parser


class _Parser(argparse.ArgumentParser):
    """A parser that suggests the nearest option, under the usage of the command itself."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            known = self._option_string_actions
            words = (word.partition("=")[0] for word in unknown)
            close = [m for word in words for m in get_close_matches(word, known, n=1)]
            guess = f"; did you mean {' '.join(close)}?" if close else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{guess}")
        return parsed, unknown


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands, made of their options."""
    raw = argparse.RawDescriptionHelpFormatter
    whole = _Parser(
        prog="python -m jobs.launch", description=DESCRIPTION, epilog=EPILOG, formatter_class=raw
    )
    settings: dict[str, Any] = {"dest": "command", "required": True, "metavar": "COMMAND"}
    below: dict[str, Any] = {"": whole.add_subparsers(**settings)}
    for name in COMMANDS:
        folder, _, word = name.rpartition(" ")
        if folder not in below:
            text = str(import_module(f"jobs.commands.{folder}").__doc__)
            group = _command(below[""], folder, text)
            below[folder] = group.add_subparsers(**settings)
        options = options_of(name)
        command = _command(below[folder], word, options.__doc__ or "")
        command.set_defaults(command=name)
        hints = get_type_hints(options, include_extras=True)
        for field in fields(options):
            _add(command, field, hints[field.name])
    return whole


def _command(below: Any, word: str, text: str) -> argparse.ArgumentParser:
    """Add a command, or a folder of commands, that is described by the docstring *text*."""
    text = text.replace("\n    ", "\n").strip()
    added: argparse.ArgumentParser = below.add_parser(
        word,
        help=text.splitlines()[0],
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return added


def _add(command: argparse.ArgumentParser, field: Field[Any], hint: Any) -> None:
    """Add a field of a command's options to its parser; ``Option`` or ``Argument`` is in *hint*."""
    kind, shown = hint.__origin__, hint.__metadata__[0]
    required = field.default is MISSING
    settings: dict[str, Any] = {"help": shown.help, **_reading(kind)}
    if field.default not in (MISSING, None, False, ()):
        settings["help"] += f" (default: {field.default})"
    if shown.metavar is not None:
        settings["metavar"] = shown.metavar
    # a list has no default here, since argparse would append to it: the dataclass has one
    settings["default"] = argparse.SUPPRESS if field.default in (MISSING, ()) else field.default
    if isinstance(shown, Option):
        flags = shown.flags or (f"--{field.name.replace('_', '-')}",)
        command.add_argument(*flags, dest=field.name, required=required, **settings)
    elif settings.pop("action", None) == "append":
        command.add_argument(field.name, nargs="*", **settings)
    else:
        command.add_argument(field.name, nargs=None if required else "?", **settings)


def _reading(kind: Any) -> dict[str, Any]:
    """Return how argparse reads a value of the type *kind*, or null."""
    if NoneType in get_args(kind):
        (kind,) = (k for k in get_args(kind) if k is not NoneType)
    if kind is bool:
        return {"action": "store_true"}
    if get_origin(kind) is Literal:
        return {"choices": get_args(kind)}
    if get_origin(kind) is not tuple:
        return {"type": kind}
    items = get_args(kind)
    return {"action": "append"} if items[-1] is Ellipsis else {"nargs": len(items)}


if __name__ == "__main__":
    sys.exit(main())
