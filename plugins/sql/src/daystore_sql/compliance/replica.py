"""The target of the compliance suite that is PostgreSQL with a replica."""

from __future__ import annotations

import os
from typing import ClassVar
from urllib.parse import quote, urlsplit

from daystore.abc import Clock, StorageAdapter
from daystore.config.urls import split_url
from daystore_compliance.services import LocalProcess, Service
from daystore_compliance.target import Raw
from daystore_sql.adapter import SQLAdapter
from daystore_sql.compliance.postgresql import (
    INITDB,
    PASSWORD,
    SERVER,
    PostgreSQLTarget,
    ask,
    name_of,
    waited,
)

__all__ = ["POSTGRESQL_REPLICA", "PostgreSQLReplicaTarget", "replica_of"]

_HERE = f"postgresql://postgres:{PASSWORD}@127.0.0.1"
_BOTH = (
    "-c",
    "listen_addresses=127.0.0.1",
    "-c",
    "synchronous_standby_names=*",
    "-c",
    "synchronous_commit=remote_apply",
    "-c",
    "hot_standby_feedback=on",
    "-c",
    "wal_retrieve_retry_interval=100ms",
)


def _probe(url: str) -> None:
    ((following,),) = waited(ask(url, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"))
    ((replica,),) = waited(ask(replica_of(url), "SELECT pg_is_in_recovery()"))
    if not (following and replica):
        raise ConnectionError("the replica does not follow the primary yet")


POSTGRESQL_REPLICA = Service(
    name="postgresql-replica",
    image="",
    build="postgres-replica",
    ports=2,
    url=f"{_HERE}:{{port}}/postgres?daystore_replicas={quote(_HERE, safe='')}%3A{{port2}}%2Fpostgres",
    probe=_probe,
    arguments=("-c", "max_connections=300"),
    environment={"POSTGRES_PASSWORD": PASSWORD, "PORTS": "{port} {port2}"},
    local=LocalProcess(
        (*SERVER, "-p", "{port}", *_BOTH),
        beside=(
            (
                *(part.replace("/data", "/replica") for part in SERVER),
                "-p",
                "{port2}",
                *_BOTH,
            ),
        ),
        files={
            "password": PASSWORD,
            "replica.conf": "primary_conninfo = 'host={directory} port={port} user=postgres'\n",
        },
        prepare=(
            INITDB,
            ("cp", "-a", "{directory}/data", "{directory}/replica"),
            ("cp", "{directory}/replica.conf", "{directory}/replica/postgresql.auto.conf"),
            ("touch", "{directory}/replica/standby.signal"),
        ),
        user="postgres",
        install="apt-get install postgresql",
    ),
)
"""A commit waits until the replica shows it, so that what was acknowledged is read there."""


def replica_of(url: str) -> str:
    """Return the URL of the same database on the replica."""
    plain, options = split_url(url)
    return urlsplit(plain)._replace(netloc=urlsplit(options["replicas"]).netloc).geturl()


class PostgreSQLReplicaTarget(PostgreSQLTarget):
    """PostgreSQL with a replica that eventual and bounded reads go to. The URL names it as ``daystore_replicas``.

    The replica is not reached through a proxy that stands before the primary; and after a crash of both it shows
    for a moment what was there before.
    """

    name = "postgresql-replica"
    service: ClassVar[Service] = POSTGRESQL_REPLICA
    hooks: frozenset[str] = PostgreSQLTarget.hooks - {"crash", "proxy"}

    def adapter(self, url: str, namespace: str, clock: Clock) -> StorageAdapter:
        """Return a closed adapter, which both servers know by a name of its own."""
        plain, _ = split_url(url)
        name = f"?application_name=suite-{os.urandom(6).hex()}"
        return SQLAdapter.from_url(
            plain + name, namespace=namespace, clock=clock, replicas=(replica_of(url) + name,)
        )

    async def raw(self, adapter: StorageAdapter) -> Raw:
        """Count the rows on the primary, and the connections to both."""
        found = await super().raw(adapter)
        ((more,),) = await ask(
            replica_of(self.url),
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1",
            name_of(adapter),
        )
        return Raw(found.records, found.entries, (found.connections or 0) + more)
