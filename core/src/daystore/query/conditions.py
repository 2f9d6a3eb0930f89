"""Conditions as a user writes them, ``("topic", "=", "travel")``, compiled to predicates of the contract."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, Final

from daystore.abc.query import And, Compare, Not, Op, Or, Predicate
from daystore.query.fields import Fields, FieldType, unknown

__all__ = ["NO_VALUE", "Q", "both", "condition", "field_names"]


class NoValue(Enum):
    """See `NO_VALUE`."""

    NO_VALUE = "no value"


NO_VALUE: Final = NoValue.NO_VALUE
"""No value was given, which is not the same as ``None``."""

_OPS: Final[Mapping[str, tuple[Op, bool]]] = {
    "=": (Op.EQ, True),
    "!=": (Op.EQ, False),
    "<": (Op.LT, True),
    "<=": (Op.LE, True),
    ">": (Op.GT, True),
    ">=": (Op.GE, True),
    "in": (Op.IN, True),
    "not in": (Op.IN, False),
    "startswith": (Op.STARTSWITH, True),
    "contains": (Op.CONTAINS, True),
    "exists": (Op.EXISTS, True),
}


class Condition(ABC):
    """Something a record satisfies or not; joined with ``&``, ``|`` and ``~``."""

    __slots__ = ()

    @abstractmethod
    def compile(self, fields: Fields, *, allow_scan: bool = False) -> Predicate:
        """Make a predicate of the contract.

        Raises:
            SchemaError: If a field is not indexed and scanning is not allowed.
            TypeError: If a value is of a type that the comparison does not take.
            ValueError: If a datetime is naive or a float is not finite.
        """

    def __and__(self, other: object) -> Condition:
        return _Joined(And, (self, other)) if isinstance(other, Condition) else NotImplemented

    def __or__(self, other: object) -> Condition:
        return _Joined(Or, (self, other)) if isinstance(other, Condition) else NotImplemented

    def __invert__(self) -> Condition:
        return _Negated(self)

    def __bool__(self) -> bool:
        raise TypeError("join conditions with &, | and ~: 'and', 'or', 'not' would look at one of them only")


class Q(Condition):
    """One comparison, to be joined: ``Q("type", "=", "chat") | ~Q("status", "in", ["closed", "failed"])``.

    Args:
        field: An index of the store, or ``key``, ``created_at``, ``updated_at``.
        op: ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``in``, ``not in``, ``startswith``, ``contains`` (an
            element of a list) or ``exists``.
        value: What to compare with: of the index's type, for any other the comparison is simply false, except
            that an `int` beside a `float` index is compared as the number it is. Several values for ``in``
            and ``not in``. For ``exists`` whether it shall exist, ``True`` unless told otherwise.

    Raises:
        ValueError: If the operator is unknown.
        TypeError: If there is no value.
    """

    __slots__ = ("_field", "_op", "_value")

    def __init__(self, field: str, op: str, value: object = NO_VALUE) -> None:
        if op not in _OPS:
            raise ValueError(f"unknown operator {op!r}{unknown(str(op), _OPS)}")
        if value is NO_VALUE:
            if op != "exists":
                raise TypeError(f"{op!r} needs a value to compare {field!r} with")
            value = True
        elif op in ("in", "not in"):
            value = _several(op, value)
        self._field = field
        self._op = op
        self._value = value

    def compile(self, fields: Fields, *, allow_scan: bool = False) -> Predicate:
        """Make a predicate of the contract; see `Condition.compile`."""
        field_type = fields.type_of(self._field, allow_scan=allow_scan)
        op, wanted = _OPS[self._op]
        if op is Op.EXISTS:
            if not isinstance(self._value, bool):
                raise TypeError("'exists' takes True or False")
            predicate: Predicate = Compare(self._field, op, True)
            wanted = self._value
        else:
            predicate = _compare(self._field, op, self._value, field_type)
        return predicate if wanted else Not(predicate)

    def __repr__(self) -> str:
        return f"Q({self._field!r}, {self._op!r}, …)"


class _Joined(Condition):
    __slots__ = ("_join", "_terms")

    def __init__(self, join: type[And | Or], terms: tuple[Condition, ...]) -> None:
        self._join = join
        self._terms = terms

    def compile(self, fields: Fields, *, allow_scan: bool = False) -> Predicate:
        return self._join(tuple(term.compile(fields, allow_scan=allow_scan) for term in self._terms))


class _Negated(Condition):
    __slots__ = ("_term",)

    def __init__(self, term: Condition) -> None:
        self._term = term

    def compile(self, fields: Fields, *, allow_scan: bool = False) -> Predicate:
        return Not(self._term.compile(fields, allow_scan=allow_scan))


def condition(field: str | Condition, op: str | None, value: object) -> Condition:
    """Take either a condition, or the three parts of a comparison.

    Raises:
        TypeError: If it is neither.
        ValueError: If the operator is unknown.
    """
    if isinstance(field, Condition):
        if op is not None or value is not NO_VALUE:
            raise TypeError("give a condition, or a field, an operator and a value, not both")
        return field
    if op is None:
        raise TypeError('a condition is a field, an operator and a value: where("topic", "=", "travel")')
    return Q(field, op, value)


def both(first: Predicate | None, second: Predicate | None) -> Predicate | None:
    """Join two predicates with and; ``None`` is no condition."""
    if first is None or second is None:
        return first if second is None else second
    terms = first.terms if isinstance(first, And) else (first,)
    return And((*terms, second))


def field_names(predicate: Predicate | None) -> Iterator[str]:
    """Yield the fields that a predicate looks at."""
    if isinstance(predicate, Compare):
        yield predicate.field
    elif isinstance(predicate, Not):
        yield from field_names(predicate.term)
    elif predicate is not None:
        for term in predicate.terms:
            yield from field_names(term)


def _several(op: str, value: object) -> tuple[object, ...]:
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise TypeError(f"{op!r} takes several values, such as a list, not {type(value).__name__}")
    return tuple(value)


def _compare(field: str, op: Op, value: Any, field_type: FieldType | None) -> Predicate:
    if op is Op.IN:
        return Compare(field, op, tuple(_operand(field, item, field_type) for item in value))
    operand = _operand(field, value, field_type)
    if field_type is float and type(operand) is int:
        return _beyond_floats(field, op, operand)
    return Compare(field, op, operand)


def _operand(field: str, value: Any, field_type: FieldType | None) -> Any:
    if isinstance(value, Enum):
        value = value.value
    if value is None:
        raise TypeError(
            f"nothing equals None: for records without the field use ({field!r}, 'exists', False)"
        )
    if field_type is float and type(value) is int:
        number = _nearest_float(value)
        return number if number == value else value
    return value


def _nearest_float(number: int) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _beyond_floats(field: str, op: Op, number: int) -> Predicate:
    """Compare a float with an integer that no float equals: with its neighbour among the floats."""
    nearest = _nearest_float(number)
    if op in (Op.LT, Op.LE):
        op, bound = Op.LE, nearest if nearest < number else math.nextafter(nearest, -math.inf)
    elif op in (Op.GT, Op.GE):
        op, bound = Op.GE, nearest if nearest > number else math.nextafter(nearest, math.inf)
    else:
        return Compare(field, op, number)  # another type than the field's: false, and no float equals it
    return Compare(field, op, bound) if math.isfinite(bound) else Or(())
