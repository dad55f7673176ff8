"""What a reader of one format is, and what it is given. Frozen values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from empathy_core.annotation.readers.content import FileContent
from empathy_core.annotation.readers.entries import RatingFile
from empathy_core.annotation.round_items import AskedRound, ScaleName
from empathy_core.errors import DataError


@dataclass(frozen=True, slots=True)
class FileMap:
    """What the command line says of the columns of a table.

    Attributes:
        columns: What a column is for (``item``, ``dimension``, ``value``, ``rater`` …) → its name.
        codes: Column of a survey → (item, dimension), where a mapping file says so.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    codes: Mapping[str, tuple[str, str]] = field(default_factory=dict)


NO_MAP = FileMap()


@dataclass(frozen=True, slots=True)
class GivenFile:
    """A file that came back, and what is known of it.

    Attributes:
        content: What is in it.
        asked: The round that it belongs to.
        map: What the command line says of its columns.
    """

    content: FileContent
    asked: AskedRound
    map: FileMap = NO_MAP

    def scale(self, said: str) -> ScaleName | None:
        """Return the one question of the round that a column's name means; null for none.

        Raises:
            DataError: It may mean several.
        """
        found = self.asked.scale(said)
        if len(found) > 1:
            several = " or ".join(map(scale_text, found))
            msg = (
                f"{self.content.name}: '{said}' may mean {several}; expected a name of one "
                "question; rename the column so"
            )
            raise DataError(msg)
        return found[0] if found else None


@dataclass(frozen=True, slots=True)
class FormatReader:
    """How files of one format are recognised and read.

    Attributes:
        label: As printed.
        looks_like: How such a file is known, for the message on an unknown one.
        recognises: Whether a file is one of them.
        read: Its entries.
    """

    label: str
    looks_like: str
    recognises: Callable[[GivenFile], bool]
    read: Callable[[GivenFile], RatingFile]


def scale_text(name: ScaleName) -> str:
    """Return the full name of a question, as entries call it."""
    return f"{name[0]}.{name[1]}"
