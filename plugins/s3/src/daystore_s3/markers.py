"""Markers: empty objects whose names say what a record has, so that listings find it.

The object of a record is the truth. Before it is changed so that its markers change, a note is made, then the new
markers, and after it the old ones and the note are taken away. So what is there always has its markers, and what
has markers that it should not have is named by a note.

All markers of a record are under one *epoch*, a random name that is never used again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import orjson

from daystore.abc import FieldValue, Instant
from daystore.abc.sortkeys import encode_instant, sort_keys
from daystore_s3.naming import is_cut, joined, unescape
from daystore_s3.objects import Kept
from daystore_s3.places import Places, index_of

__all__ = [
    "Entry",
    "Note",
    "alarm_of",
    "decode_notes",
    "encode_notes",
    "entry_of",
    "instant_key",
    "mark_of",
    "markers_of",
    "owner_of",
]

PARTIAL: Final = "~"
"""Ends the name of a marker whose value is more than its sort key tells."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A marker that was listed.

    Attributes:
        key: Whose it is; ``None`` if the key is too long for a name.
        sort_key: Of the value; ``None`` if that is too long for a name.
        epoch: Under which it is.
        partial: Whether the value is more than its sort key.
        value: The value as it stands in the name.
    """

    key: str | None
    sort_key: bytes | None
    epoch: str
    partial: bool
    value: str


def markers_of(places: Places, collection: str, kept: Kept) -> dict[str, bytes]:
    """Return the markers of what is kept, by name; one holds the key if its name does not."""
    record = kept.record
    if record is None:
        return {}
    body = body_for(places, record.key)
    created = instant_key(record.created_at)
    names = [places.marker(collection, index_of("created_at"), created, record.key, kept.epoch)]
    for field, value in record.fields.items():
        index, epoch = index_of(field), kept.epoch + PARTIAL * _is_partial(value)
        names += [places.marker(collection, index, k, record.key, epoch) for k in sort_keys(value)]
    return dict.fromkeys(names, body)


def instant_key(instant: Instant) -> bytes:
    """Return the sort key of an instant."""
    return b"\x04" + encode_instant(instant)


def _is_partial(value: FieldValue) -> bool:
    return isinstance(value, tuple) or (type(value) is float and value == 0 and math.copysign(1, value) < 0)


def alarm_of(places: Places, collection: str, kept: Kept) -> dict[str, bytes]:
    """Return the deadline of what is kept, by name."""
    record = kept.record
    if record is None or record.expires_at is None:
        return {}
    name = places.deadline(collection, encode_instant(record.expires_at), record.key, kept.alarm)
    return {name: body_for(places, record.key)}


def mark_of(places: Places, collection: str, key: str, kept: Kept) -> dict[str, bytes]:
    """Return the marker of the intent that is kept, by name."""
    if kept.intent is None:
        return {}
    return {places.intent(collection, key, kept.mark): body_for(places, key)}


def body_for(places: Places, key: str) -> bytes:
    """Return the key, if it is too long for the names of markers."""
    return key.encode() if is_cut(places.owner(key)) else b""


def entry_of(prefix: str, name: str) -> Entry:
    """Read the name of a marker of an index.

    Raises:
        ValueError: If it is none.
    """
    value, _, rest = name[len(prefix) :].partition("/")
    owner, _, epoch = rest.rpartition("/")
    return Entry(
        owner_of(owner),
        None if is_cut(value) else unescape(value),
        epoch.removesuffix(PARTIAL),
        epoch.endswith(PARTIAL),
        value,
    )


def owner_of(path: str) -> str | None:
    """Return the key that a part of a name stands for; ``None`` if it was cut.

    Raises:
        ValueError: If it stands for none.
    """
    text = joined(path)
    return None if is_cut(text) else unescape(text).decode()


@dataclass(frozen=True, slots=True)
class Note:
    """What is being changed, for whoever has to finish it.

    Attributes:
        key: Whose markers.
        names: All of them, new and old.
    """

    key: str
    names: tuple[str, ...]


def encode_notes(notes: list[Note]) -> bytes:
    """Return notes as the body of an object."""
    return orjson.dumps([[note.key, note.names] for note in notes])


def decode_notes(body: bytes) -> list[Note]:
    """Return the notes of an object.

    Raises:
        ValueError: If it has none.
    """
    found: list[Any] = orjson.loads(body)
    return [Note(key, tuple(names)) for key, names in found]
