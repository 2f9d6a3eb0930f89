"""How replicas are named, and what cannot be one."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

import pytest

from daystore.abc import (
    EVENTUAL,
    STRONG,
)
from daystore.errors import ConfigError
from daystore_sql.adapter import SQLAdapter
from daystore_sql.config import SQLConfig

from .replicated import (
    Servers,
    adapter_of,
    read,
    write,
)

SECRET = "swordfish-0815"


@pytest.mark.parametrize(
    ("url", "replicas", "says"),
    [
        ("sqlite:///a.db", "postgresql://u@h/d", "SQLite has no replicas"),
        ("mysql://u@h/d", "postgresql://u:{}@g/d", "replica 1 is no MariaDB"),
        (
            "mariadb://u@h/d",
            ["mariadb://u@g/d", "mysql://u:{}@g"],
            "replica 2: .*names a user and a database",
        ),
        ("postgresql://h/d", "mysql://u:{}@g/d", "replica 1 is no PostgreSQL"),
        (
            "postgresql://h/d",
            "postgresql://g/d, postgresql+psycopg://u:{}@g/d",
            "replica 2 is reached by psycopg",
        ),
        ("postgresql+psycopg://h/d", "postgresql://u:{}@g/d", r"write postgresql\+psycopg://"),
        ("postgresql://h/d", "postgresql://u:{}@g/d?pool=3", "replica 1: .*takes no parameter 'pool'"),
        ("postgresql://h/d", ["postgresql://u:{}@g,f/d"], "replica 1 is several servers"),
        ("postgresql://h/d", ["postgresql://u:{}@/d?host=g,f"], "replica 1 is several servers"),
        ("postgresql://h/d", "postgresql://u:{}@g:port/d", "replica 1: not a URL"),
        ("postgresql://h/d", 7, "replicas: .*tuple"),
    ],
)
def test_what_cannot_be_used(url: str, replicas: Any, says: str) -> None:
    """It is said what to do, and never what the password is."""
    if isinstance(replicas, str):
        replicas = replicas.replace("{}", SECRET)
    elif isinstance(replicas, list):
        replicas = [one.replace("{}", SECRET) for one in replicas]
    with pytest.raises(ConfigError, match=says) as caught:
        SQLAdapter.from_url(url, replicas=replicas)
    assert SECRET not in str(caught.value)


def test_the_urls_of_replicas_are_given_as_a_list_or_as_text() -> None:
    urls = ("postgresql://a/d", "postgresql://b/d")
    assert SQLConfig(replicas=urls).replicas == urls
    assert SQLConfig.model_validate({"replicas": list(urls)}).replicas == urls
    assert SQLConfig.model_validate({"replicas": ", ".join(urls)}).replicas == urls
    assert SQLConfig.model_validate({"replicas": ""}).replicas == ()


def test_no_password_of_a_replica_is_shown(servers: Servers) -> None:
    async def main() -> None:
        url = servers.replica.replace("@", "0815@", 1)  # which is wrong
        secret = urlsplit(url).password or ""
        async with adapter_of(servers, replicas=[url]) as adapter:
            await write(adapter, b"1")
            assert await read(adapter, EVENTUAL) == b"1"
            health = await adapter.health()
            assert "refuses the user or the password" in health.detail["replica 1"]
            parts = urlsplit(url)
            assert f"{parts.hostname}:{parts.port}: " in health.detail["replica 1"]
            database: Any = adapter.database
            shown = [repr(health), repr(database), repr(database.config)]
            assert not [text for text in shown if secret in text]

    asyncio.run(main())


def test_storage_takes_them_in_the_url(servers: Servers) -> None:
    from urllib.parse import quote

    from daystore import Storage

    async def main() -> None:
        url = f"{servers.primary}?daystore_replicas={quote(servers.replica, safe='')}"
        async with Storage.open(url, namespace="ns") as storage:
            notes = storage.store("notes")
            await notes.set("k", "old")
            async with servers.paused():
                await notes.set("k", "new")
                assert await notes.get("k") == "old"
                assert await notes.get("k", consistency=STRONG) == "new"
                async with storage.transaction() as tx:
                    assert await tx[notes].get("k") == "new"

    asyncio.run(main())
