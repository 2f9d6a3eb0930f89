"""How a query would be run."""

from __future__ import annotations

from daystore.abc import Explanation, Instant, Query
from daystore.abc.cursor import decode_cursor
from daystore_sql.catalog import CollectionNames
from daystore_sql.parts import parts_of
from daystore_sql.planning import Access, access_by, choices_of, is_everything
from daystore_sql.predicate import Column, Leaf, Node, is_large, leaves, normalise, top_terms
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
    asked = _columns(normalise(query.where, names))
    strategies = dict.fromkeys(_strategy(access, _checked(access, asked), names) for access in accesses)
    detail = [line for access in accesses for line in search.plan(access, limited=limited, skip=query.offset)]
    indexed = all(_is_indexed(access, asked, limited=limited) for access in accesses)
    return Explanation(indexed, ", then ".join(strategies), tuple(detail))


def _is_indexed(access: Access, asked: frozenset[Column], *, limited: bool) -> bool:
    """Tell whether no record is looked at in vain, or no more of them than there are to be found."""
    choices = choices_of(access.part, limited=limited) if access.smallest else ()
    instead = (access_by(choice, access.part) for choice in choices)
    return not all(_checked(way, asked) for way in (access, *instead))


def _columns(node: Node) -> frozenset[Column]:
    """Return the columns whose spans all has to lie in."""
    return frozenset(term.column for term in top_terms(node) if isinstance(term, Leaf))


def _checked(access: Access, asked: frozenset[Column]) -> list[Leaf]:
    """Return what each record that the indexes hold is checked for, so that it may be looked at in vain.

    Not in vain is a look at a record that another part or another page returns: they differ in spans of columns
    that the query itself does not ask for.
    """
    return [
        leaf
        for term in top_terms(access.rest)
        if not (isinstance(term, Leaf) and (term.column not in asked or _is_served(term, access)))
        for leaf in leaves(term)
    ]


def _is_served(leaf: Leaf, access: Access) -> bool:
    """Tell whether a span of keys is part of the walk: the entries of one place are in the order of their keys."""
    return leaf.kind == "key" and all(arm.points for arm in access.arms) and not access.united


def _strategy(access: Access, checked: list[Leaf], names: CollectionNames) -> str:
    columns = [_column(leaf, names) for leaf in access.arms]
    if is_everything(access.arms) and checked:
        words = f"scan of the collection by {columns[0]}"
    else:
        words = f"index on {columns[0]}" if len(columns) == 1 else f"indexes on {', '.join(columns)}, united"
    if checked:
        others = dict.fromkeys(_column(leaf, names) for leaf in checked)
        words += f", each record found there checked for {', '.join(others)}"
    return words if access.ordered else f"{words}, sorted"


def _column(leaf: Leaf, names: CollectionNames) -> str:
    if leaf.kind == "field":
        return names.name_of(leaf.field)
    return "which fields are there" if leaf.kind == "shape" else leaf.kind
