from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from daystore_s3.adapter import S3Adapter
from daystore_s3.compliance import S3Target, client_of

START = 1_700_000_000_000_000


class TestClock:
    """A clock that stands still until it is moved."""

    __test__ = False

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


@pytest.fixture(scope="session")
def server() -> Iterator[S3Target]:
    """Start one server for all tests."""
    target = S3Target()
    with target.running():
        yield target


@pytest.fixture
def client(server: S3Target) -> Iterator[Any]:
    """Connect to the server past the adapter."""
    with client_of(server.url) as client:
        yield client


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def namespace() -> str:
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture
def make(server: S3Target, clock: TestClock, namespace: str) -> Callable[..., S3Adapter]:
    """Make an adapter in the test's own namespace."""

    def make(**options: Any) -> S3Adapter:
        options = {"clock": clock, "namespace": namespace, **options}
        return S3Adapter.from_url(options.pop("url", server.url), **options)

    return make
