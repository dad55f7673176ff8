"""Every command with its options, as the parsers have them."""

import argparse
from collections.abc import Sequence

from jobs import launch
from reference_parts.keys import NO_TEXT
from reference_parts.markdown import markdown, prose, table


def commands() -> str:
    """Return every command with its options, as the parsers have them."""
    found = parsers(launch.parser())
    common = _common(list(found.values()))
    parts = [f"### Options of every command\n\n{_options(common)}"]
    for name, command in found.items():
        first, _, rest = (command.description or "").strip().partition("\n")
        own = [a for a in _actions(command) if _names(a) not in {_names(c) for c in common}]
        usage = f"```text\n{_usage(name, own)}\n```"
        text = f"{first[0].upper()}{first[1:].rstrip('.')}.\n\n{prose(rest)}".strip()
        parts.append("\n\n".join(filter(None, (f"### {name}", text, usage, _options(own)))))
    return "\n\n".join(parts)


def parsers(of: argparse.ArgumentParser, above: str = "") -> dict[str, argparse.ArgumentParser]:
    """Return command → its parser; a command in a folder has two words."""
    found = {}
    for sub in of._actions:
        if isinstance(sub, argparse._SubParsersAction):
            for word, parser in sub.choices.items():
                name = f"{above} {word}".strip()
                found |= parsers(parser, name) or {name: parser}
    return found


def _actions(command: argparse.ArgumentParser) -> list[argparse.Action]:
    return [a for a in command._actions if not isinstance(a, argparse._HelpAction)]


def _names(action: argparse.Action) -> tuple[str, ...]:
    return tuple(action.option_strings) or (action.dest,)


def _common(found: Sequence[argparse.ArgumentParser]) -> list[argparse.Action]:
    """Return the options that all commands have."""
    named = [{_names(a) for a in _actions(command)} for command in found]
    shared = set.intersection(*named)
    return [a for a in _actions(found[0]) if _names(a) in shared]


def _shown(action: argparse.Action) -> str:
    """Return an option with the place of its value, as in ``--mem GB``."""
    metavar = action.metavar
    if action.choices and not metavar:
        metavar = "{" + ",".join(map(str, action.choices)) + "}"
    values = " ".join(metavar) if isinstance(metavar, tuple) else metavar or action.dest.upper()
    if not action.option_strings:
        return values
    return action.option_strings[0] + ("" if action.nargs == 0 else f" {values}")


def _usage(name: str, own: Sequence[argparse.Action]) -> str:
    words = []
    for action in own:
        text = _shown(action)
        if action.nargs == "*":
            text = f"[{text} …]"
        elif action.nargs == "?" or (action.option_strings and not action.required):
            text = f"[{text}]"
        words.append(text)
    return " ".join(["python -m jobs.launch", name, *words])


def _options(found: Sequence[argparse.Action]) -> str:
    rows = [
        (f"`{_shown(a)}`".replace("|", "\\|"), markdown(_escaped(a.help or NO_TEXT))) for a in found
    ]
    return table(("option", "meaning"), rows) if rows else ""


def _escaped(text: str) -> str:
    return prose(text.replace("%%", "%"))
