"""What the distribution tells of itself, and what it makes of URLs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from daystore.errors import ConfigError
from daystore.plugins import default_plugins
from daystore_mongo import plugin
from daystore_mongo.adapter import CAPABILITIES, MongoAdapter
from daystore_mongo.config import MongoConfig
from daystore_mongo.urls import locate

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("url", "database"),
    [
        ("mongodb://localhost", "daystore"),
        ("mongodb://user:pw@localhost:27018/mine?authSource=admin", "mine"),
        ("mongodb://one,two:27018/mine?replicaSet=rs0", "mine"),
        ("mongodb+srv://user:pw@cluster.example.net/mine", "mine"),
    ],
)
def test_urls_are_read(url: str, database: str) -> None:
    """A URL is the driver's, and its path names the database."""
    assert locate(url, MongoConfig()).database == database


@pytest.mark.parametrize(
    "url",
    [
        f"mongodb://user:{SECRET}@localhost:port/x",
        f"mongodb://user:{SECRET}@localhost/x?what=1",
        f"mongodb://user:{SECRET}@localhost/x?w=0",
        f"mongodb://user:{SECRET}@localhost/x?readPreference=secondary",
        f"mongodb://us:er:{SECRET}@localhost/x",
        f"mongodb://user:{SECRET}@/x",
        f"http://:{SECRET}@one",
        "mongodb://",
    ],
)
def test_a_url_that_cannot_be_used_is_told_without_its_password(url: str) -> None:
    """The error says what a URL looks like, and neither it nor its cause tells the password."""
    with pytest.raises(ConfigError) as caught:
        locate(url, MongoConfig())
    assert "mongo" in str(caught.value)
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_what_is_shown_of_an_adapter_tells_no_password() -> None:
    """Neither the adapter nor its location shows the URL."""
    adapter = MongoAdapter.from_url(f"mongodb://user:{SECRET}@localhost/x")
    assert SECRET not in f"{adapter!r} {adapter.location!r} {adapter.config!r}"


def test_options_are_checked() -> None:
    """An option that there is not is told, with those that there are."""
    with pytest.raises(ConfigError, match="sweep_interval"):
        MongoAdapter.from_url("mongodb://localhost", what=1)
    with pytest.raises(ConfigError, match="max_connections"):
        MongoAdapter.from_url("mongodb://localhost", max_connections=0)


def test_the_spec_names_what_is_there() -> None:
    """The description leads to the adapter, its options and what it can declare."""
    (spec,) = plugin.daystore_adapters()
    assert spec.name == MongoAdapter.name
    assert spec.factory == f"{MongoAdapter.__module__}:{MongoAdapter.__qualname__}"
    assert spec.config == f"{MongoConfig.__module__}:{MongoConfig.__qualname__}"
    assert set(spec.capabilities) == {*CAPABILITIES.names(), "durable"}
    for scheme in spec.schemes:
        assert isinstance(default_plugins().open_adapter(f"{scheme}://host.example.net/path"), MongoAdapter)


def test_listing_and_checking_load_no_driver() -> None:
    """The description and the options can be looked at without importing pymongo."""
    code = (
        "import sys, daystore_mongo.plugin, daystore_mongo.config\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'pymongo', 'bson'}))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout == "[]\n"
