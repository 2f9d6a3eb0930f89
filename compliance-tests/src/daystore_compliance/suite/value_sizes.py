"""Values with many parts and long parts: what a serializer does otherwise from some number on."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from daystore_compliance.case import case
from daystore_compliance.env import Env
from daystore_compliance.equality import strict_eq

COUNTS: Final = (31, 32, 33, 128, 255, 256, 257, 1000, 1025)
LARGE: Final = (10_000, 65_535, 65_536, 70_000)
BOUNDARIES: Final = (1 << 12, 1 << 13, 1 << 14, 1 << 16)


async def _come_back(env: Env, values: dict[str, Any]) -> None:
    store = env.store()
    keys = list(values)
    for key in keys[::2]:
        await store.set(key, values[key])
    await store.set_batch({key: values[key] for key in keys[1::2]})
    found = await env.reading(store).get_batch(values)
    assert list(found) == keys
    for key, value in values.items():
        assert strict_eq(found[key], value), f"{key} comes back changed"
    for key in keys[::7]:
        assert strict_eq(await store.get(key), values[key]), f"{key} comes back changed from get"


_FILLED: Final[dict[str, Callable[[int], Any]]] = {
    "integers": lambda n: n,
    "floats": float,
    "truths": lambda n: n % 2 == 0,
    "text": str,
    "nothing": lambda _: None,
    "bytes": lambda n: b"%d" % n,
    "lists": lambda n: [n],
    "dicts": lambda n: {"n": n},
}
_ODD: Final[tuple[Any, ...]] = (
    1,
    1.0,
    True,
    "1",
    None,
    b"1",
    -0.0,
    2**64,
    Decimal("1.0"),
    [1.0],
    {"n": True},
)


@case("rt.item_counts", variants=tuple(_FILLED))
async def item_counts(env: Env, kind: str) -> None:
    """Lists and dicts of any length keep every item and its type, also where one is unlike all the others."""
    make = _FILLED[kind]
    values: dict[str, Any] = {}
    for number, count in enumerate(COUNTS):
        items = [make(n) for n in range(count)]
        values[f"list {count}"] = items
        values[f"dict {count}"] = {f"key {n * 7 % count}": item for n, item in enumerate(items)}
        for shift in range(3):
            odd = _ODD[(3 * number + shift) % len(_ODD)]
            place = (0, count // 2, count - 1)[shift]
            values[f"{odd!r} at {place} of {count}"] = [*items[:place], odd, *items[place + 1 :]]
    for odd in _ODD:
        values[f"{odd!r} last"] = [*(make(n) for n in range(40)), odd]
        values[f"{odd!r} inside"] = {"rows": [[make(n) for n in range(40)] + [odd], [odd] * 40]}
    await _come_back(env, values)


@case("rt.many_items")
async def many_items(env: Env) -> None:
    """Tens of thousands of items in a list, a dict or a set come back, each of them, in their order."""
    values: dict[str, Any] = {f"list {count}": list(range(count)) for count in LARGE[: env.scale(1, 4)]}
    values |= {
        f"dict {count}": {f"{n * 3 % count:x}": n for n in range(count)}
        for count in (4999, env.scale(6000, 20_000))
    }
    values |= {"set": set(range(5000)), "rows": [[n, float(n), str(n)] for n in range(1500)]}
    await _come_back(env, values)


@case("rt.long_text")
async def long_text(env: Env) -> None:
    """Characters of several bytes stay whole wherever a text is cut into blocks on its way."""
    values: dict[str, Any] = {}
    for size in BOUNDARIES:
        for shift in range(4):
            for sign in ("\u00e9", "\u20ac", "\U0001f600"):
                text = "a" * (size - 2 - shift) + sign * 3
                values[f"{sign} before {size - shift}"] = text
        values[f"only {size}"] = "\U0001f600" * (size // 4)
        values[f"NUL {size}"] = "a" * (size - 1) + "\0" + "b"
        values[f"key {size}"] = {"k" * (size - 1) + "\u00e9": 1, "k" * size: 2}
        values[f"bytes {size}"] = bytes(range(256)) * (size // 256) + b"\xff"
        values[f"lines {size}"] = "\r\n" * (size // 2)
    await _come_back(env, values)


@case("rt.int.huge")
async def int_huge(env: Env) -> None:
    """Integers and decimals of thousands of digits come back exactly, beyond what Python turns into text."""
    numbers = [10**4299, 10**4300, 10**5000 + 1, -(10**5000), 2**20_000 - 1, -(2**40_000)]
    values: dict[str, Any] = {f"int {n}": number for n, number in enumerate(numbers)}
    digits = "1234567890" * 60
    texts = (
        f"0.{digits}",
        f"-{digits}.10",
        f"{digits}E-700",
        "1E+999999",
        "-1E-999999",
        "0E-50",
        "-0.000",
        "0E+9",
    )
    values |= {f"decimal {text[:9]}": Decimal(text) for text in texts}
    values["nested"] = {"l": numbers[2:4], "s": {10**5000}, "d": [Decimal(text) for text in texts]}
    await _come_back(env, values)
