"""Aggregates: computed here, over what listings tell."""

from __future__ import annotations

from dataclasses import replace

from daystore.abc import Aggregation, GroupRow, Query
from daystore.abc.evaluate import evaluate_aggregate
from daystore_s3.searching import Searcher

__all__ = ["run_aggregate"]


async def run_aggregate(searcher: Searcher, query: Query, aggregation: Aggregation) -> list[GroupRow]:
    """Compute an aggregation over what a query finds."""
    fields = {function.field for function in aggregation.functions.values()} | set(aggregation.group_by)
    records = await searcher.records(query, [name for name in fields if name is not None])
    return evaluate_aggregate(records, replace(query, where=None), aggregation)
