"""daystore: the persistence layer for AI agents.

Everything here is imported when it is first used, so that ``import daystore`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daystore.abc.capabilities import EVENTUAL, STRONG, bounded
    from daystore.errors import (
        BackendUnavailable,
        BatchError,
        ConfigError,
        CorruptRecord,
        DaystoreError,
        OperationTimeout,
        OutcomeUnknown,
        SchemaError,
        SerializationError,
        TransactionConflict,
        UnsupportedOperation,
        VersionConflict,
    )
    from daystore.hookspecs import (
        AdapterSpec,
        CodecSpec,
        CommandSpec,
        HealthCheckSpec,
        MiddlewareSpec,
        SerializerSpec,
        hookimpl,
    )
    from daystore.query.aggregates import Avg, Count, Max, Min, Sum
    from daystore.query.conditions import Q
    from daystore.query.filter import QueryFilter
    from daystore.query.results import Entry, Page
    from daystore.storage import Storage
    from daystore.stores.contexts import Context
    from daystore.stores.events import Event
    from daystore.stores.indexes import Index
    from daystore.stores.store import Store
    from daystore.transactions.transaction import Transaction

_HOME = {
    "daystore.abc.capabilities": ("EVENTUAL", "STRONG", "bounded"),
    "daystore.errors": (
        "BackendUnavailable",
        "BatchError",
        "ConfigError",
        "CorruptRecord",
        "DaystoreError",
        "OperationTimeout",
        "OutcomeUnknown",
        "SchemaError",
        "SerializationError",
        "TransactionConflict",
        "UnsupportedOperation",
        "VersionConflict",
    ),
    "daystore.hookspecs": (
        "AdapterSpec",
        "CodecSpec",
        "CommandSpec",
        "HealthCheckSpec",
        "MiddlewareSpec",
        "SerializerSpec",
        "hookimpl",
    ),
    "daystore.query.aggregates": ("Avg", "Count", "Max", "Min", "Sum"),
    "daystore.query.conditions": ("Q",),
    "daystore.query.filter": ("QueryFilter",),
    "daystore.query.results": ("Entry", "Page"),
    "daystore.storage": ("Storage",),
    "daystore.stores.contexts": ("Context",),
    "daystore.stores.events": ("Event",),
    "daystore.stores.indexes": ("Index",),
    "daystore.stores.store": ("Store",),
    "daystore.transactions.transaction": ("Transaction",),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "EVENTUAL",
    "STRONG",
    "AdapterSpec",
    "Avg",
    "BackendUnavailable",
    "BatchError",
    "CodecSpec",
    "CommandSpec",
    "ConfigError",
    "Context",
    "CorruptRecord",
    "Count",
    "DaystoreError",
    "Entry",
    "Event",
    "HealthCheckSpec",
    "Index",
    "Max",
    "MiddlewareSpec",
    "Min",
    "OperationTimeout",
    "OutcomeUnknown",
    "Page",
    "Q",
    "QueryFilter",
    "SchemaError",
    "SerializationError",
    "SerializerSpec",
    "Storage",
    "Store",
    "Sum",
    "Transaction",
    "TransactionConflict",
    "UnsupportedOperation",
    "VersionConflict",
    "bounded",
    "hookimpl",
]


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
