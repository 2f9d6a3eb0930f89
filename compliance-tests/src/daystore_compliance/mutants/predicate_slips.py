"""Mutants of predicates: comparisons that a query language means a little differently."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from fnmatch import fnmatchcase

from daystore.abc import And, Compare, Not, Op, Or, Predicate, Record
from daystore.abc.evaluate import field_of
from daystore.abc.record import Scalar
from daystore_compliance.mutants.base import Stepwise, mutant


# §8: "`in`: has one of these values". A thousand is where SQL databases cut.
@mutant("q.in_many", bugs=("owncloud/core#13478", "feedzai/pdb#300"))
class InTakesThreeHundred(Stepwise):
    """Looks at the first three hundred values of an ``in``."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Cut the list."""
        if compare.op is Op.IN:
            compare = replace(compare, value=compare.value[:300])  # type: ignore[index]
        return super().compare(compare, record)


# §8: "`in`: has one of these values", each of its own type.
@mutant("q.ops.matrix[in-mixed]")
class InHasOneType(Stepwise):
    """Looks, among the values of an ``in``, at those of the first one's type, as a typed array holds."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Drop the others."""
        if compare.op is Op.IN and compare.value:
            values: tuple[Scalar, ...] = compare.value  # type: ignore[assignment]
            compare = replace(compare, value=tuple(v for v in values if type(v) is type(values[0])))
        return super().compare(compare, record)


# §8: "the same instant in two time zones, which is equal too".
@mutant("q.oracle")
class InComparesClockFaces(Stepwise):
    """Compares datetimes in an ``in`` by the texts of their offsets: another zone is another value."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Compare texts."""
        found = field_of(record, compare.field)
        if compare.op is Op.IN and isinstance(found, datetime) and compare.field in record.fields:
            texts = {v.isoformat() for v in compare.value if isinstance(v, datetime)}  # type: ignore[union-attr]
            return found.isoformat() in texts
        return super().compare(compare, record)


# §8: "`startswith`: is a `str` that begins with this text": every text begins with the empty one.
@mutant("q.prefix_empty")
class EmptyPrefixIsNowhere(Stepwise):
    """Finds nothing that begins with the empty text: the range from it to its successor is empty."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Make a range of it."""
        if compare.op is Op.STARTSWITH and compare.value == "":
            return False
        return super().compare(compare, record)


# §8: the same, for the last character there is.
@mutant("q.prefix_max_char")
class LastCharacterHasNoSuccessor(Stepwise):
    """Finds only the prefix itself if it ends with U+10FFFF, after which no character comes."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Make a range of it."""
        if compare.op is Op.STARTSWITH and str(compare.value).endswith("\U0010ffff"):
            return field_of(record, compare.field) == compare.value
        return super().compare(compare, record)


# §8: the same, before the gap of the surrogates.
@mutant("q.prefix_max_char")
class SuccessorIsASurrogate(Stepwise):
    """Finds nothing for a prefix that ends with U+D7FF: the upper end of its range is no character."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Make a range of it."""
        if compare.op is Op.STARTSWITH and str(compare.value).endswith("\ud7ff"):
            return False
        return super().compare(compare, record)


# §8: "character by character".
@mutant("q.prefix_glob", bugs=("rpm-software-management/rpm#1018", "chroma-core/chroma#692"))
class BracketsAreAClass(Stepwise):
    """Reads a bracket in a prefix as the beginning of a class of characters, as GLOB does."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Match a pattern."""
        text = str(compare.value)
        found = field_of(record, compare.field)
        if compare.op is Op.STARTSWITH and "[" in text and isinstance(found, str):
            return fnmatchcase(found, text.replace("*", "[*]").replace("?", "[?]") + "*")
        return super().compare(compare, record)


# §8: "character by character".
@mutant("q.prefix_literal")
class BackslashesEscape(Stepwise):
    """Takes a backslash in a prefix for an escape, and drops it."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Drop it."""
        if compare.op is Op.STARTSWITH:
            compare = replace(compare, value=str(compare.value).replace("\\", ""))
        return super().compare(compare, record)


# §8: "A list is never equal to anything".
@mutant("q.ops.matrix[eq-str]")
class OneItemIsTheList(Stepwise):
    """Finds a list of one item equal to that item."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Take the item for the list."""
        found = field_of(record, compare.field)
        if compare.op is Op.EQ and isinstance(found, tuple) and len(found) == 1:
            return found[0] == compare.value
        return super().compare(compare, record)


# §8: "`contains`: is a list that has this `str` as an item".
@mutant("q.startswith_contains")
class TextContainsItself(Stepwise):
    """Finds that a text contains itself, as if it were a list of one item."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Take the text for a list."""
        if compare.op is Op.CONTAINS and field_of(record, compare.field) == compare.value:
            return True
        return super().compare(compare, record)


# §8: "`exists`: has a value".
@mutant("q.ops.matrix[exists]")
class EmptyTextDoesNotExist(Stepwise):
    """Finds that a field with an empty text has no value, as Oracle does."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Take the empty text for nothing."""
        if compare.op is Op.EXISTS and field_of(record, compare.field) == "":
            return False
        return super().compare(compare, record)


# §8: "true or false and nothing between […] exact complements".
@mutant("q.logic", bugs=("MemMachine/MemMachine#1615", "grimmory-tools/grimmory#2412"))
class UnknownUnderNotInside(Stepwise):
    """Leaves a record out of the complement of an *and* or *or* if a field in it is missing."""

    def matches(self, predicate: Predicate | None, record: Record) -> bool:
        """Judge with a third truth value, but a single comparison with two."""
        if isinstance(predicate, Not) and isinstance(predicate.term, (And, Or)):
            return self._three(predicate.term, record) is False
        return super().matches(predicate, record)

    def _three(self, predicate: Predicate, record: Record) -> bool | None:
        if isinstance(predicate, Compare):
            if predicate.op is not Op.EXISTS and field_of(record, predicate.field) is None:
                return None
            return self.compare(predicate, record)
        if isinstance(predicate, Not):
            inner = self._three(predicate.term, record)
            return None if inner is None else not inner
        judged = [self._three(term, record) for term in predicate.terms]
        wanted = isinstance(predicate, Or)
        if wanted in judged:
            return wanted
        return None if None in judged else not wanted


# §8: "joined with and, or, not".
@mutant("q.same_field")
class LaterTermOverwritesEarlier(Stepwise):
    """Keeps, of two terms of an *and* on one field with one operator, the later one, as a dict of terms does."""

    def matches(self, predicate: Predicate | None, record: Record) -> bool:
        """Drop the earlier."""
        if isinstance(predicate, And):
            kept: dict[object, Predicate] = {}
            for term in predicate.terms:
                name = (term.field, term.op) if isinstance(term, Compare) else id(term)
                kept[name] = term
            predicate = And(tuple(kept.values()))
        return super().matches(predicate, record)


# §8: "an empty *or* is false", wherever it stands.
@mutant("q.logic_empty_nested")
class EmptyOrInsideIsSkipped(Stepwise):
    """Leaves an empty *or* out of an *and* that has other terms."""

    def matches(self, predicate: Predicate | None, record: Record) -> bool:
        """Leave it out."""
        if isinstance(predicate, And) and len(predicate.terms) > 1:
            predicate = And(tuple(t for t in predicate.terms if t != Or(())))
        return super().matches(predicate, record)


# §8: "`in`: never, for an empty list", and `not in` is its exact complement.
@mutant("q.logic_empty_nested")
class NotInNothingIsNothing(Stepwise):
    """Finds nothing that is not in an empty list, if the comparison stands inside of another predicate."""

    def matches(self, predicate: Predicate | None, record: Record) -> bool:
        """Skip such terms of an *and*, an *or*."""
        if isinstance(predicate, (And, Or)) and any(
            isinstance(t, Not) and isinstance(t.term, Compare) and t.term.op is Op.IN and t.term.value == ()
            for t in predicate.terms
        ):
            return (
                False
                if isinstance(predicate, And)
                else super().matches(Or(tuple(t for t in predicate.terms if not isinstance(t, Not))), record)
            )
        return super().matches(predicate, record)


# §8: "Field names and values are data."
@mutant("rec.field_name_families[path]")
class DottedNamesArePaths(Stepwise):
    """Looks for a field with a dot in its name inside of the field before the dot, if the record has one."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Find nothing there."""
        first, dot, _ = compare.field.partition(".")
        if dot and first in record.fields:
            return False
        return super().compare(compare, record)


# §8: "`1`, `1.0` […] are different values"; integers have 64 bits.
@mutant("q.numeric_order")
class RangesAreOfFloats(Stepwise):
    """Compares integers with ``<`` and ``>=`` as floats: beyond 2⁵³ neighbours are one."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Round both."""
        found = field_of(record, compare.field)
        if type(found) is int and type(compare.value) is int and compare.op in (Op.LT, Op.GE):
            less = float(found) < float(compare.value)
            return less if compare.op is Op.LT else not less
        return super().compare(compare, record)


# §8: "Strings compare by their UTF-8 bytes": trailing spaces count.
@mutant("q.ops.matrix[in-str]")
class InIgnoresTrailingSpaces(Stepwise):
    """Ignores spaces at the end of texts in an ``in``, as SQL's padding of texts does."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Trim both."""
        found = field_of(record, compare.field)
        if compare.op is Op.IN and type(found) is str:
            return found.rstrip(" ") in {
                v.rstrip(" ")
                for v in compare.value  # type: ignore[union-attr]
                if type(v) is str
            }
        return super().compare(compare, record)


# §5: a datetime field is "exact to the microsecond".
@mutant("q.time.pre_epoch_far", bugs=("qdrant/qdrant-client#1417",))
class InstantsAreFloats(Stepwise):
    """Compares datetimes by their seconds as a float times a million, cut: some microseconds are off by one."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Cut the found one."""
        found = field_of(record, compare.field)
        if isinstance(found, datetime) and isinstance(compare.value, datetime) and compare.op is not Op.IN:
            a, b = (int(moment.timestamp() * 1_000_000) for moment in (found, compare.value))
            exact = {Op.EQ: a == b, Op.LT: a < b, Op.LE: a <= b, Op.GT: a > b, Op.GE: a >= b}
            return exact[compare.op]
        return super().compare(compare, record)
