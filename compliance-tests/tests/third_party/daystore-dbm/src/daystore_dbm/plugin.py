"""What this distribution tells daystore."""

from daystore import AdapterSpec, hookimpl

DAYSTORE_PLUGIN_API = 1


@hookimpl
def daystore_adapters():
    return [
        AdapterSpec(
            name="dbm",
            schemes=("dbm",),
            factory="daystore_dbm.adapter:DbmAdapter",
            summary="files that need nothing but Python",
            capabilities=("conditional", "ttl", "query"),
        )
    ]
