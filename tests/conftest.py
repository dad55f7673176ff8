"""What holds for all tests: none rests on the speed of the machine."""

import os

import pytest
from hypothesis import HealthCheck, settings

from tests import preloaded

settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


def pytest_configure(config: pytest.Config) -> None:
    """Let all workers of this session share the processes that have imported everything."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        preloaded.begin_session()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Say how many tests there will be."""
    preloaded.expect(len(session.items))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what they left."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        preloaded.end_session()
