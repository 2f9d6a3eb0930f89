"""`raises` and the comparison of records: what they let pass, no case can find."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from daystore.abc import Record
from daystore.errors import DaystoreError, InvalidKey, VersionConflict
from daystore_compliance.checks import assert_same_record, assert_same_records, raises, typed

RECORD = Record("k", b"v", "1", 5, 6, 7000, "t", {"n": 1, "l": ("a",)}, "s", 1, ("z",), b"i")
CHANGES: dict[str, Any] = {
    "key": "other",
    "value": b"other",
    "version": "2",
    "created_at": 4,
    "updated_at": 7,
    "expires_at": None,
    "content_type": "u",
    "fields": {"n": True, "l": ("a",)},
    "schema": None,
    "schema_version": 2,
    "encodings": (),
    "intent": None,
}


@pytest.mark.parametrize("name", CHANGES)
def test_records_differ_in_every_entry(name: str) -> None:
    assert_same_record(replace(RECORD), RECORD, "a copy")
    with pytest.raises(AssertionError, match="returns another record"):
        assert_same_record(replace(RECORD, **{name: CHANGES[name]}), RECORD, "get")


def test_missing_record_and_other_order_fail() -> None:
    other = replace(RECORD, key="l")
    with pytest.raises(AssertionError, match="does not find"):
        assert_same_record(None, RECORD, "get")
    assert_same_records([RECORD, other], [RECORD, other], "query")
    for found in ([other, RECORD], [RECORD], [RECORD, other, other]):
        with pytest.raises(AssertionError):
            assert_same_records(found, [RECORD, other], "query")


def test_typed_tells_types_apart_and_not_time_zones() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert len({typed(value) for value in (1, 1.0, True, "1", ("1",), None)}) == 6
    assert typed(moment) == typed(moment.astimezone(timezone(timedelta(hours=3))))
    assert typed(moment) != typed(moment + timedelta(microseconds=1))


def test_raises_wants_exactly_that_class() -> None:
    with raises(VersionConflict) as caught:
        raise VersionConflict(current="v")
    assert caught.error.current == "v"
    with pytest.raises(AssertionError, match="nothing was raised"), raises(ValueError):
        pass
    with (
        pytest.raises(AssertionError, match="expected ValueError itself, got InvalidKey"),
        raises(ValueError),
    ):
        raise InvalidKey("a subclass")
    with pytest.raises(AssertionError, match="got KeyError"), raises(ValueError):
        raise KeyError("another")


def test_raises_lets_assertions_and_cancellation_through() -> None:
    with pytest.raises(AssertionError, match=r"^mine$"), raises(ValueError):
        raise AssertionError("mine")
    with pytest.raises(KeyboardInterrupt), raises(ValueError):
        raise KeyboardInterrupt


def test_raises_looks_at_retryable_and_at_the_message() -> None:
    lying = VersionConflict()
    lying.retryable = False  # a lie on purpose
    with pytest.raises(AssertionError, match="retryable"), raises(VersionConflict):
        raise lying
    with pytest.raises(AssertionError, match="carries data"), raises(DaystoreError, hides=["secret"]):
        raise DaystoreError("the secret is out")
