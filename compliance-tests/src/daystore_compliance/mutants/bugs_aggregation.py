"""Mutants made from real bugs of aggregation."""

from __future__ import annotations

from typing import Any

from daystore.abc import Aggregation, GroupRow
from daystore_compliance.mutants.aggregation import Computed
from daystore_compliance.mutants.base import mutant


@mutant("agg.oracle[str]", "agg.group_text", bugs=("temporalio/temporal#8879",))
class GroupKeysAsBytes(Computed):
    """The group of a string is named by its bytes."""

    def rows(self, rows: list[GroupRow], aggregation: Aggregation) -> list[GroupRow]:
        """Encode it."""
        return [GroupRow(tuple(map(self._named, row.group)), row.values) for row in rows]

    def _named(self, value: Any) -> Any:
        return value.encode() if isinstance(value, str) else value
