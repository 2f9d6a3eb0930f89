"""Exact sums of floats on MySQL and MariaDB, whose own sum rounds at every step.

A float is an integer of 53 bits times a power of two. The exponents are divided into 32 spans of 64. For each
of them the database adds up the integers, shifted to the beginning of the span, as decimal numbers of up to
65 digits: without any rounding. What comes back is 32 integers, whose sum is rounded once.

The bits are taken from the sort key, where the bits of a negative float are inverted: see
`daystore_sql.encoding`.
"""

from __future__ import annotations

from fractions import Fraction
from math import inf
from typing import Any, Final

from sqlalchemy import ColumnElement, literal_column
from sqlalchemy.sql.elements import ColumnClause

__all__ = ["float_parts", "float_total"]

_SPANS: Final = 32
_SHIFT: Final = 1075
"""A float with the exponent 1 is its integer divided by two to the power of one less."""


def float_parts(real: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return an aggregate: the sums of all spans as text, with commas between them.

    Args:
        real: The column of floats of an entry of the index of fields.
    """
    entry: Any = real
    name = entry.table.name
    bits = f"CAST(CONV(HEX(SUBSTRING({name}.sort_key, 2, 8)), 16, 10) AS UNSIGNED)"
    positive = f"ORD(SUBSTRING({name}.sort_key, 2, 1)) >= 128"
    magnitude = f"(IF({positive}, {bits}, ~{bits}) & 9223372036854775807)"
    exponent = f"({magnitude} >> 52)"
    integer = f"(({magnitude} & 4503599627370495) + IF({exponent} > 0, 4503599627370496, 0))"
    shifted = (
        f"CAST({integer} AS DECIMAL(20)) * CAST((1 << (GREATEST({exponent}, 1) & 63)) AS DECIMAL(20)) "
        f"* IF({positive}, 1, -1)"
    )
    span = f"(ORD(SUBSTRING({name}.sort_key, 2, 1)) >> 2)"
    sums = (
        f"IFNULL(SUM(CASE WHEN {name}.`real` IS NOT NULL AND {span} IN ({32 + n}, {31 - n}) "
        f"THEN {shifted} END), 0)"
        for n in range(_SPANS)
    )
    column: ColumnClause[Any] = literal_column(f"CONCAT_WS(',', {', '.join(sums)})")
    return column


def float_total(cell: Any, whole: int) -> float:
    """Return the sum of what `float_parts` tells and an integer, rounded once.

    Beyond the range of floats it is infinite.
    """
    text = cell.decode() if isinstance(cell, bytes) else str(cell)
    total = whole + sum(
        (
            int(part) * Fraction(2) ** (64 * n - _SHIFT)
            for n, part in enumerate(text.split(","))
            if part != "0"
        ),
        Fraction(0),
    )
    try:
        return float(total)
    except OverflowError:
        return inf if total > 0 else -inf
