"""How a query would be run."""

from __future__ import annotations

from collections.abc import Iterator

from daystore.abc import Explanation, Query
from daystore_redis.planning import Cover
from daystore_redis.predicate import BOUNDS, FALSE, KEY, AllOf, AnyOf, Node, NoneOf, normalise
from daystore_redis.searching import Ask, Search, Searcher, search_of

__all__ = ["run_explain"]

_NAMES = {KEY: "key", b"c": "created_at", b"u": "updated_at"}


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
        by = _name(search.ref if limit else KEY)
        if search.filter is not None:
            return False, f"scan of the collection by {by}, each record checked for {_names_of(node)}"
        sought = limit is not None and search.ref not in BOUNDS and 0 < missing < total
        return not sought, f"index on {by}" + (", after those without it" if sought else "")
    cover = search.covers[number - 1]
    refs = list(dict.fromkeys(_name(ref) for ref, _, _ in cover.spans))
    words = f"index on {refs[0]}" if len(refs) == 1 else f"indexes on {', '.join(refs)}, united"
    if not cover.exact:
        words += f", each record found there checked for {_names_of(node)}"
    ordered = walks or (limit is None and _is_sorted(search, cover))
    return cover.exact, words if ordered else f"{words}, sorted"


def _is_sorted(search: Search, cover: Cover) -> bool:
    return cover.segments(search.ref, None, descending=search.descending) is not None


def _name(ref: bytes) -> str:
    return _NAMES.get(ref) or ref[1:].decode()


def _names_of(node: Node) -> str:
    return ", ".join(dict.fromkeys(_name(ref) for ref in _refs(node)))


def _refs(node: Node) -> Iterator[bytes]:
    if isinstance(node, AllOf | AnyOf):
        for term in node.terms:
            yield from _refs(term)
    else:
        yield node.leaf.ref if isinstance(node, NoneOf) else node.ref
