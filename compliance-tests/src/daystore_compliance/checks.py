"""Assertions that say what was promised: exact errors, exact records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields as dataclass_fields
from datetime import datetime
from types import TracebackType
from typing import Final, Generic, Self, TypeVar, cast

from daystore.abc import FieldValue, Record, to_instant
from daystore.errors import BackendUnavailable, DaystoreError

__all__ = ["assert_same_record", "assert_same_records", "raises", "typed"]

E = TypeVar("E", bound=BaseException)

_ENTRIES: Final = tuple(entry.name for entry in dataclass_fields(Record) if entry.name != "fields")


class raises(Generic[E]):  # noqa: N801 -- read as a word: with raises(VersionConflict)
    """Expect exactly this class of error from a block; `error` is what was caught, once the block has ended.

    Args:
        kind: The class. A subclass of it is another error, and so is the builtin it inherits from.
        hides: Texts that must not stand in the error's message.
    """

    error: E

    def __init__(self, kind: type[E], *, hides: Iterable[str] = ()) -> None:
        self._kind = kind
        self._hides = tuple(hides)

    def __enter__(self) -> Self:
        """Begin the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """End the block: with the error expected, or with an assertion that failed."""
        name = self._kind.__name__
        assert error is not None, f"expected {name}, and nothing was raised"
        if not isinstance(error, self._kind):
            if not isinstance(error, Exception) or isinstance(error, AssertionError):
                return False
            raise AssertionError(f"expected {name}, got {type(error).__name__}: {error}") from error
        assert type(error) is self._kind, f"expected {name} itself, got {type(error).__name__}"
        if isinstance(error, DaystoreError) and self._kind is not BackendUnavailable:  # it depends on why
            assert error.retryable is type(error).retryable, "an error's retryable is that of its class"
        for text in self._hides:
            assert text not in str(error), f"the message of {name} carries data"
        self.error = cast("E", error)
        return True


def typed(value: FieldValue | None) -> tuple[str, object]:
    """Make the value of a field comparable without mixing types; datetimes compare as instants."""
    if isinstance(value, datetime):
        return ("datetime", to_instant(value))
    return (type(value).__name__, value)


def _plain(record: Record) -> dict[str, object]:
    plain: dict[str, object] = {}
    for attribute in dataclass_fields(record):
        value = getattr(record, attribute.name)
        if isinstance(value, Mapping):
            plain[attribute.name] = {name: typed(item) for name, item in value.items()}
        else:
            plain[attribute.name] = (type(value).__name__, value)
    return plain


def _is_exactly(one: Record, other: Record) -> bool:
    """Tell at a glance that two records are the same; where it cannot, `_plain` looks closer."""
    mine, theirs = one.fields, other.fields
    return (
        type(mine) is type(theirs) is dict
        and all(_same(getattr(one, name), getattr(other, name)) for name in _ENTRIES)
        and mine.keys() == theirs.keys()
        and all(_same(value, theirs[name]) for name, value in mine.items())
    )


def _same(one: object, other: object) -> bool:
    return type(one) is type(other) and one == other


def assert_same_record(found: Record | None, expected: Record, path: str) -> None:
    """Expect one and the same record: every entry of its envelope, with its type.

    Args:
        found: What was read.
        expected: What it must equal.
        path: How `found` was read, for the message.
    """
    assert found is not None, f"{path} does not find a record that is there"
    if _is_exactly(found, expected):
        return
    assert _plain(found) == _plain(expected), f"{path} returns another record"


def assert_same_records(found: Sequence[Record], expected: Sequence[Record], path: str) -> None:
    """Expect the same records in the same order; see `assert_same_record`."""
    assert [record.key for record in found] == [record.key for record in expected], f"{path}: other keys"
    for one, other in zip(found, expected, strict=True):
        assert_same_record(one, other, path)
