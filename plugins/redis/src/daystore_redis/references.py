"""What the scripts are told of fields and predicates.

A field is told as a reference: ``k`` the key, ``c`` and ``u`` the instants, ``f`` and a name an indexed field.
"""

from __future__ import annotations

from typing import Final

from daystore.abc.ranges import AllOf, Leaf, Node, NoneOf, is_point

__all__ = ["program", "reference"]

_OWN: Final = {"key": b"k", "created_at": b"c", "updated_at": b"u"}


def reference(field: str) -> bytes:
    """Return what the scripts call a field, or an attribute that every record has."""
    return _OWN.get(field) or b"f" + field.encode()


def program(node: Node) -> list[object]:
    """Return a predicate as the scripts evaluate it."""
    if isinstance(node, Leaf):
        ref = reference(node.field)
        if len(node.ranges) > 2 and all(is_point(node.field, ends) for ends in node.ranges):
            return [b"p", ref, *(low for low, _ in node.ranges)]
        return [b"r", ref, *(end for ends in node.ranges for end in ends)]
    if isinstance(node, NoneOf):
        return [b"n", program(node.leaf)]
    return [b"a" if isinstance(node, AllOf) else b"o", *map(program, node.terms)]
