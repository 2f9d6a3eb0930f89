"""What every operation of one store needs, put together once when the store is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from daystore.abc.capabilities import STRONG, Consistency
from daystore.abc.middleware import MiddlewareContext
from daystore.abc.query import Query
from daystore.abc.record import Delete, Expiry, Outcome, Put
from daystore.errors import BatchError, DaystoreError
from daystore.middleware import Chain
from daystore.query.fields import Fields
from daystore.stores.codec import RecordCodec
from daystore.stores.expiry import NotGiven, Ttl, expires_at
from daystore.stores.operation import Deferral, Operation, Target, Watched

__all__ = ["Access", "raise_failed"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Access(Generic[T]):
    """How one store reaches its records.

    Attributes:
        store: Name of the store.
        collection: Its collection.
        target: Where its operations go.
        codec: Makes records of values, and values of records.
        fields: What its queries may name.
        consistency: How it reads unless told otherwise.
        ttl: How long records live unless told otherwise, in microseconds; ``None`` for ever.
        chain: Its middleware; ``None`` without.
        defer: In a transaction, keeps what shall happen at its end; ``None`` outside.
    """

    store: str
    collection: str
    target: Target
    codec: RecordCodec[T]
    fields: Fields
    consistency: Consistency
    ttl: int | None
    chain: Chain | None
    defer: Deferral | None = None
    _direct: Operation = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_direct", Operation(self.target, self.collection))

    def operation(
        self,
        name: str,
        keys: Sequence[str] = (),
        *,
        query: Query | None = None,
        consistency: Consistency | None = None,
    ) -> Operation:
        """Begin an operation, to be used with ``async with``."""
        if self.chain is None:
            return self._direct
        context = MiddlewareContext(
            self.store,
            self.collection,
            name,
            keys,
            query=query,
            consistency=consistency or self.consistency,
            in_transaction=self.defer is not None,
        )
        return Watched(self.target, self.chain, context, self.defer)

    @property
    def freshest(self) -> Consistency:
        """The strongest consistency that the backend gives: what is changed is read with it."""
        return STRONG if "strong" in self.target.capabilities.consistency else self.consistency

    def expiry(self, ttl: Ttl | NotGiven, *, keep: bool = False) -> Expiry:
        """Return the expiry of a record written now; see `expires_at`."""
        return expires_at(ttl, self.ttl, self.target.clock(), keep=keep)

    async def write_one(self, operation: Operation, change: Put | Delete) -> Outcome:
        """Apply one change.

        Raises:
            VersionConflict: If its expectation does not hold.
        """
        outcome = (await operation.write([change]))[0]
        if outcome.error is not None:
            raise outcome.error
        return outcome


def raise_failed(changes: Sequence[Put | Delete], outcomes: Sequence[Outcome], backend: str) -> None:
    """Raise if changes of a batch that is not atomic failed.

    Raises:
        BatchError: If some did; it names exactly those.
    """
    errors: dict[str, DaystoreError] = {
        change.key: outcome.error
        for change, outcome in zip(changes, outcomes, strict=True)
        if outcome.error is not None
    }
    if errors:
        raise BatchError(
            f"{len(errors)} of {len(changes)} items failed, the others were applied; see .errors",
            errors=errors,
            backend=backend,
            operation="write",
        )
