"""What all tests share: a cache of their own."""

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what is remembered of bundles out of the user's cache."""
    before = os.environ.get("ASHORE_CACHE")
    os.environ["ASHORE_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["ASHORE_CACHE"]
    else:
        os.environ["ASHORE_CACHE"] = before
