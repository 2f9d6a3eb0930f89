from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from daystore_redis.adapter import RedisAdapter
from daystore_redis.compliance import RedisShardsTarget, RedisTarget

START = 1_700_000_000_000_000


class TestClock:
    """A clock that stands still until it is moved."""

    __test__ = False

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


@pytest.fixture(scope="session")
def server() -> Iterator[RedisTarget]:
    """Start one server for all tests."""
    target = RedisTarget()
    with target.running():
        yield target


@pytest.fixture(scope="session")
def cluster() -> Iterator[RedisShardsTarget]:
    """Start one cluster for all tests."""
    target = RedisShardsTarget()
    with target.running():
        yield target


@pytest.fixture
def raw(server: RedisTarget) -> Iterator[redis.Redis]:
    """Connect to the server past the adapter."""
    with redis.Redis.from_url(server.url) as client:
        yield client


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def namespace() -> str:
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture
def make(server: RedisTarget, clock: TestClock, namespace: str) -> Callable[..., RedisAdapter]:
    """Make an adapter in the test's own namespace."""

    def make(**options: Any) -> RedisAdapter:
        options = {"clock": clock, "namespace": namespace, **options}
        return RedisAdapter.from_url(options.pop("url", server.url), **options)

    return make


@pytest.fixture
def prefix(namespace: str) -> str:
    """What the names of all keys of the namespace begin with."""
    return f"{{{namespace}:0}}:"


def command(raw: redis.Redis, *words: str | bytes) -> Any:
    """Send a command past the adapter."""
    return raw.execute_command(*words)  # type: ignore[no-untyped-call]
