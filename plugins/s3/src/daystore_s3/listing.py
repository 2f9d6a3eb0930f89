"""Listings: what the names of objects say, before any object is read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from daystore.abc import FieldValue, Instant
from daystore.abc.ranges import BOUNDS, is_point
from daystore.abc.sortkeys import ELEMENT, EVERYTHING, LIST, decode_scalar, encode_instant
from daystore_s3.markers import Entry, decode_notes, entry_of, owner_of
from daystore_s3.naming import escape, joined
from daystore_s3.objects import holds_record
from daystore_s3.places import SHARED, VALUE, Places, index_of
from daystore_s3.planning import Span
from daystore_s3.requests import PAGE, Requests

__all__ = ["Lister", "Seen", "Start"]

FEW: Final = 64
AFTER: Final = "~"
"""Orders after all epochs."""


@dataclass(slots=True)
class Seen:
    """What listings say of one record.

    Attributes:
        key: Its key.
        fields: The values that its markers tell; ``None`` for one that is not all in a name.
        epoch: Under which they are; empty while none is known.
        sure: Whether that is all true; else the object has to be asked.
        placed: Whether it was listed in its place: what is cut in a name is not.
    """

    key: str
    fields: dict[str, FieldValue | None] = field(default_factory=dict)
    epoch: str = ""
    sure: bool = True
    placed: bool = True

    def add(self, other: Seen) -> None:
        """Add what another listing says of it."""
        self.sure &= other.sure and (not self.epoch or not other.epoch or self.epoch == other.epoch)
        self.epoch = self.epoch or other.epoch
        for name, value in other.fields.items():
            self.sure &= self.fields.setdefault(name, value) == value


@dataclass(frozen=True, slots=True)
class Start:
    """Where a listing begins: after this sort key and key."""

    sort_key: bytes
    key: str


class Lister:
    """Lists what one namespace holds.

    Args:
        requests: By which to ask.
        places: Where things are.
    """

    def __init__(self, requests: Requests, places: Places) -> None:
        self._requests = requests
        self._places = places

    def span(self, collection: str, span: Span, start: Start | None = None) -> AsyncIterator[list[Seen]]:
        """Go through the records of a span in its order, a request at a time."""
        if span.field == "key":
            return self._records(collection, span, start)
        return self._markers(collection, span, start)

    async def _records(self, collection: str, span: Span, start: Start | None) -> AsyncIterator[list[Seen]]:
        prefix = self._places.records(collection)
        low, high = escape(span.low), escape(span.high)
        after = prefix + _path(low) if low else ""
        if start is not None:
            after = max(after, self._places.record(collection, start.key))
        shared = _path(_shared(low, high))
        async for listing in self._requests.names(prefix + shared, after, _size(span)):
            page: list[Seen] = []
            for item in listing.items:
                text = joined(item.name[len(prefix) :])
                if text >= high:
                    yield page
                    return
                if text >= low and holds_record(item.size):
                    page.append(Seen(self._places.key_of(prefix, item.name)))
            yield page

    async def _markers(self, collection: str, span: Span, start: Start | None) -> AsyncIterator[list[Seen]]:
        prefix = self._places.index(collection, index_of(span.field))
        low, high = escape(span.low)[:VALUE], escape(span.high)[:VALUE]
        shared = _shared(low, high)
        if is_point(span.field, (span.low, span.high)) and len(low) < VALUE:
            shared = f"{low}/"
        after = prefix + low
        if start is not None:
            after = max(
                after, self._places.marker(collection, index_of(span.field), start.sort_key, start.key, AFTER)
            )
        async for listing in self._requests.names(prefix + shared, after, _size(span)):
            page: list[Seen] = []
            for item in listing.items:
                entry = entry_of(prefix, item.name)
                if entry.value[:VALUE] > high:
                    yield page
                    return
                seen = await self._seen(item.name, entry, span)
                if seen is not None:
                    page.append(seen)
            yield page

    async def _seen(self, name: str, entry: Entry, span: Span) -> Seen | None:
        sort_key, key = entry.sort_key, entry.key
        if sort_key is not None and not span.low <= sort_key < span.high:
            return None
        placed = key is not None and sort_key is not None
        if key is None:
            key = await self._owner(name)
        if key is None:
            return None
        if sort_key is None:
            return Seen(key, {span.field: None}, entry.epoch, sure=False, placed=False)
        if sort_key[0] == ELEMENT:
            return Seen(key, {}, entry.epoch, placed=placed)
        hidden = entry.partial or sort_key[0] == LIST
        return Seen(
            key, {span.field: None if hidden else decode_scalar(sort_key)}, entry.epoch, placed=placed
        )

    async def _owner(self, name: str) -> str | None:
        """Return the key that a marker holds; ``None`` if it is gone."""
        found = await self._requests.get(name)
        return None if found is None else found.body.decode()

    async def doubted(self, collection: str, now: Instant) -> set[str]:
        """Return the keys whose markers are being changed, and those whose deadline is over."""
        prefix, notes = self._places.root + f"s/{collection}/", self._places.notes(collection)
        deadlines = self._places.deadlines(collection)
        end = deadlines + encode_instant(now).hex()
        found: set[str] = set()
        async for listing in self._requests.names(prefix):
            for item in listing.items:
                name = item.name
                if name.startswith(notes):
                    found |= await self._noted(name, name[len(notes) :])
                elif name[: len(end)] <= end:
                    rest = name[len(deadlines) :].partition("/")[2]
                    found |= await self._of(name, rest.rpartition("/")[0])
                else:
                    return found
        return found

    async def _noted(self, name: str, path: str) -> set[str]:
        key = None if path.startswith(SHARED) else owner_of(path.rpartition("/")[0])
        if key is not None:
            return {key}
        found = await self._requests.get(name)
        return set() if found is None else {note.key for note in decode_notes(found.body)}

    async def _of(self, name: str, path: str) -> set[str]:
        key = owner_of(path)
        if key is None:
            key = await self._owner(name)
        return set() if key is None else {key}

    async def prepared(self, collection: str | None) -> list[tuple[str, str]]:
        """Return the collections and keys of what may carry an intent."""
        prefix = self._places.intents if collection is None else self._places.intents_of(collection)
        found: dict[tuple[str, str], None] = {}
        async for listing in self._requests.names(prefix):
            for item in listing.items:
                name, _, rest = item.name[len(self._places.intents) :].partition("/")
                for key in await self._of(item.name, rest.rpartition("/")[0]):
                    found[name, key] = None
        return list(found)


def _size(span: Span) -> int:
    """Return how many names to ask for at first: few, if there are others behind the end of the span."""
    ends = span.low, span.high
    return PAGE if ends in (*BOUNDS.values(), EVERYTHING) or is_point(span.field, ends) else FEW


def _shared(low: str, high: str) -> str:
    """Return what both begin with."""
    at = next(
        (at for at, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high))
    )
    return low[:at]


def _path(text: str) -> str:
    """Return the beginning of the names of what begins with a text."""
    return "/".join(text[at : at + 200] for at in range(0, len(text), 200))
