"""What a server remembers of changes, so that a client whose reply was lost can ask what became of its own."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from daystore.abc import Check, Outcome, WriteBatch

__all__ = ["MOST", "Change", "Journal", "Name"]

Name = tuple[str, str]
"""Collection and key."""

MOST: Final = 10_000
"""Entries of what a server remembers; the oldest are forgotten first."""


class Change(NamedTuple):
    """The last change of a key.

    Attributes:
        number: Its place among all changes of the namespace.
        mark: What its writer called it: the version of a `Put`, a mark of its own for a `Delete`.
        existed: Whether a live record was there before.
    """

    number: int
    mark: str
    existed: bool


class Journal:
    """The last change of each key, deleted ones included; of the keys changed last, if they are many.

    Attributes:
        number: How many changes there have been.
    """

    def __init__(self) -> None:
        self.number: int = 0
        self._changes: OrderedDict[Name, Change] = OrderedDict()
        self._forgotten = 0

    def note(self, batch: WriteBatch, marks: Sequence[str], outcomes: Iterable[Outcome]) -> None:
        """Remember what a batch has changed. What it left as it was is no change."""
        for operation, mark, outcome in zip(batch.operations, marks, outcomes, strict=True):
            changed = outcome.version is not None or outcome.existed
            if isinstance(operation, Check) or outcome.error is not None or not changed:
                continue
            self.number += 1
            name = (operation.collection, operation.key)
            self._changes[name] = Change(self.number, mark, outcome.existed)
            self._changes.move_to_end(name)
        while len(self._changes) > MOST:
            self._forgotten = self._changes.popitem(last=False)[1].number

    def since(self, name: Name, number: int) -> Change | None:
        """Return the last change of a key after the change `number`; ``None`` if there was none."""
        change = self._changes.get(name)
        if change is not None and change.number > number:
            return change
        return Change(self._forgotten, "", existed=False) if number < self._forgotten else None
