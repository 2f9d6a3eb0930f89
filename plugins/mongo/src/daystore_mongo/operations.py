"""Operations as what a server is asked: steps, of which the first one that meets its condition is the operation.

Each step changes one document, so it is atomic. Its condition says everything that the operation expects, so it is
safe to take a step twice, and to take the next one whatever happens between the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from daystore.abc import ABSENT, ANY, KEEP, Delete, Holds, Instant, Outcome, Prepare, Put, Release
from daystore.abc.record import TRANSACTION_BYTES, Check, Operation
from daystore.errors import DaystoreError, RecordPrepared, VersionConflict
from daystore_mongo.documents import Document, bare, content_of, date_of, fits, id_of, is_alive, live
from daystore_mongo.errors import BACKEND, too_large, unknown

__all__ = ["FREE", "LOST", "Step", "judge", "settle", "steps_of", "tombstone"]

FREE: Final[Document] = {"h": {"$exists": False}}
"""The condition that nothing is prepared."""
LOST: Final = "the answer was lost, and looking did not tell whether the write was applied"


@dataclass(frozen=True, slots=True)
class Step:
    """One request.

    Attributes:
        where: Which document.
        change: What it becomes; ``None`` to delete it.
        existed: Whether that is a live record.
        inserts: Whether a document is made where there is none; one that does not meet the condition is then an
            error, so that its answer tells of each step of a bulk what became of it.
    """

    where: Document
    change: Document | None
    existed: bool
    inserts: bool = False


def steps_of(operation: Operation, now: Instant, *, native: bool) -> list[Step]:
    """Return the steps of an operation.

    Args:
        operation: The operation.
        now: The present instant.
        native: Whether the server may remove expired records by itself, by its own clock.

    Raises:
        LimitExceeded: If its document is too large.
    """
    identifier = id_of(operation.key)
    if isinstance(operation, Put):
        return _put(operation, identifier, now, native=native)
    expect = operation.expect
    alive, dead = {"_id": identifier, **live(now)}, {"_id": identifier, "x": {"$lte": now}}
    if isinstance(expect, Holds):
        held = {"h": expect.transaction}
        if isinstance(operation, Release):
            released = {"$unset": {"h": 1, "i": 1}, "$rename": {"s": "t"}}
            return [Step(alive | held, released, existed=True), Step(dead | held, None, existed=False)]
        return [Step(alive | held, None, existed=True), Step(dead | held, None, existed=False)]
    if isinstance(operation, Delete) and expect is not ABSENT:
        version = {} if expect is ANY else {"v": expect}
        return [Step(alive | version | FREE, None, existed=True)]
    if isinstance(operation, Prepare):
        held = {"h": operation.intent[:TRANSACTION_BYTES], "i": operation.intent}
        prepared = {"$set": held, "$rename": {"t": "s"}}
        if expect is not ANY and expect is not ABSENT:
            return [Step(alive | {"v": expect} | FREE, prepared, existed=True)]
        alone = prepared | {"$setOnInsert": bare("") | {"c": 0}}
        if expect is ABSENT:
            return [Step(dead | FREE, alone, existed=False, inserts=True)]
        return [
            Step(alive | FREE, alone, existed=True, inserts=True),
            Step(dead | FREE, prepared, existed=False),
        ]
    return []  # a check, which reads


def _put(put: Put, identifier: str, now: Instant, *, native: bool) -> list[Step]:
    expect = put.expect
    content = content_of(put, now)
    if not fits(content):
        raise too_large()
    holds = isinstance(expect, Holds)
    over_live = _change(put, content, native=native, keep=put.expires_at is KEEP, holds=holds)
    over_dead = _change(put, content | {"c": now}, native=native, keep=False, holds=holds)
    alive, dead = {"_id": identifier, **live(now)}, {"_id": identifier, "x": {"$lte": now}}
    if isinstance(expect, Holds):
        held = {"h": expect.transaction}
        return [Step(alive | held, over_live, existed=True), Step(dead | held, over_dead, existed=False)]
    if expect is ABSENT:
        return [Step(dead | FREE, over_dead, existed=False, inserts=True)]
    if expect is not ANY:
        return [Step(alive | {"v": expect} | FREE, over_live, existed=True)]
    return [
        Step(alive | FREE, over_live | {"$setOnInsert": {"c": now}}, existed=True, inserts=True),
        Step(dead | FREE, over_dead, existed=False),
    ]


def _change(put: Put, content: Document, *, native: bool, keep: bool, holds: bool) -> Document:
    """Return how a document becomes that of a `Put`."""
    new, gone = dict(content), {"h": 1, "i": 1} if holds else {}
    if keep:
        change = {"$set": new, "$unset": gone, "$rename": {"s": "t"}}
        return {name: part for name, part in change.items() if part and (holds or name != "$rename")}
    gone["s"] = 1
    expires_at = put.expires_at
    if isinstance(expires_at, int):
        new["x"] = expires_at
        if native:
            new["t"] = date_of(expires_at)
    return {"$set": new, "$unset": gone | {name: 1 for name in "xt" if name not in new}}


def tombstone(operation: Operation, version: str, now: Instant) -> Step:
    """Return the step that makes of a live record one that has expired, and tells whether there was one."""
    where = {"_id": id_of(operation.key), **live(now), **FREE}
    change = {"$set": bare(version), "$setOnInsert": {"c": 0}, "$unset": {"t": 1}}
    return Step(where, change, existed=True, inserts=True)


def judge(
    operation: Operation, index: int, document: Document | None, now: Instant
) -> Outcome | VersionConflict | None:
    """Judge an operation by what is there.

    Args:
        operation: No step of which has met its condition.
        index: Its place in the batch.
        document: What is there, or as much of it as this looks at.
        now: The instant at which it was tried.

    Returns:
        What became of it, or why it cannot be; ``None`` if it can be, so that it has to be tried again.
    """
    found: Document = {} if document is None else document
    alive = document is not None and is_alive(document, now)
    if isinstance(operation, Put) and found.get("v") == operation.version:
        return Outcome(operation.version, found.get("c") != found.get("u"))
    expect, holder = operation.expect, found.get("h")
    kind: type[VersionConflict] = VersionConflict
    if isinstance(expect, Holds):
        if holder == expect.transaction:
            return None
    elif holder is not None:
        if isinstance(operation, Prepare) and found.get("i") == operation.intent:
            return Outcome(None, alive)
        kind = RecordPrepared
    elif expect is ANY or (not alive if expect is ABSENT else alive and found.get("v") == expect):
        nothing = isinstance(operation, Delete) and not alive
        return Outcome(None, alive) if nothing or isinstance(operation, Check) else None
    return kind(
        key=operation.key,
        collection=operation.collection,
        current=_text(found.get("v")) if alive else None,
        index=index,
        backend=BACKEND,
        operation="write",
    )


def _text(version: Any) -> str:
    return str(version)


def settle(
    operation: Operation, index: int, document: Document | None, now: Instant
) -> Outcome | DaystoreError | None:
    """Judge an operation whose answer was lost by what is there now; ``None`` if it may be sent again."""
    found = judge(operation, index, document, now)
    if isinstance(operation, Check | Prepare) or (isinstance(operation, Put) and isinstance(found, Outcome)):
        return found
    if found is None and operation.expect is not ANY:
        return None
    if isinstance(operation.expect, Holds) and not isinstance(operation, Put):
        return Outcome(
            None, document is not None
        )  # nobody but those who end this transaction takes its intent away
    return unknown(LOST)
