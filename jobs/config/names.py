"""Whether the names of a configuration can be names of folders and files."""

from collections.abc import Iterator
from pathlib import Path

from empathy_core.errors import ConfigError
from empathy_core.store import one_name
from jobs.config import contrasts
from jobs.config.judges import metric_options
from jobs.config.schema import Config


def unusable(config: Config) -> Iterator[str]:
    """Yield what is wrong with names that become part of those of folders and files."""
    for place, name in _folders(config):
        try:
            one_name(name, ".html")
        except ConfigError as error:
            yield f"{place}: {error}"


def _folders(config: Config) -> Iterator[tuple[str, str]]:
    """Yield where it is said and the longest name of a file that is made of it."""
    decoding = max((*config.decoding, "asis"), key=len)
    for model, prompt in dict.fromkeys(contrasts.asked(config)):
        stem = Path(prompt).stem if prompt.endswith(".toml") else prompt
        place = f"models.{model[:60]}: it, its prompt and decoding name a folder together"
        yield place, f"{model}.{stem}.{decoding}-00000000"
        yield f"models.{model[:60]}", f"generate-{model}-00000000-00000-of-00000"
    for name in metric_options(config):
        yield f"metrics.{name[:60]}", f"score-{Path(name).stem}-00000000-00000-of-00000"
