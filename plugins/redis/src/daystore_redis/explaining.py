"""How a query would be run."""

from __future__ import annotations

from collections.abc import Iterator

from daystore.abc import Explanation, Query
from daystore.abc.ranges import BOUNDS, FALSE, AllOf, AnyOf, Node, NoneOf, normalise
from daystore_redis.planning import Cover
from daystore_redis.searching import Ask, Search, Searcher, search_of

__all__ = ["run_explain"]


async def run_explain(searcher: Searcher, query: Query) -> Explanation:
    """Say how a query would be run; the script that would choose an index is asked which one."""
    search = search_of(query, searcher.clock())
    limit = query.limit or None

    async def plan(ask: Ask) -> list[int]:
        return await ask(b"plan", search.pack(limit, query.offset, ask.budget))

    plans = await searcher.each("explain", plan)
    node = normalise(query.where)
    if node == FALSE or query.limit == 0:
        return Explanation(indexed=True, strategy="nothing can match")
    found = [_told(search, node, limit, plan) for plan in plans]
    strategies = dict.fromkeys(strategy for _, strategy in found)
    detail = tuple(f"{entries} of {total} entries" for _, _, entries, total, _ in plans)
    return Explanation(all(indexed for indexed, _ in found), ", or ".join(strategies), detail)


def _told(
    search: Search,
    node: Node,
    limit: int | None,
    plan: list[int],
) -> tuple[bool, str]:
    """Tell whether no record is looked at in vain, and what drives the search of one shard."""
    number, walks, _, total, missing = plan
    if number == 0:
        by = search.field if limit else "key"
        if search.filter is not None:
            return False, f"scan of the collection by {by}, each record checked for {_names_of(node)}"
        sought = limit is not None and search.field not in BOUNDS and 0 < missing < total
        return not sought, f"index on {by}" + (", after those without it" if sought else "")
    cover = search.covers[number - 1]
    fields = list(dict.fromkeys(field for field, _, _ in cover.spans))
    words = f"index on {fields[0]}" if len(fields) == 1 else f"indexes on {', '.join(fields)}, united"
    if not cover.exact:
        words += f", each record found there checked for {_names_of(node)}"
    ordered = walks or (limit is None and _is_sorted(search, cover))
    return cover.exact, words if ordered else f"{words}, sorted"


def _is_sorted(search: Search, cover: Cover) -> bool:
    return cover.segments(search.field, None, descending=search.descending) is not None


def _names_of(node: Node) -> str:
    return ", ".join(dict.fromkeys(_fields_of(node)))


def _fields_of(node: Node) -> Iterator[str]:
    if isinstance(node, AllOf | AnyOf):
        for term in node.terms:
            yield from _fields_of(term)
    else:
        yield node.leaf.field if isinstance(node, NoneOf) else node.field
