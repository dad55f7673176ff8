"""Rubrics: one TOML file each; the file name is the rubric's name.

The keys are the fields of ``empathy_core.rubrics.spec.Rubric``. The same text is read by judges
and by people (``rendering``), and its digest says which text that was.
"""

import tomllib
from pathlib import Path

from empathy_core.errors import ConfigError
from empathy_core.rubrics.checks import checked
from empathy_core.rubrics.spec import Rubric
from empathy_core.shipped import find, names_in

_HERE = Path(__file__).parent


def names() -> list[str]:
    """Return the names of the rubrics that ship."""
    return names_in(_HERE)


def rubric(name: str) -> Rubric:
    """Return the rubric of that name.

    Raises:
        UnknownName: No file in this folder is called so.
    """
    return read(find("rubric", name, _HERE, "Or give the path of a .toml file of your own."))


def wordings(name: str) -> tuple[Rubric, ...]:
    """Return a rubric and the paraphrases of it that ship, in the order of their names.

    Raises:
        UnknownName: No rubric is called so.
    """
    paraphrases = (rubric(other) for other in names() if other != name)
    return (rubric(name), *(other for other in paraphrases if other.paraphrase_of == name))


def read(path: Path) -> Rubric:
    """Return the rubric in a file; its name is the file's.

    Raises:
        ConfigError: The file is missing or not TOML, or what it says is no rubric.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"rubric {path} cannot be read ({error}); expected a TOML file; fix it or its path"
        raise ConfigError(msg) from error
    found, problems = checked(path.stem, table)
    if found is None or problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        model = _HERE / "emotionqueen.toml"
        msg = f"rubric {path} cannot be used:\n{listed}\nCorrect it; see {model} for a model."
        raise ConfigError(msg)
    return found


def require_single_reply(asked: Rubric) -> None:
    """Refuse a rubric that may not be asked of a single reply.

    Raises:
        ConfigError: It may not; the message has its reason.
    """
    if not asked.single_reply:
        msg = (
            f"rubric '{asked.name}' cannot be asked of a single reply: "
            f"{asked.why_not_single_reply} Expected one with single_reply = true; choose another."
        )
        raise ConfigError(msg)
