"""What every table of a configuration file has in common."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, ClassVar, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model

NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
"""Names become folders and parts of file names."""


class ConfigModel(BaseModel):
    """A table of the file: unknown keys and wrong types are errors, in dataclasses below it too."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    changes_of: ClassVar[tuple[type, ...]] = ()
    """Dataclasses of the core whose settings the table may change: see ``changing``."""


Model = TypeVar("Model", bound=ConfigModel)


def changing(*specs: type, without: tuple[str, ...] = ()) -> Callable[[type[Model]], type[Model]]:
    """Return a decorator that gives a table a key for each field of dataclasses of the core.

    The keys are called and typed as the fields are; null, their default, leaves the value to what
    the table changes: a source or model that ships, or the dataclass's own default.

    Args:
        specs: Dataclasses; each setting is declared and described there alone.
        without: Fields that are no keys, or keys of another form, which the table declares itself.
    """

    def decorated(cls: type[Model]) -> type[Model]:
        keys: dict[str, Any] = {}
        for spec in specs:
            hints = get_type_hints(spec, include_extras=True)
            names = [f.name for f in fields(spec) if f.name not in without]
            keys |= {name: (hints[name] | None, None) for name in names}
        made = create_model(
            cls.__name__, __base__=cls, __doc__=cls.__doc__, __module__=cls.__module__, **keys
        )
        made.changes_of = (*specs, *cls.changes_of)
        return made

    return decorated
