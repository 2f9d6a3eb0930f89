"""What a store hands out: entries, and pages of a result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Generic, TypeVar

from daystore.abc.clock import from_instant
from daystore.abc.record import FieldValue, Record, Version

__all__ = ["Entry", "Page"]

T = TypeVar("T")


class Entry(Generic[T]):
    """A value together with what the store knows about it.

    Attributes:
        value: The value itself.
    """

    __slots__ = ("_record", "value")

    def __init__(self, value: T, record: Record) -> None:
        self.value: T = value
        self._record = record

    @property
    def key(self) -> str:
        """Its key."""
        return self._record.key

    @property
    def version(self) -> Version:
        """Changed by every write; for ``if_version``."""
        return self._record.version

    @property
    def created_at(self) -> datetime:
        """When it was first written since its key was last absent."""
        return from_instant(self._record.created_at)

    @property
    def updated_at(self) -> datetime:
        """When it was last written."""
        return from_instant(self._record.updated_at)

    @property
    def expires_at(self) -> datetime | None:
        """From when on it is gone; ``None`` for never."""
        instant = self._record.expires_at
        return None if instant is None else from_instant(instant)

    @property
    def fields(self) -> Mapping[str, FieldValue]:
        """Its indexed values, by the name of the index; without a value it is not there. Lists are tuples."""
        return dict(self._record.fields)

    @property
    def schema(self) -> str | None:
        """Name of the schema it was written with."""
        return self._record.schema

    @property
    def schema_version(self) -> int | None:
        """Version of that schema."""
        return self._record.schema_version

    def _told(self) -> tuple[object, ...]:
        record = self._record
        times = (record.created_at, record.updated_at, record.expires_at)
        return (record.key, record.version, times, dict(record.fields), self.value)

    def __eq__(self, other: object) -> bool:
        return self._told() == other._told() if isinstance(other, Entry) else NotImplemented

    __hash__: ClassVar[None]  # type: ignore[assignment]  # the value may change

    def __repr__(self) -> str:
        return f"Entry(version={self.version!r}, updated_at={self.updated_at.isoformat()!r})"


@dataclass(slots=True)
class Page(Generic[T]):
    """Part of a result.

    Attributes:
        items: In the order of the query.
        cursor: Where the next page begins; ``None`` when there is nothing more. Opaque text that may be kept
            for as long as you like, and is good for the same query only.
    """

    items: list[T] = field(default_factory=list)
    cursor: str | None = None

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)
