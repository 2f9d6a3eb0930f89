"""How a query would be run."""

from __future__ import annotations

from daystore.abc import Explanation, Query
from daystore.abc.ranges import FALSE, normalise
from daystore_s3.planning import EVERYTHING, Cover, covers_of, fields_of, walks
from daystore_s3.requests import PAGE
from daystore_s3.searching import Searcher

__all__ = ["run_explain"]


async def run_explain(searcher: Searcher, query: Query) -> Explanation:
    """Say how a query would be run, and how many names it would meet at first."""
    node = normalise(query.where)
    covers = [] if node == FALSE or query.limit == 0 else covers_of(node) or [EVERYTHING]
    detail = tuple([await _met(searcher, query, cover) for cover in covers])
    if not covers:
        return Explanation(indexed=True, strategy="nothing can match")
    by_updates = query.order.field == "updated_at"
    if covers == [EVERYTHING] or by_updates:
        names = ", ".join(dict.fromkeys([*fields_of(node), *["updated_at"] * by_updates]))
        return Explanation(False, f"scan of the collection, each record checked for {names}", detail)
    names = " or ".join(dict.fromkeys(" and ".join(sorted(cover.fields)) for cover in covers))
    if len(covers) > 1 or not covers[0].exact:
        checked = ", ".join(dict.fromkeys(fields_of(node)))
        return Explanation(False, f"index on {names}, what is found there checked for {checked}", detail)
    if walks(covers[0], query.order):
        return Explanation(True, f"index on {names}", detail)
    if query.order.field == "key" or covers[0].fields == {query.order.field}:
        return Explanation(True, f"index on {names}, sorted", detail)
    return Explanation(False, f"index on {names}, sorted by the index on {query.order.field}", detail)


async def _met(searcher: Searcher, query: Query, cover: Cover) -> str:
    met = await searcher.named(query, cover)
    more = " or more" * any(number >= PAGE for number in met)
    return f"{sum(met)}{more} names in the index on {' and '.join(sorted(cover.fields))}"
