"""What becomes of one key by one operation, without sending anything."""

from __future__ import annotations

from dataclasses import dataclass, replace

from daystore.abc import (
    ABSENT,
    ANY,
    KEEP,
    Check,
    Delete,
    Holds,
    Instant,
    Outcome,
    Prepare,
    Put,
    Record,
)
from daystore.abc.record import Expect, Operation
from daystore.errors import RecordPrepared, VersionConflict
from daystore_s3.errors import BACKEND
from daystore_s3.objects import PAST, Kept, new_id
from daystore_s3.parts import Parts

__all__ = ["Step", "after", "judge"]


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done.

    Attributes:
        kept: What is to be kept from now on; ``None`` if nothing is to be changed.
        outcome: What the caller is told then.
    """

    kept: Kept | None
    outcome: Outcome


def judge(
    operation: Operation, index: int, kept: Kept, now: Instant, epoch: str, parts: Parts | None = None
) -> Step:
    """Judge the expectation of an operation, and return what to do.

    Args:
        operation: The operation.
        index: Its place in its batch.
        kept: What is kept of its key.
        now: The present instant.
        epoch: Under which its markers will be, if they change.
        parts: What its value or intent was cut into; ``None`` if that is small.

    Raises:
        VersionConflict: If its expectation does not hold.
    """
    live = kept.live(now)
    if isinstance(operation, Put) and live is not None and live.version == operation.version:
        return Step(None, Outcome(operation.version, kept.replaced))  # it has been applied before
    if isinstance(operation, Prepare) and kept.carries(operation.intent):
        return Step(None, Outcome(None, live is not None))
    _check(operation, index, kept, live)
    done = Outcome(None, live is not None)
    if isinstance(operation, Put):
        return Step(
            _written(operation, kept, live, now, epoch, parts), Outcome(operation.version, live is not None)
        )
    if isinstance(operation, Check) or (
        isinstance(operation, Delete) and live is None and kept.intent is None
    ):
        return Step(None, done)
    if isinstance(operation, Delete):
        return Step(after(kept, Kept()), done)
    if isinstance(operation, Prepare):
        return Step(_with_intent(kept, operation.intent, new_id(), parts), done)
    return Step(_with_intent(kept, None, "", None), done)


def _check(operation: Operation, index: int, kept: Kept, live: Record | None) -> None:
    expect = operation.expect
    kind = VersionConflict
    if isinstance(expect, Holds):
        if kept.intent is not None and kept.intent.startswith(expect.transaction):
            return
    elif kept.intent is not None:
        kind = RecordPrepared
    elif _holds(expect, live):
        return
    raise kind(
        key=operation.key,
        collection=operation.collection,
        current=None if live is None else live.version,
        index=index,
        backend=BACKEND,
        operation="write",
    )


def _holds(expect: Expect | str, live: Record | None) -> bool:
    if expect is ANY:
        return True
    if expect is ABSENT:
        return live is None
    return live is not None and live.version == expect


def after(kept: Kept, new: Kept) -> Kept:
    """Return what is kept after something, with a nonce of its own."""
    return replace(new, nonce=new_id(), past=(kept.nonce, *kept.past)[:PAST])


def _with_intent(kept: Kept, intent: bytes | None, mark: str, parts: Parts | None) -> Kept:
    return after(kept, replace(kept, intent=intent, mark=mark, intent_parts=parts))


def _written(
    put: Put, kept: Kept, live: Record | None, now: Instant, epoch: str, parts: Parts | None
) -> Kept:
    expires_at = put.expires_at
    if expires_at is KEEP:
        expires_at = None if live is None else live.expires_at
    record = Record(
        key=put.key,
        value=put.value,
        version=put.version,
        created_at=now if live is None else live.created_at,
        updated_at=now,
        expires_at=expires_at,
        content_type=put.content_type,
        fields=dict(put.fields),
        schema=put.schema,
        schema_version=put.schema_version,
        encodings=tuple(put.encodings),
    )
    old = kept.record
    same_alarm = old is not None and old.expires_at == expires_at
    new = Kept(
        record,
        epoch=kept.epoch if old is not None and is_indexed_alike(old, record) else epoch,
        alarm=kept.alarm if same_alarm else "" if expires_at is None else new_id(),
        replaced=live is not None,
        value_parts=parts,
    )
    return after(kept, new)


def is_indexed_alike(one: Record, other: Record) -> bool:
    """Tell whether two records have the same markers."""
    return one.created_at == other.created_at and _typed(one) == _typed(other)


def _typed(record: Record) -> dict[str, str]:
    return {name: repr(value) for name, value in record.fields.items()}
