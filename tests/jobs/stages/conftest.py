"""A run that a module makes once, and copies of it that its tests may change."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from empathy_core.backends.current import CURRENT


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the module's finished run that a test may change, at a path of its own."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    yield tmp_path
    CURRENT.close()
