"""Data sets on the Hub, through its own cache; works offline once they are there.

The token is the Hub's own affair (HF_TOKEN or its login). Data sets that bring code are refused by
the library itself.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from empathy_core.data.specs import Source
from empathy_core.data.turns import ROLE_FIELDS
from empathy_core.errors import DataError


def content(source: Source, commit: str) -> dict[str, str | None]:
    """Return what names a data set's rows for good."""
    return {
        "hub": source.hub,
        "hub_config": source.hub_config,
        "hub_split": source.hub_split,
        "commit": commit,
    }


def commit(source: Source) -> str:
    """Return the commit that the source's revision stands for: the Hub's, or the cache's.

    Raises:
        DataError: Unknown, gated, or neither reachable nor cached.
    """
    from huggingface_hub import errors, hf_hub_download

    revision = source.revision or "main"
    if re.fullmatch(r"[0-9a-f]{40}", revision):
        return revision
    try:
        # The one request that datasets makes too; it leaves the commit in the cache, even if the
        # data set has no card.
        card = hf_hub_download(str(source.hub), "README.md", repo_type="dataset", revision=revision)
    except errors.EntryNotFoundError as error:
        return _cached_commit(source, revision, error)
    except (errors.HfHubHTTPError, errors.OfflineModeIsEnabled, OSError, ValueError) as error:
        raise _failure(source, error) from error
    return Path(card).parent.name


def _cached_commit(source: Source, revision: str, error: Exception) -> str:
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = repo_folder_name(repo_id=str(source.hub), repo_type="dataset")
    reference = Path(constants.HF_HUB_CACHE) / folder / "refs" / revision
    try:
        return reference.read_text().strip()
    except OSError:
        raise _failure(source, error) from error


def load(source: Source) -> tuple[Sequence[str], list[dict[str, Any]], str]:
    """Return column names, records and the commit of a data set.

    Raises:
        DataError: Unknown, gated, neither reachable nor cached, or without that split.
    """
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    sha = commit(source)
    try:
        found = load_dataset(
            str(source.hub), source.hub_config, split=source.hub_split, revision=sha
        )
    except (DatasetsError, OSError, ValueError, RuntimeError) as error:
        raise _failure(source, error) from error
    _require_commit(source, sha, found)
    wanted = [name for name in found.column_names if _is_read(name, source)]
    return found.column_names, found.select_columns(wanted).to_polars().to_dicts(), sha


def _is_read(column: str, source: Source) -> bool:
    if source.turn_layout.by_utterance and column in ROLE_FIELDS:
        return True
    return any(name == column or name.startswith(f"{column}.") for name in source.columns)


def _require_commit(source: Source, sha: str, found: Any) -> None:
    """Refuse another version: offline, datasets takes whichever version its cache holds."""
    folders = {Path(file["filename"]).parent.name for file in found.cache_files}
    if folders - {sha}:
        msg = (
            f"the cache holds {source.hub} at {', '.join(sorted(folders))[:60]}, expected {sha}: "
            "run once with internet (HF_HUB_OFFLINE unset), or name the cached commit as revision"
        )
        raise DataError(msg)


def _failure(source: Source, error: Exception) -> DataError:
    from huggingface_hub import errors

    name = f"data set '{source.hub}' (data.sources.{source.name})"
    page = f"https://huggingface.co/datasets/{source.hub}"
    said = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    offline = (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled, ConnectionError)
    if isinstance(error, errors.GatedRepoError) or "gated" in said:
        msg = f"{name} is gated: ask for access at {page}, then set HF_TOKEN or run 'hf auth login'"
    elif isinstance(error, offline):
        msg = (
            f"{name} is not in the Hub's cache and the Hub cannot be reached ({said}): run the "
            "prefetch command where there is internet, or set the source's path to a file"
        )
    elif isinstance(error, errors.RevisionNotFoundError):
        msg = f"{name} has no revision '{source.revision}': see {page}/commits/main"
    elif isinstance(error, errors.RepositoryNotFoundError) or "doesn't exist on the Hub" in said:
        msg = f"{name} is unknown to the Hub or private: check the id; a private one needs HF_TOKEN"
    else:
        msg = f"{name} cannot be loaded ({said}): check hub, hub_config, hub_split and revision"
    return DataError(msg)
