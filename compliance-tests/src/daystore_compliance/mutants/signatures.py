"""Mutants whose public face is another one than that of the base of all adapters."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from daystore.abc import (
    EVENTUAL,
    STRONG,
    Capabilities,
    Clock,
    Consistency,
    FieldValue,
    Page,
    Query,
    Record,
    StorageAdapter,
    Version,
)
from daystore.abc.evaluate import evaluate_query
from daystore.abc.record import Expiry
from daystore.adapters.memory import MemoryAdapter
from daystore_compliance.mutants.base import mutant
from daystore_compliance.target import MemoryTarget


@mutant("sig.public_api")
class ParameterRenamed(MemoryAdapter):
    """The key of a read is called otherwise."""

    async def get(self, collection: str, name: str, consistency: Consistency = EVENTUAL) -> Record | None:
        """Read one record."""
        return await super().get(collection, name, consistency)


@mutant("sig.public_api")
class DefaultChanged(MemoryAdapter):
    """Queries are strong unless told otherwise."""

    async def query(self, query: Query, consistency: Consistency = STRONG) -> Page:
        """Query."""
        return await super().query(query, consistency)


@mutant("sig.public_api")
class OptionsByPlace(MemoryAdapter):
    """The conditions of a write are given by place."""

    async def set(
        self,
        collection: str,
        key: str,
        value: bytes,
        if_version: Version | None = None,
        if_absent: bool = False,
        expires_at: Expiry = None,
        fields: Mapping[str, FieldValue] | None = None,
        content_type: str = "application/octet-stream",
    ) -> Version:
        """Write one record."""
        return await super().set(
            collection,
            key,
            value,
            if_version=if_version,
            if_absent=if_absent,
            expires_at=expires_at,
            fields=fields,
            content_type=content_type,
        )


@mutant("sig.public_api")
class NotACoroutineFunction(MemoryAdapter):
    """A delete can be awaited and is no coroutine function."""

    def delete(  # type: ignore[override]  # that is the fault
        self, collection: str, key: str, *, if_version: Version | None = None
    ) -> Awaitable[bool]:
        """Delete one record."""
        return super().delete(collection, key, if_version=if_version)


@mutant("sig.primitives")
class PrimitiveTakesLess(MemoryAdapter):
    """A read takes no consistency, and the public method does without it too."""

    async def _read(  # type: ignore[override]  # that is the fault
        self, collection: str, keys: Sequence[str]
    ) -> list[Record | None]:
        return await super()._read(collection, keys, EVENTUAL)

    async def read(
        self, collection: str, keys: Sequence[str], consistency: Consistency = EVENTUAL
    ) -> list[Record | None]:
        """Read records."""
        self._check_open()
        return await self._read(collection, keys)


@mutant("sig.primitives")
class QueriesAtTheSurface(MemoryAdapter):
    """Queries are answered in the public method, and what the base calls was not written."""

    _query = StorageAdapter._query

    async def query(self, query: Query, consistency: Consistency = EVENTUAL) -> Page:
        """Query."""
        self._check_open()
        return evaluate_query(self._live(query.collection), query)


@dataclass(frozen=True, slots=True)
class _More(Capabilities):
    """Capabilities with one of its own."""

    streams: bool = True


@mutant("sig.attributes")
class CapabilitiesOfItsOwn(MemoryAdapter):
    """What it declares is of a class of its own."""

    capabilities: Capabilities = _More(True, True, True, True, True, True)


@mutant("sig.attributes")
class CapabilitiesOfNumbers(MemoryAdapter):
    """A capability is 1 instead of True."""

    capabilities: Capabilities = replace(MemoryAdapter.capabilities, ttl=1)  # type: ignore[arg-type]


@mutant("sig.attributes")
class NamedForPeople(MemoryAdapter):
    """The name of the adapter is a title."""

    name: ClassVar[str] = "In Memory"


class _ClockWrapped(MemoryAdapter):
    def __init__(self, *, clock: Clock, **options: Any) -> None:
        super().__init__(clock=lambda: clock(), **options)  # noqa: PLW0108 -- that is the fault


@mutant("sig.attributes")
class ClockReplaced(MemoryTarget):
    """The clock is another one than was given, though it tells the same time."""

    adapter: type[_ClockWrapped] = _ClockWrapped


@mutant("sig.from_url")
class UrlWithoutNamespace(MemoryAdapter):
    """The namespace has to be part of the URL."""

    @classmethod
    def from_url(cls, url: str, *, timeout: float | None = None) -> Self:  # type: ignore[override]  # the fault
        """Make one."""
        return cls(namespace=url.rpartition("/")[2] or "daystore", timeout=timeout)


@mutant("sig.from_url")
class UrlIsAFunction(MemoryAdapter):
    """from_url belongs to no class, so a subclass gets another one's adapter."""

    @staticmethod
    def from_url(url: str, **options: Any) -> MemoryAdapter:  # type: ignore[override]  # that is the fault
        """Make one."""
        return MemoryAdapter.from_url(url, **options)


@mutant("sig.plugin_spec", bugs=("JoshuaC215/agent-service-toolkit#263",))
class DeclaresDurable(MemoryAdapter):
    """Declares to be durable, which its plugin does not say, and keeps everything in memory."""

    capabilities: Capabilities = replace(MemoryAdapter.capabilities, durable=True)
