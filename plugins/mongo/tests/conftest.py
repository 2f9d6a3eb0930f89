from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pymongo import MongoClient, monitoring
from pymongo.database import Database

from daystore_mongo.adapter import MongoAdapter
from daystore_mongo.compliance import MongoTarget

START = 1_700_000_000_000_000
WATCHING = frozenset({"hello", "ismaster", "buildInfo", "endSessions", "ping"})


class TestClock:
    """A clock that stands still until it is moved."""

    __test__ = False

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


class Requests(monitoring.CommandListener):
    """Remembers the commands that drivers of this process have sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name not in WATCHING:
            self.sent.append((event.command_name, dict(event.command)))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...

    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.sent]

    def clear(self) -> None:
        self.sent.clear()


_REQUESTS = Requests()
monitoring.register(_REQUESTS)  # clients that are made from now on tell it; it cannot be taken back


@pytest.fixture
def requests() -> Requests:
    _REQUESTS.clear()
    return _REQUESTS


@pytest.fixture(scope="session")
def server() -> Iterator[MongoTarget]:
    """Start one server for all tests."""
    target = MongoTarget()
    with target.running():
        yield target


@pytest.fixture
def raw(server: MongoTarget) -> Iterator[Database[dict[str, Any]]]:
    """Connect to the database past the adapter."""
    with MongoClient[dict[str, Any]](server.url) as client:
        yield client["daystore"]


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def namespace() -> str:
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture
def make(server: MongoTarget, clock: TestClock, namespace: str) -> Callable[..., MongoAdapter]:
    """Make an adapter in the test's own namespace."""

    def make(**options: Any) -> MongoAdapter:
        options = {"clock": clock, "namespace": namespace, **options}
        return MongoAdapter.from_url(options.pop("url", server.url), **options)

    return make
