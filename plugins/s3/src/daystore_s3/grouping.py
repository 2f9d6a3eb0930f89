"""Groups: the changes of markers of one batch, told by one note and tidied up by few requests.

Every member of a group either announces its change or steps aside, and every member ends. So each waits for the
others only as long as one request takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from daystore.errors import BackendUnavailable, StoreClosed
from daystore_s3.markers import Note, encode_notes
from daystore_s3.objects import new_id
from daystore_s3.places import Places
from daystore_s3.requests import Requests

__all__ = ["Group"]


class Group:
    """The writes of one batch in one collection.

    Args:
        requests: By which to ask.
        places: Where things are.
        collection: Where they write.
        members: How many they are.
    """

    def __init__(self, requests: Requests, places: Places, collection: str, members: int) -> None:
        self._requests = requests
        self._places = places
        self._collection = collection
        self._undecided = members
        self._unended = members
        self._notes: dict[str, Note] = {}
        self._told: asyncio.Task[None] | None = None
        self._may_tell = asyncio.Event()
        self._tidied: asyncio.Task[None] | None = None
        self._may_tidy = asyncio.Event()
        self._names: set[str] = set()
        self._dropped: set[str] = set()
        self._clean = True

    async def announce(self, note: Note) -> None:
        """Tell of a change, and wait until it is written down what all are going to change."""
        self._notes[note.key] = note
        self.step_aside()
        await self._may_tell.wait()
        if self._told is None:
            self._told = asyncio.ensure_future(self._tell())
        await self._told

    async def add(self, note: Note) -> None:
        """Tell of more that a member changes which has announced its change: others have been faster."""
        name = self._places.note(self._collection, note.key, new_id())
        self._names.add(name)
        await self._requests.keep(name, encode_notes([note]))

    def step_aside(self) -> None:
        """Say that one member changes no markers, or has announced what it changes."""
        self._undecided -= 1
        if not self._undecided:
            self._may_tell.set()

    async def end(self, dropped: Iterable[str], *, clean: bool) -> None:
        """End one member, and wait until what the group has left behind is taken away.

        Args:
            dropped: Names that are not needed any more.
            clean: Whether nobody can have been misled by a marker; else the note stays for a while.
        """
        self._dropped.update(dropped)
        self._clean &= clean
        self._unended -= 1
        if not self._unended:
            self._may_tidy.set()
        await self._may_tidy.wait()
        if self._tidied is None:
            self._tidied = asyncio.ensure_future(self._tidy())
        await self._tidied

    async def _tell(self) -> None:
        notes = list(self._notes.values())
        if len(notes) == 1:
            name = self._places.note(self._collection, notes[0].key, new_id())
        else:
            name = self._places.shared_note(self._collection, new_id())
        self._names.add(name)
        await self._requests.keep(name, encode_notes(notes))

    async def _tidy(self) -> None:
        with suppress(BackendUnavailable, StoreClosed):  # the note tells whoever sweeps what is left to do
            await self._requests.drop_all(self._dropped)
            if self._clean:
                await self._requests.drop_all(self._names)
