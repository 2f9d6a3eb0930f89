"""`ContextStore`: the contexts an agent works in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Unpack

from daystore.abc.adapter import Adapter
from daystore.abc.clock import from_instant
from daystore.query.builder import QueryBuilder
from daystore.stores.definition import StoreOptions, with_indexes
from daystore.stores.memories import WINDOW, MemoryStore
from daystore.stores.operation import Deferral, Target
from daystore.stores.source import Loader
from daystore.stores.store import Store

__all__ = ["ACTIVE", "ARCHIVED", "Context", "ContextStore"]

ACTIVE = "active"
ARCHIVED = "archived"


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Context:
    """One thread of an agent's work: a chat, a task, a run.

    Attributes:
        id: Its key.
        type: What kind of context it is.
        status: ``"active"``, ``"archived"``, or what you like.
        last_active: When something last happened in it.
        message_count: How many messages it has.
        duration: How long it took so far, in seconds.
        user_id: Whom it is with.
        agent_id: Which agent works in it.
        memory_id: The memory that belongs to it; the one of the context's own id unless given.
        title: A name for people.
        metadata: Anything else, as plain values.
    """

    id: str
    type: str = "chat"
    status: str = ACTIVE
    last_active: datetime = field(default_factory=_now)
    message_count: int = 0
    duration: float = 0.0
    user_id: str | None = None
    agent_id: str | None = None
    memory_id: str | None = None
    title: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.duration = float(self.duration)
        self._working_memory: list[Any] | None = None

    @property
    def working_memory(self) -> list[Any]:
        """The last entries of its memory, if the query said ``.include("working_memory")``; never stored.

        Raises:
            AttributeError: If they were not asked for.
        """
        if self._working_memory is None:
            raise AttributeError('the working memory was not loaded: query with .include("working_memory")')
        return self._working_memory


INDEXES = ("type", "status", "last_active", "message_count", "duration", "user_id", "agent_id")


class ContextStore(Store[Context]):
    """Contexts by id. ``.include("working_memory")`` in a query loads the end of each one's memory.

    Args:
        adapter: The backend.
        name: Name of the store.
        memories: Where the memories of the contexts are; on the same backend if transactions shall include
            them.
        options: As for `Store`, but for `indexes`.
    """

    def __init__(
        self,
        adapter: Adapter,
        name: str = "contexts",
        *,
        memories: MemoryStore[Any] | None = None,
        **options: Unpack[StoreOptions],
    ) -> None:
        self._memories = memories
        super().__init__(adapter, name, Context, **with_indexes(options, INDEXES))

    def _relations(self) -> Mapping[str, Loader]:
        return {} if self._memories is None else {"working_memory": self._load_working_memory}

    def bound(self, target: Target, defer: Deferral) -> ContextStore:
        """Return this store inside a transaction, with its memories if they are on the same backend."""
        store = super().bound(target, defer)
        if self._memories is not None and self._memories.adapter is self.adapter:
            store._memories = self._memories.bound(target, defer)
        return store

    async def _load_working_memory(self, contexts: list[Context], limit: int | None) -> None:
        if self._memories is None:
            return
        size = WINDOW if limit is None else limit
        windows = await self._memories.windows({c.memory_id or c.id for c in contexts}, size)
        for context in contexts:
            context._working_memory = list(windows[context.memory_id or context.id])

    def by_type(self, type: str) -> QueryBuilder[Context]:  # noqa: A002
        """Begin a query on the contexts of a type."""
        return self.where("type", "=", type)

    def active_since(self, moment: datetime) -> QueryBuilder[Context]:
        """Begin a query on the contexts in which something happened since `moment`, the latest first.

        Raises:
            ValueError: If `moment` is naive.
        """
        return self.where("last_active", ">=", moment).order_by("last_active", "desc")

    async def touch(self, id: str) -> Context:  # noqa: A002
        """Note that something happens in a context now.

        Raises:
            KeyError: If there is none of that id.
        """
        return await self.update(id, {"last_active": from_instant(self._access.target.clock())})

    async def archive(self, id: str) -> Context:  # noqa: A002
        """Mark a context as archived. It stays, and can be found by its status.

        Raises:
            KeyError: If there is none of that id.
        """
        return await self.update(id, {"status": ARCHIVED})
