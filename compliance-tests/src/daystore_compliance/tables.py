"""Values that have been confused with each other, as fields of records and as what they are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

from daystore.abc import FieldValue, Scalar
from daystore_compliance.model import Row
from daystore_compliance.records import Records

__all__ = ["HOSTILE", "PROBES", "VALUES", "fill_values", "rows_of"]

_INDIA: Final = timezone(timedelta(hours=5, minutes=30))
_NOON: Final = datetime(2026, 3, 29, 12, tzinfo=UTC)

VALUES: Final[dict[str, tuple[FieldValue, ...]]] = {
    "str": (
        *(
            "",
            "a",
            "A",
            "b",
            "ab",
            "a%",
            "a_",
            "a ",
            " a",
            "1",
            "01",
            "9",
            "10",
            "true",
            "None",
            "null",
            "{}",
        ),
        *("\u00e9", "e\u0301", "\u00df", "ss", "\U0001f600", "\uffff", "\0", "a\0", "'", "2026-03-29", "zz"),
    ),
    "int": (0, 1, -1, 2, 9, 10, -9, -10, 2**31, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)),
    "float": (0.0, 1.0, -1.0, 0.5, 9.0, 9.5, 10.0, -10.0, 2.0**53, 1e300, -1e300, 5e-324, 0.1),
    "bool": (True, False),
    "datetime": (
        _NOON,
        _NOON + timedelta(microseconds=1),
        _NOON - timedelta(microseconds=1),
        (_NOON + timedelta(hours=1)).astimezone(_INDIA),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ),
    "list": (
        (),
        ("",),
        ("a",),
        ("A",),
        ("a", "b"),
        ("b", "a", "a"),
        ("ab",),
        ("a%",),
        ("a,b",),
        ("1",),
        ("\u00e9",),
    ),
}
"""Values of a field, by type."""

PROBES: Final[dict[str, tuple[Scalar, ...]]] = {
    "str": (
        "",
        "a",
        "A",
        "a%",
        "a_",
        "1",
        "9",
        "10",
        "true",
        "e\u0301",
        "\u00e9",
        "\uffff",
        "\0",
        "a ",
        "missing",
    ),
    "int": (0, 1, -1, 9, 10, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 7),
    "float": (0.0, 1.0, -1.0, 0.5, 9.5, 10.0, 2.0**53, 1e300, 5e-324, 7.25),
    "bool": (True, False),
    "datetime": (
        *(value for value in VALUES["datetime"] if isinstance(value, datetime)),
        _NOON.astimezone(_INDIA),
        _NOON + timedelta(days=1),
    ),
}
"""What a field is compared with, by type: values that are there, and at least one that is not."""


HOSTILE: Final = (
    *(
        "' OR '1'='1",
        "'; DROP TABLE records; --",
        '"; DELETE FROM x; --',
        "\\' OR 1=1 --",
        "1; SELECT pg_sleep(9)",
    ),
    *('{"$gt": ""}', "$where", "$set", "a.$[].b", "return redis.call('FLUSHALL')", "]] os.execute('x') --[["),
    *(
        "../../etc/passwd",
        "..\\..\\x",
        "file:///etc/passwd",
        "%2e%2e%2f",
        "a\r\nDEL *\r\n",
        "a\0b",
        "\x1b[2J",
    ),
    *(
        "{0.__class__}",
        "%(a)s %s %n",
        "${jndi:ldap://x}",
        "{{7*7}}",
        "<script>x</script>",
        "__proto__",
        "`id`",
        "$(id)",
    ),
)
"""Text that some language would run, in UTF-8 and within the rules for keys and for names of fields."""


def rows_of() -> dict[str, Mapping[str, Any]]:
    """Make records, by key, whose field ``f`` has every value, and some that do not have it at all."""
    rows: dict[str, Mapping[str, Any]] = {
        f"{kind}-{index:02}": {"f": value, "other": index}
        for kind, values in VALUES.items()
        for index, value in enumerate(values)
    }
    rows |= {"missing-0": {}, "missing-1": {"other": 1}, "missing-2": {"F": "a", "ff": 1, "other": "a"}}
    return dict(sorted(rows.items(), key=lambda item: item[0][::-1]))  # not in the order of keys


async def fill_values(records: Records) -> list[Row]:
    """Write the records of `rows_of`, and return what the model knows of them."""
    rows = rows_of()
    await records.fill(rows)
    return [Row(key, fields) for key, fields in rows.items()]
