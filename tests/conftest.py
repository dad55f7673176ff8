"""What holds for all tests: none rests on the speed of the machine."""

import os

import pytest
from hypothesis import HealthCheck, settings

from tests import preloaded, slow

settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


def pytest_configure(config: pytest.Config) -> None:
    """Let all workers of this session share the processes that have imported everything."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        preloaded.begin_session()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow, before ``-m`` chooses."""
    slow.select(items)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Say how many tests there will be."""
    preloaded.expect(len(session.items))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what they left."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        preloaded.end_session()
