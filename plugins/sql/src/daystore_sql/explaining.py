"""How a query would be run."""

from __future__ import annotations

from daystore.abc import Explanation, Instant, Query
from daystore.abc.cursor import decode_cursor
from daystore_sql.catalog import CollectionNames
from daystore_sql.planning import Access, is_everything, parts_of
from daystore_sql.predicate import Leaf, is_large, leaves
from daystore_sql.reading import PAGE, Search
from daystore_sql.session import Session

__all__ = ["run_explain"]


def run_explain(session: Session, query: Query, now: Instant) -> Explanation:
    """Say how a query would be run, with the database's own plan; inside a transaction."""
    position = decode_cursor(query)
    names = session.catalog.collection(query.collection)
    parts = [] if names is None else parts_of(query, names, position)
    if names is None or not parts or query.limit == 0:
        return Explanation(indexed=True, strategy="nothing can match")
    if any(is_large(part.node) for part in parts):
        return Explanation(indexed=False, strategy="scan of the collection, judged record by record")
    limited = query.limit is not None and query.limit < PAGE
    search = Search(session, names, now)
    accesses = [search.access(part, limited=limited) for part in parts]
    strategies = dict.fromkeys(_strategy(access, names) for access in accesses)
    detail = [line for access in accesses for line in search.plan(access, limited=limited, skip=query.offset)]
    indexed = not any(_is_scan(access) for access in accesses)
    return Explanation(indexed, ", then ".join(strategies), tuple(detail))


def _is_scan(access: Access) -> bool:
    return is_everything(access.arms) and any(True for _ in leaves(access.rest))


def _strategy(access: Access, names: CollectionNames) -> str:
    if _is_scan(access):
        return f"scan of the collection by {access.arms[0].kind}"
    columns = [_column(leaf, names) for leaf in access.arms]
    words = f"index on {columns[0]}" if len(columns) == 1 else f"indexes on {', '.join(columns)}, united"
    checked = sum(1 for _ in leaves(access.rest))
    if checked:
        words += f", {checked} more condition{'s' if checked > 1 else ''} checked for each record found"
    return words if access.ordered else f"{words}, sorted"


def _column(leaf: Leaf, names: CollectionNames) -> str:
    if leaf.kind == "field":
        return names.name_of(leaf.field)
    return "which fields are there" if leaf.kind == "shape" else leaf.kind
