"""Plain values go straight through orjson; nothing that orjson would change goes with them."""

from collections import Counter
from uuid import UUID

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from daystore.codec.serializers import json as json_module
from daystore.codec.serializers.json import JSONSerializer
from daystore.codec.values import MAX_DEPTH
from daystore_compliance.equality import strict_eq

JSON = JSONSerializer()
relaxed = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow]
)  # a loaded machine is no failure

AGENT = {
    "id": "c1",
    "type": "chat",
    "message_count": 12,
    "duration": 34.25,
    "tags": ["alpha", "beta"],
    "parent": None,
    "active": True,
    "notes": "call lookup(order) (twice), then say \u201cd\u00e9j\u00e0 vu\u201d \U0001f642 \u3068\u3066\u3082",
    "messages": [{"role": "user", "content": "hello (again)\n", "tokens": -17, "at": 1700000000.123}] * 3,
}


@pytest.fixture
def way(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a value was looked at item by item."""
    count: Counter[str] = Counter()
    for name in ("to_plain", "from_plain"):
        real = getattr(json_module, name)

        def counted(value: object, *, _name: str = name, _real: object = real, **options: bool) -> object:
            count[_name] += 1
            return _real(value, **options)  # type: ignore[operator]

        monkeypatch.setattr(json_module, name, counted)
    return count


@pytest.mark.parametrize(
    "value",
    [
        AGENT,
        None,
        0,
        "text",
        [],
        {},
        [AGENT] * 50,
        [0.1, None, -1, 1e300],
        "f()",
        ["(", "()", "(a", "\u0628(\u00a8"] * 99,
    ],
)
def test_plain_value_is_not_looked_at_item_by_item(value: object, way: Counter[str]) -> None:
    stored = JSON.dumps(value)
    assert stored == orjson.dumps(value)
    assert strict_eq(JSON.loads(stored), value)
    assert not way


def test_nor_is_the_deepest_plain_value(way: Counter[str]) -> None:
    value: list[object] = []
    for _ in range(MAX_DEPTH - 1):
        value = [value]
    JSON.loads(JSON.dumps(value))
    assert not way


@pytest.mark.parametrize("value", [b"x", [AGENT, {1}], (1,), [AGENT, ()], ["~ds:x"], [None, 2**64]])
def test_any_other_value_is(value: object, way: Counter[str]) -> None:
    JSON.dumps(value)
    assert way["to_plain"] >= 1


def test_value_with_tags_is_read_item_by_item(way: Counter[str]) -> None:
    JSON.loads(JSON.dumps({1}))
    assert way["from_plain"] == 1


numbers = st.integers(-(2**70), 2**70) | st.floats()
scalars = st.one_of(
    st.none(), st.booleans(), numbers, st.text(), st.binary(max_size=2), st.uuids(), st.dates()
)


@relaxed
@given(
    st.recursive(
        scalars,
        lambda inner: st.one_of(
            st.lists(inner),
            st.dictionaries(st.text(), inner),
            st.lists(inner).map(tuple),
            st.lists(st.floats(), min_size=30, max_size=40),
            st.lists(numbers, min_size=30, max_size=40),
        ),
        max_leaves=20,
    )
)
@example([0.5] * 40 + [float("nan")])
@example([1.7e308] * 40)
@example([float("inf"), float("-inf")] * 20)
@example([1] * 40 + [float("inf")])
@example([[0.5]] * 40 + [UUID(int=1)])
def test_what_the_first_look_lets_pass_orjson_writes_exactly_or_refuses(value: object) -> None:
    if json_module._is_simple(value):
        try:
            stored = orjson.dumps(value)
        except orjson.JSONEncodeError:
            return
        assert strict_eq(orjson.loads(stored), value)


@pytest.mark.parametrize("width", [1, 2, 500, 2_000])
def test_no_tuple_reaches_orjson(width: int) -> None:
    """orjson's limit of depth does not hold for tuples: a cycle through one would end the process."""
    cycle: list[object] = []
    cycle.extend([(cycle,)] * width)
    for value in ((), [()], {"a": (1,)}, [[0]] * 40 + [()], cycle, [cycle]):
        assert not json_module._is_simple(value)


def test_wide_cycle_ends_the_first_look_early() -> None:
    cycle: list[object] = []
    cycle.extend([cycle] * 1_500)
    assert not json_module._is_simple(cycle)


def test_wide_value_is_stored() -> None:
    value = [[0.5, 1] * 500] * 1_100
    assert JSON.loads(JSON.dumps(value)) == value
