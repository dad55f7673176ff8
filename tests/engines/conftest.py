"""Servers for the tests: the small family."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from empathy_core.backends.server.process import ServerLaunch
from tests.engines.family import FAMILY

ROOT = Path(__file__).parents[2]

MakeLaunch = Callable[..., ServerLaunch]


@pytest.fixture
def family(tmp_path: Path) -> MakeLaunch:
    """Return what makes the launch of a family server with faults."""

    def make(*faults: str, **settings: float) -> ServerLaunch:
        command = (sys.executable, "-IS", FAMILY, "{port}", "{served_name}", *faults)
        log = tmp_path / "logs" / "server.txt"
        return ServerLaunch("family", command, {"FAMILY_KEY": "{key}"}, log, **settings)

    return make
