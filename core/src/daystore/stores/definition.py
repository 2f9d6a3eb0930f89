"""How a store is described: its type and its options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, TypedDict

from daystore.abc.capabilities import EVENTUAL, Consistency
from daystore.abc.serializer import Serializer
from daystore.plugins import Plugins
from daystore.query.fields import unknown
from daystore.stores.expiry import Ttl
from daystore.stores.indexes import Indexes

__all__ = ["Definition", "StoreOptions", "with_indexes"]


class StoreOptions(TypedDict, total=False):
    """The options of a store, each of which may be left out.

    Attributes:
        indexes: What can be queried: names of fields, `Index` objects, or a mapping of names to types.
        collection: The collection; the name of the store, unless given.
        serializer: By which values are written, or its name; ``"json"`` unless given.
        middleware: Code around every operation, outermost first.
        consistency: How fresh reads have to be unless a call says otherwise; ``EVENTUAL`` unless given.
        ttl: How long records live unless a call says otherwise; for ever unless given.
        verify: Whether a typed store reads back what it encoded and compares before it writes; on unless
            given.
        plugins: Where serializers and codecs are found; the installed plugins unless given.
    """

    indexes: Indexes
    collection: str | None
    serializer: str | Serializer
    middleware: Sequence[object]
    consistency: Consistency
    ttl: Ttl
    verify: bool
    plugins: Plugins | None


@dataclass(frozen=True, slots=True)
class Definition:
    """A store's type and options. Two stores of one definition are the same in everything."""

    type: Any = None
    indexes: Indexes = ()
    collection: str | None = None
    serializer: str | Serializer = "json"
    middleware: Sequence[object] = ()
    consistency: Consistency = EVENTUAL
    ttl: Ttl = None
    verify: bool = True
    plugins: Plugins | None = None

    @classmethod
    def of(cls, value_type: Any, options: StoreOptions) -> Self:
        """Make a definition of what a caller gave.

        Raises:
            TypeError: If there is no such option.
        """
        for name in options:
            if name not in StoreOptions.__annotations__:
                raise TypeError(
                    f"a store has no option {name!r}{unknown(name, StoreOptions.__annotations__)}"
                )
        return cls(value_type, **options)

    def __post_init__(self) -> None:
        for name in ("indexes", "middleware"):
            if isinstance(getattr(self, name), list):  # so that the caller's list may change, and be compared
                object.__setattr__(self, name, tuple(getattr(self, name)))


def with_indexes(options: StoreOptions, indexes: Indexes) -> StoreOptions:
    """Return the options of a store whose indexes are its own affair.

    Raises:
        TypeError: If there are indexes among the options.
    """
    if "indexes" in options:
        raise TypeError("this store has indexes of its own; for others make a store of your own type")
    return {**options, "indexes": indexes}
