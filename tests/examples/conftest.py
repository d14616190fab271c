"""The example apps, one process each for all tests that this process runs."""

from collections.abc import Iterator

import pytest

from tests.examples.servers import Apps


@pytest.fixture(scope="session")
def apps() -> Iterator[Apps]:
    apps = Apps()
    yield apps
    apps.close()
