"""How a query would be run."""

from __future__ import annotations

from collections.abc import Iterator

from daystore.abc import Explanation, Query
from daystore.abc.ranges import FALSE, TRUE, AllOf, AnyOf, Leaf, Node, NoneOf, is_point, normalise
from daystore_mongo.filters import list_path, path_of
from daystore_mongo.layout import Indexes

__all__ = ["run_explain"]

_ALWAYS = frozenset({"_id", "c", "u"})


async def run_explain(indexes: Indexes, query: Query) -> Explanation:
    """Say how a query would be run, by the indexes that there are. The server chooses among them for itself."""
    names = _ALWAYS | await indexes.names(query.collection)
    node = normalise(query.where)
    if node == FALSE or query.limit == 0:
        return Explanation(indexed=True, strategy="nothing can match")
    order = path_of(query.order.field)
    if node == TRUE:
        if order in names and not query.offset:
            return Explanation(indexed=True, strategy=f"index on {query.order.field}")
        return Explanation(indexed=False, strategy=f"scan of the collection by {query.order.field}")
    driver = _driver(node, names)
    fields = ", ".join(dict.fromkeys(leaf.field for leaf in _leaves(node)))
    if driver is None:
        return Explanation(
            indexed=False, strategy=f"scan of the collection, each record checked for {fields}"
        )
    strategy = f"index on {driver.field}"
    if driver is not node:
        return Explanation(False, f"{strategy}, each record found there checked for {fields}")
    if _in_order(driver, query.order.field):
        return Explanation(True, strategy)
    return Explanation(query.limit is None, f"{strategy}, sorted")


def _driver(node: Node, names: frozenset[str]) -> Leaf | None:
    """Return the condition whose index would be used, if there is one."""
    leaves = [node] if isinstance(node, Leaf) else node.terms if isinstance(node, AllOf) else ()
    usable = [leaf for leaf in leaves if isinstance(leaf, Leaf) and _path(leaf) in names]
    return max(usable, key=_promise, default=None)


def _promise(leaf: Leaf) -> tuple[bool, bool]:
    """Order conditions by how few records they may find: points before ranges, fields before keys."""
    return all(is_point(leaf.field, ends) for ends in leaf.ranges), leaf.field != "key"


def _path(leaf: Leaf) -> str:
    return list_path(leaf.field) if leaf.items else path_of(leaf.field)


def _in_order(leaf: Leaf, field: str) -> bool:
    """Tell whether an index has what fulfils a condition in an order."""
    if leaf.field == field and not leaf.items:
        return True
    return field == "key" and len(leaf.ranges) == 1 and (leaf.items or is_point(leaf.field, leaf.ranges[0]))


def _leaves(node: Node) -> Iterator[Leaf]:
    if isinstance(node, AllOf | AnyOf):
        for term in node.terms:
            yield from _leaves(term)
    else:
        yield node.leaf if isinstance(node, NoneOf) else node
