"""Whatever a value is made of: it comes back the same, or it is refused."""

from datetime import UTC, timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daystore.codec.serializers.json import JSONSerializer
from daystore.errors import SerializationError
from daystore_compliance.equality import strict_eq

JSON = JSONSerializer()
relaxed = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow]
)  # a loaded machine is no failure

DAY, SECOND = timedelta(hours=23, minutes=59), timedelta(seconds=1)
offsets = st.one_of(st.timedeltas(-DAY, -SECOND), st.timedeltas(SECOND, DAY)).map(timezone)
decimals = st.builds(
    lambda sign, digits, exponent: Decimal((sign, digits, exponent)),
    st.integers(0, 1),
    st.lists(st.integers(0, 9), min_size=1, max_size=40).map(tuple),
    st.integers(-400, 400),
)
marked = st.text(max_size=4).map("~ds:".__add__) | st.sampled_from(
    ["~ds:list", "~ds:set", "~ds:int", "~ds:decimal"]
)
hashable = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(10**40), 10**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    marked,
    st.binary(),
    st.datetimes(timezones=st.timezones() | offsets | st.just(UTC)),
    st.dates(),
    st.timedeltas(),
    decimals,
    st.uuids(),
)
sets = st.recursive(hashable, lambda inner: st.frozensets(inner, max_size=4), max_leaves=8)
values = st.recursive(
    st.one_of(hashable, sets, st.sets(sets, max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.lists(inner, max_size=5).map(tuple),
        st.dictionaries(st.text(max_size=6) | marked, inner, max_size=5),
        st.tuples(marked, inner).map(list),
    ),
    max_leaves=20,
)


def with_lists(value: Any) -> Any:
    """The value with its tuples as lists: the one change that the contract allows."""
    if type(value) in {list, tuple}:
        return [with_lists(item) for item in value]
    if type(value) is dict:
        return {key: with_lists(item) for key, item in value.items()}
    return value


@settings(relaxed, max_examples=300)
@given(values)
def test_value_comes_back_the_same(value: object) -> None:
    assert strict_eq(JSON.loads(JSON.dumps(value)), with_lists(value))


@relaxed
@given(st.data())
def test_refusal_is_the_only_other_outcome(data: st.DataObject) -> None:
    """Surrogates, NaN, naive datetimes, times and foreign keys among the rest."""
    items = st.one_of(
        values,
        st.floats(),
        st.text(st.characters()),
        st.datetimes(timezones=st.none() | st.timedeltas(-DAY, DAY).map(timezone)),
        st.times(),
        st.decimals(),
        st.complex_numbers(),
        st.binary().map(bytearray),
        st.frozensets(st.tuples(st.integers()), max_size=2),
        st.dictionaries(st.integers() | st.text(st.characters(), max_size=3), st.none(), max_size=2),
    )
    value = data.draw(st.lists(items, max_size=3) | st.dictionaries(st.text(), items, max_size=3))
    try:
        stored = JSON.dumps(value)
    except SerializationError:
        return
    assert strict_eq(JSON.loads(stored), with_lists(value))
