"""Profiles: the parts of the contract that a backend is certified for, each with its own count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from daystore_compliance.case import Case

__all__ = ["PROFILES", "profile_of"]

PROFILES: Final[Mapping[str, str]] = {
    "core": "records, keys, values, batches, namespaces, life cycle, errors",
    "query": "predicates, order, paging, counts",
    "aggregate": "aggregation",
    "ttl": "expiry",
    "cas": "versions and conditional writes",
    "atomic": "atomic batches",
    "txn": "transactions and events",
    "intents": "prepared records, and transactions over several backends",
    "snapshots": "reads of several records that see one instant",
    "consistency": "consistency levels",
    "durability": "what survives a crash, another process, and a newer version",
    "space": "what is deleted or expired is given back, and no index keeps it",
    "faults": "behaviour when the server, or the connection to it, fails",
}
"""Every profile, with what it is about."""

_BY_AREA: Final = {"con": "consistency", "conn": "faults", "evt": "txn"}
# From the most specific to the most general: a promise about transactions needs queries, too.
_BY_CAPABILITY: Final = (
    ("durable", "durability"),
    ("intents", "intents"),
    ("transactions", "txn"),
    ("aggregate", "aggregate"),
    ("ttl", "ttl"),
    ("atomic_batch", "atomic"),
    ("conditional", "cas"),
    ("query", "query"),
)
_BY_HOOK: Final = (
    *(("crash", "faults"), ("process", "durability"), ("future", "durability"), ("proxy", "faults")),
    *(("visited", "query"), ("raw", "space")),
)


def profile_of(case: Case) -> str:
    """Return the profile that a case belongs to; each belongs to exactly one."""
    if "snapshots" in case.requires:
        return "snapshots"
    if case.area in _BY_AREA:
        return _BY_AREA[case.area]
    for hook, profile in _BY_HOOK:
        if hook in case.needs:
            return profile
    for capability, profile in _BY_CAPABILITY:
        if capability in case.requires:
            return profile
    return "core"
