"""What this distribution brings, told without loading a driver."""

from __future__ import annotations

from daystore.hookspecs import AdapterSpec, hookimpl

DAYSTORE_PLUGIN_API = 1


@hookimpl
def daystore_adapters() -> list[AdapterSpec]:
    """Return the SQL backend."""
    return [
        AdapterSpec(
            name="sql",
            schemes=("sqlite", "postgresql", "postgres", "mysql", "mariadb"),
            factory="daystore_sql.adapter:SQLAdapter",
            config="daystore_sql.config:SQLConfig",
            summary="SQLite, PostgreSQL, MariaDB and MySQL",
            capabilities=(
                "conditional",
                "atomic_batch",
                "transactions",
                "ttl",
                "query",
                "aggregate",
                "intents",
                "snapshots",
                "durable",
            ),
        )
    ]
