"""One operation on its way: look, judge, write the object, and look again where the answer was lost."""

from __future__ import annotations

import asyncio
from typing import Final

from daystore.abc import ABSENT, Clock, Outcome, Prepare, Put, Release
from daystore.abc.record import Operation
from daystore.errors import BackendUnavailable, OperationTimeout, StoreClosed, VersionConflict
from daystore_s3.errors import BACKEND, unavailable, unknown
from daystore_s3.grouping import Group
from daystore_s3.judging import after, judge
from daystore_s3.markers import Note, alarm_of, mark_of, markers_of
from daystore_s3.objects import NOTHING, Kept, encode, new_id
from daystore_s3.parts import LIFE, Parts, send
from daystore_s3.places import Places
from daystore_s3.reading import Sight, look
from daystore_s3.requests import Requests, pauses, unreachable
from daystore_s3.sending import Busy, Refused, Unanswered

__all__ = ["Change"]

RACES: Final = 1_000
"""Attempts of a write that others are faster than; its time is over long before."""


class Change:
    """One operation.

    Args:
        requests: By which to ask.
        places: Where things are.
        operation: What to do.
        index: Its place in its batch.
        deadline: When, by the clock of the event loop, it may not be applied any more.
        part_size: Bytes from which on a value is kept in parts.

    Attributes:
        collection: Where it is.
        place: Where it is, with its key.
        applying: Whether the request that applies it may be under way.
        sight: What it has last seen of its key, or made of it, if that is certain.
        task: What carries it out, once it was begun.
    """

    def __init__(
        self,
        requests: Requests,
        places: Places,
        operation: Operation,
        index: int,
        deadline: float,
        part_size: int,
    ) -> None:
        self._requests = requests
        self._places = places
        self._operation = operation
        self._index = index
        self._deadline = deadline
        self._bulk = _bulk_of(operation)
        self.collection: str = operation.collection
        self.place: tuple[str, str] = operation.collection, operation.key
        self._key = operation.key
        self._name = places.record(operation.collection, operation.key)
        self._needs_whole = isinstance(operation, Prepare | Release)  # they leave the value as it is
        self._epoch = new_id()
        self._cut = Parts.of(self._bulk, part_size, self._epoch)
        self._made: set[str] = set()  # what it has made beside the object
        self._sent: set[str] = set()  # the parts that it has made
        self._left: set[str] = set()  # what is not needed any more
        self._announced: set[str] = set()  # what notes name
        self._decided = False
        self._open = False  # whether it is not known what became of it
        self._given_up = False
        self.applying: bool = False
        self.sight: Sight | None = None
        self.task: asyncio.Task[Outcome] | None = None

    def give_up(self) -> None:
        """Stop before the request that applies it, if that was not sent yet: nobody waits for it any more."""
        self._given_up = True

    async def run(self, clock: Clock, group: Group, sight: Sight | None, known: Sight | None) -> Outcome:
        """Apply it.

        Args:
            clock: Of the adapter.
            group: What it is a member of.
            sight: What was seen of its key since it was asked for, so that it need not look.
            known: What was seen of its key before that, by which it may be tried.
        """
        try:
            if sight is None and (outcome := await self._try(clock, group, known)) is not None:
                return outcome
            return await self._apply(clock, group, sight)
        finally:
            await self._end(group)

    async def expire(self, clock: Clock, group: Group, deadline: str) -> Outcome:
        """Take away an expired record, unless it carries an intent; or only a deadline that is not its own."""
        try:
            self.sight = sight = await self._look(whole=False)
            kept = sight.kept
            if deadline not in self._beside(kept):
                self._left.add(deadline)
            elif kept.live(clock()) is None and kept.intent is None:
                await self._exchange(group, sight, after(kept, NOTHING))
        finally:
            await self._end(group)
        return Outcome(None, False)

    async def _try(self, clock: Clock, group: Group, known: Sight | None) -> Outcome | None:
        """Apply it without looking, to what its key was like, or to none; ``None`` if it has to be looked."""
        if known is None and self._operation.expect is ABSENT and self._cut is None:
            known = Sight(None, NOTHING, asyncio.get_running_loop().time())
        if known is None or (self._needs_whole and not known.kept.whole):
            return None
        try:
            step = judge(self._operation, self._index, known.kept, clock(), self._epoch, self._cut)
        except VersionConflict:
            return None
        if step.kept is None or not await self._exchange(group, known, step.kept):
            return None
        return step.outcome

    async def _apply(self, clock: Clock, group: Group, sight: Sight | None) -> Outcome:
        for pause in pauses(RACES):
            if pause:
                await asyncio.sleep(pause)
            if sight is None or (self._needs_whole and not sight.kept.whole):
                sight = await self._look_in_time(whole=self._needs_whole)
            self.sight = sight
            self._check_time()
            step = judge(self._operation, self._index, sight.kept, clock(), self._epoch, self._cut)
            if step.kept is None or await self._exchange(group, sight, step.kept):
                return step.outcome
            sight = None
        raise unavailable("other writers of this record were faster again and again: try again", "write")

    async def _end(self, group: Group) -> None:
        if not self._decided:
            self._decided = True
            group.step_aside()
        if self._open:
            await group.end((), clean=False)
        else:
            await group.end(self._left | self._made | self._sent, clean=not self._made)

    async def _look(self, *, whole: bool) -> Sight:
        since = asyncio.get_running_loop().time()
        etag, kept = await look(self._requests, self.collection, self._key, self._name, whole=whole)
        return Sight(etag, kept, since)

    async def _look_in_time(self, *, whole: bool) -> Sight:
        try:
            async with asyncio.timeout_at(self._deadline):
                return await self._look(whole=whole)
        except TimeoutError as error:
            raise _too_late() from error

    def _check_time(self) -> None:
        if self._given_up or asyncio.get_running_loop().time() > self._deadline:
            raise _too_late()

    # --- Markers ---------------------------------------------------------------------------------------------

    async def _exchange(self, group: Group, sight: Sight, new: Kept) -> bool:
        """Put something in the place of what was seen, markers included; tell whether nobody was faster."""
        old = sight.kept
        old_markers, new_markers = self._markers(old), self._markers(new)
        if old.epoch == new.epoch:
            old_markers = new_markers = {}
        old_beside, new_beside = self._beside(old), self._beside(new)
        if old_markers or new_markers:
            await self._announce(group, {*old_markers, *new_markers, *self._made})
            self._check_time()
        old_parts, new_parts = self._parts(old), self._parts(new)
        await self._send([name for name in new_parts if name not in old_parts and name not in self._sent])
        wanted = new_markers | new_beside
        made = {n: body for n, body in wanted.items() if n not in self._made and n not in old_beside}
        self._made |= made.keys()
        await asyncio.gather(*(self._requests.keep(name, body) for name, body in made.items()))
        self._check_time()
        self.applying = True
        applied = await self._swap(sight, new)
        self.applying = False
        if not applied:
            return False
        self._left = {*old_markers, *old_beside, *self._made} - wanted.keys()
        self._left |= {*old_parts, *self._sent}.difference(new_parts)
        self._made = set()
        self._sent = set()
        return True

    async def _send(self, parts: list[str]) -> None:
        if parts:
            self._deadline = min(self._deadline, asyncio.get_running_loop().time() + LIFE)
            self._sent.update(parts)
            await send(self._requests, parts, self._bulk, self._check_time)

    async def _announce(self, group: Group, names: set[str]) -> None:
        if names <= self._announced:
            return
        note = Note(self._key, tuple(names - self._announced))
        self._announced |= names
        if self._decided:
            await group.add(note)
        else:
            self._decided = True
            await group.announce(note)

    def _markers(self, kept: Kept) -> dict[str, bytes]:
        return markers_of(self._places, self.collection, kept)

    def _beside(self, kept: Kept) -> dict[str, bytes]:
        """Return what is kept beside the object that nobody is misled by."""
        places, collection = self._places, self.collection
        return alarm_of(places, collection, kept) | mark_of(places, collection, self._key, kept)

    def _parts(self, kept: Kept) -> list[str]:
        """Return the names of the parts of what is kept."""
        return [
            name for parts in kept.parts for name in parts.names(self._places, self.collection, self._key)
        ]

    # --- The object ------------------------------------------------------------------------------------------

    async def _swap(self, sight: Sight, new: Kept) -> bool:
        """Write the object; tell whether it was applied.

        Raises:
            OutcomeUnknown: If it cannot be told.
        """
        body = encode(new)
        self.sight = None
        cause: BaseException | None = None
        for pause in pauses():
            if pause:
                await asyncio.sleep(pause)
            try:
                if self._open and (applied := await self._is_applied(sight, new)) is not None:
                    self._open = False
                    return applied
                self._check_time()
                since = asyncio.get_running_loop().time()
                etag = await self._requests.swap(self._name, body, sight.etag)
            except Refused:
                if not self._open:
                    return False
            except (Busy, Unanswered) as error:
                cause = error.__cause__ or error
                self._open |= isinstance(error, Unanswered) and error.sent
            except (BackendUnavailable, OperationTimeout, StoreClosed) as error:
                if not self._open:
                    raise
                cause = error
                break
            except BaseException:  # it was ended from outside, and its request goes on
                self._open = True
                raise
            else:
                self._open = False
                self.sight = Sight(etag, new, since)
                return True
        if self._open:
            raise unknown(
                "the answer was lost, and asking again did not tell whether the write was applied"
            ) from cause
        raise unreachable(cause, "write") from cause

    async def _is_applied(self, sight: Sight, new: Kept) -> bool | None:
        """Look whether a write was applied; ``None`` if it was not, and may be sent again."""
        found = await self._look(whole=False)
        if new.nonce in (found.kept.nonce, *found.kept.past):
            return True
        if found.etag == sight.etag:
            return None
        if sight.kept.nonce in found.kept.past:
            return False
        raise unknown(
            "the answer was lost, and others have written since: it cannot be told whether it was applied"
        )


def _bulk_of(operation: Operation) -> bytes:
    """Return what may be too large for the object of a record."""
    if isinstance(operation, Put):
        return operation.value
    return operation.intent if isinstance(operation, Prepare) else b""


def _too_late() -> OperationTimeout:
    return OperationTimeout(
        "the time limit was over before the write was applied: nothing of it was",
        backend=BACKEND,
        operation="write",
    )
