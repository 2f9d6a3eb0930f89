"""Values far inside others: what holds of a value holds of it at every depth, in every kind of container."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from daystore.errors import SerializationError
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env

WRAPS: Final[dict[str, Callable[[Any], Any]]] = {
    "dict": lambda value: {"z": 1, "a": value},
    "list": lambda value: [value, None],
    "both": lambda value: {"b": [value], "a": []},
}
"""Containers around a value."""


def _order(value: Any) -> Any:
    """Return a value with its dicts as pairs, in their order."""
    if type(value) is dict:
        return [(key, _order(item)) for key, item in value.items()]
    return [_order(item) for item in value] if type(value) is list else value


@case("rt.order_everywhere")
async def order_everywhere(env: Env) -> None:
    """A dict keeps the order of its keys at every depth, also where only the innermost one is out of order."""
    store = env.store()
    wanted: dict[str, Any] = {}
    for keys in (
        ["b", "a"],
        ["10", "9", "1"],
        ["\U0001f600", "\uffff", "a"],
        ["", "a", "A"][::-1],
        ["k2", "k10", "k1"],
    ):
        for name, wrap in WRAPS.items():
            value: Any = {key: number for number, key in enumerate(keys)}
            for depth in range(env.scale(8, 40)):
                wanted[f"{'-'.join(keys)} {name} {depth:02}"] = value
                value = wrap(value)
    await store.set_batch(wanted)
    found = await env.reading(store).get_batch(wanted)
    for key, value in wanted.items():
        assert _order(found[key]) == _order(value), key


CORES: Final[tuple[Any, ...]] = ([], {}, "core", 0)


@case("rt.deepest")
async def deepest(env: Env) -> None:
    """A value of up to 254 containers in each other comes back whole, down to its core; 255 are refused."""
    store = env.store()
    depths = (99, 100, 101, 127, 128, 200, 252, 253, 254)
    for name, wrap in WRAPS.items():
        levels = 2 if name == "both" else 1
        for core in CORES:
            inside = core in ([], {})
            for depth in depths:
                value: Any = core
                for _ in range((depth - inside) // levels):
                    value = wrap(value)
                await store.set("k", value)
                found = await env.reading(store).get("k")
                assert _order(found) == _order(value), f"{name} around {core!r}, {depth} deep"
            value = core
            for _ in range(-(-(255 - inside) // levels)):
                value = wrap(value)
            with raises(SerializationError):
                await store.set("k", value)
    assert await env.reading(store).get("k") is not None, "a value was lost to one that is refused"


ITEMS: Final[dict[str, tuple[Any, ...]]] = {
    "none": (None,),
    "bool": (True, False),
    "int": (0, 1, -1, 2**70),
    "float": (0.5, 1.0, -2.0, 5e-324),
    "str": ("", "a", "1", "8d7a3f3e-9a6f-4c55-9c6b-0d2e5c1a7b11", "2026-10-25"),
    "bytes": (b"", b"a", b"\xff", b"1"),
    "datetime": (datetime(2026, 1, 1, tzinfo=UTC), datetime(1969, 1, 1, tzinfo=timezone(timedelta(hours=2)))),
    "date": (date(2026, 10, 25), date.min),
    "timedelta": (timedelta(), timedelta(microseconds=-1)),
    "decimal": (Decimal("1.50"), Decimal("-0.3")),
    "uuid": (UUID("8d7a3f3e-9a6f-4c55-9c6b-0d2e5c1a7b11"), UUID(int=0)),
    "frozenset": (frozenset(), frozenset({b"a"}), frozenset({frozenset({1})})),
}
"""Values that a set can hold, by type."""


@case("rt.set_items")
async def set_items(env: Env) -> None:
    """Whatever a set holds comes back of its own type: texts, bytes, numbers, times, UUIDs and sets in sets."""
    store = env.store()
    mixed = ("a", b"a", 2, UUID(int=1), date(2026, 1, 1), None, Decimal("3.5"), frozenset({"a"}))
    wanted = {
        f"{name} {kind.__name__}": kind(some) for name, some in ITEMS.items() for kind in (set, frozenset)
    }
    wanted |= {"mixed": set(mixed), "mixed frozen": frozenset(mixed)}
    await store.set_batch(wanted)
    found = await env.reading(store).get_batch(wanted)
    for key, value in wanted.items():
        assert type(found[key]) is type(value), key
        assert {(type(item), item) for item in found[key]} == {(type(item), item) for item in value}, key
