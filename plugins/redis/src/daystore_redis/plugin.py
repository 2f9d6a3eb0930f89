"""What this distribution brings, told without loading a driver."""

from __future__ import annotations

from daystore.hookspecs import AdapterSpec, hookimpl

DAYSTORE_PLUGIN_API = 1


@hookimpl
def daystore_adapters() -> list[AdapterSpec]:
    """Return the Redis backend."""
    return [
        AdapterSpec(
            name="redis",
            schemes=(
                "redis",
                "rediss",
                "unix",
                "redis+sentinel",
                "rediss+sentinel",
                "redis+cluster",
                "rediss+cluster",
            ),
            factory="daystore_redis.adapter:RedisAdapter",
            config="daystore_redis.config:RedisConfig",
            summary="Redis and Valkey: one server, behind Sentinel, or a cluster",
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
