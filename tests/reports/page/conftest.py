"""A real Chromium for the tests of pages."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.pages import chromium


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    """Return one Chromium for the module."""
    with chromium() as browser:
        yield browser
