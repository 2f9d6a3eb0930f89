"""Stores: what users hold."""

from daystore.stores.contexts import Context, ContextStore
from daystore.stores.events import Event, EventStore
from daystore.stores.indexes import Index
from daystore.stores.memories import MemoryStore
from daystore.stores.store import Store

__all__ = ["Context", "ContextStore", "Event", "EventStore", "Index", "MemoryStore", "Store"]
