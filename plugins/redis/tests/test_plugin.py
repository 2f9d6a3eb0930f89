"""What the distribution tells of itself, and what it makes of URLs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from daystore.errors import ConfigError
from daystore.plugins import default_plugins
from daystore_redis import plugin
from daystore_redis.adapter import CAPABILITIES, RedisAdapter
from daystore_redis.config import RedisConfig
from daystore_redis.urls import locate

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("redis://localhost", "server"),
        ("redis://user:pw@localhost:6380/3?client_name=x", "server"),
        ("rediss://localhost:6380/0?ssl_cert_reqs=none", "server"),
        ("unix:///run/redis.sock?db=2", "server"),
        ("redis+sentinel://:pw@one,two:26380/main/0?sentinel_password=x", "sentinel"),
        ("redis+cluster://:pw@one:7000,[::1]:7001", "cluster"),
    ],
)
def test_urls_are_read(url: str, kind: str) -> None:
    """Each form of URL leads to its kind of servers."""
    assert locate(url, RedisConfig()).kind == kind


@pytest.mark.parametrize(
    "url",
    [
        f"redis://user:{SECRET}@localhost:port/0",
        f"redis://user:{SECRET}@localhost/0?decode_responses=1",
        f"redis://user:{SECRET}@localhost/0?socket_timeout=1",
        f"redis+sentinel://:{SECRET}@one,two",
        f"redis+sentinel://:{SECRET}@one,:1/main",
        f"redis+cluster://:{SECRET}@one:x",
        f"redis+cluster://:{SECRET}@one/1",
        f"redis+what://:{SECRET}@one",
        f"http://:{SECRET}@one",
        "redis://",
    ],
)
def test_a_url_that_cannot_be_used_is_told_without_its_password(url: str) -> None:
    """The error says what a URL looks like, and neither it nor its cause tells the password."""
    with pytest.raises(ConfigError) as caught:
        locate(url, RedisConfig())
    assert "redis" in str(caught.value)
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_options_are_checked() -> None:
    """An option that there is not is told, with those that there are."""
    with pytest.raises(ConfigError, match="shards"):
        RedisAdapter.from_url("redis://localhost", what=1)
    with pytest.raises(ConfigError, match="shards"):
        RedisAdapter.from_url("redis://localhost", shards=0)


def test_the_spec_names_what_is_there() -> None:
    """The description leads to the adapter, its options and what it can declare."""
    (spec,) = plugin.daystore_adapters()
    assert spec.name == RedisAdapter.name
    assert spec.factory == f"{RedisAdapter.__module__}:{RedisAdapter.__qualname__}"
    assert spec.config == f"{RedisConfig.__module__}:{RedisConfig.__qualname__}"
    assert set(spec.capabilities) == {*CAPABILITIES.names(), "durable"}
    for scheme in spec.schemes:
        address = {"sentinel": "host/main", "cluster": "host"}.get(scheme.partition("+")[2], "host/path")
        assert isinstance(default_plugins().open_adapter(f"{scheme}://{address}"), RedisAdapter)


def test_listing_and_checking_load_no_driver() -> None:
    """The description and the options can be looked at without importing redis-py."""
    code = (
        "import sys, daystore_redis.plugin, daystore_redis.config\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'redis', 'hiredis'}))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout == "[]\n"
