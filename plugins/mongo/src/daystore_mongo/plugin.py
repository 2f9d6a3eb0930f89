"""What this distribution brings, told without loading a driver."""

from __future__ import annotations

from daystore.hookspecs import AdapterSpec, hookimpl

DAYSTORE_PLUGIN_API = 1


@hookimpl
def daystore_adapters() -> list[AdapterSpec]:
    """Return the MongoDB backend."""
    return [
        AdapterSpec(
            name="mongo",
            schemes=("mongodb", "mongodb+srv"),
            factory="daystore_mongo.adapter:MongoAdapter",
            config="daystore_mongo.config:MongoConfig",
            summary="MongoDB: one server, a replica set, or a sharded cluster",
            capabilities=(
                "conditional",
                "atomic_batch",
                "transactions",
                "ttl",
                "query",
                "aggregate",
                "intents",
                "durable",
            ),
        )
    ]
