"""What this distribution brings, told without loading a driver."""

from __future__ import annotations

from daystore.hookspecs import AdapterSpec, hookimpl

DAYSTORE_PLUGIN_API = 1


@hookimpl
def daystore_adapters() -> list[AdapterSpec]:
    """Return the S3 backend."""
    return [
        AdapterSpec(
            name="s3",
            schemes=("s3",),
            factory="daystore_s3.adapter:S3Adapter",
            config="daystore_s3.config:S3Config",
            summary="Amazon S3 and servers that are compatible with it",
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
