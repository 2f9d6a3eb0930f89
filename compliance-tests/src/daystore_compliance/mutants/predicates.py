"""Mutants that judge records by other rules."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from daystore.abc import And, Compare, Not, Op, Or, Predicate, Query, Record
from daystore.abc.evaluate import field_of
from daystore_compliance.mutants.base import Stepwise, mutant

SIDED = {Op.LT, Op.LE, Op.GT, Op.GE}


class TextPrefix(Stepwise):
    """Matches prefixes by some pattern. Base of mutants, and none itself."""

    def begins(self, text: str, prefix: str) -> bool:
        """Tell whether a text begins with a prefix."""
        return text.startswith(prefix)

    def compare(self, compare: Compare, record: Record) -> bool:
        """Match prefixes wrongly, and everything else as it should be."""
        found = field_of(record, compare.field)
        if compare.op is Op.STARTSWITH and isinstance(found, str):
            return self.begins(found, str(compare.value))
        return super().compare(compare, record)


@mutant("q.prefix_literal", "q.filter_prefix[literal]")
class PrefixAsLike(TextPrefix):
    """A prefix is handed to LIKE."""

    def begins(self, text: str, prefix: str) -> bool:
        """Match as LIKE does."""
        pattern = re.escape(prefix).replace("_", ".").replace("%", ".*")
        return re.match(pattern, text, re.DOTALL) is not None


@mutant("q.prefix_glob")
class PrefixAsGlob(TextPrefix):
    """A prefix is handed to glob."""

    def begins(self, text: str, prefix: str) -> bool:
        """Match as glob does."""
        return fnmatch.fnmatchcase(text, prefix + "*")


@mutant("q.prefix_regex")
class PrefixAsRegex(TextPrefix):
    """A prefix is taken for a regular expression."""

    def begins(self, text: str, prefix: str) -> bool:
        """Match as one, or literally where it is none."""
        try:
            return re.match(prefix, text) is not None
        except re.error:
            return text.startswith(prefix)


@mutant("q.prefix_delimiters")
class PrefixAsPath(TextPrefix):
    """A prefix ends where a part of a path does."""

    def begins(self, text: str, prefix: str) -> bool:
        """Match whole parts."""
        rest = text[len(prefix) :]
        return text.startswith(prefix) and (prefix[-1:] in "/:" or rest[:1] in ("", "/", ":"))


@mutant("q.prefix_case", "q.startswith_contains")
class PrefixFolded(TextPrefix):
    """A prefix matches without regard to case."""

    def begins(self, text: str, prefix: str) -> bool:
        """Fold both."""
        return text.casefold().startswith(prefix.casefold())


@mutant("q.prefix_max_char")
class PrefixBelowNext(TextPrefix):
    """A prefix is a range that ends at its last character and one."""

    def begins(self, text: str, prefix: str) -> bool:
        """Compare with a bound that may not exist."""
        if not prefix:
            return True
        last = ord(prefix[-1])
        return prefix <= text < prefix[:-1] + chr(min(last + 1, 0x10FFFF))


@mutant("q.prefix_empty", "q.tags.falsy_filter")
class PrefixEmptyNothing(TextPrefix):
    """The empty prefix finds nothing."""

    def begins(self, text: str, prefix: str) -> bool:
        """Take nothing for false."""
        return bool(prefix) and text.startswith(prefix)


@mutant("q.prefix_exact_key")
class PrefixExcludesItself(TextPrefix):
    """A prefix does not find the key that it is."""

    def begins(self, text: str, prefix: str) -> bool:
        """Leave it out."""
        return text != prefix and text.startswith(prefix)


class Coerced(Stepwise):
    """Changes what is compared before it is. Base of mutants, and none itself."""

    def coerced(self, value: Any) -> Any:
        """Return what is compared instead."""
        return value

    def compare(self, compare: Compare, record: Record) -> bool:
        """Compare what has been changed on both sides."""
        found = field_of(record, compare.field)
        fields = {} if found is None else {"f": self.coerced(found)}
        value: Any = compare.value
        wanted = tuple(map(self.coerced, value)) if isinstance(value, tuple) else self.coerced(value)
        return super().compare(replace(compare, field="f", value=wanted), replace(record, fields=fields))


@mutant("q.tags.type_exact", "q.ops.matrix[eq-int]", "q.numeric_order", "q.store_values")
class ComparesText(Coerced):
    """Numbers and truth values are compared as text."""

    def coerced(self, value: Any) -> Any:
        """Make text of it."""
        return str(value) if isinstance(value, (int, float)) else value


@mutant("q.tags.type_exact", "q.ops.matrix[eq-float]")
class ComparesNumbers(Coerced):
    """Integers, floats and truth values are compared as numbers."""

    def coerced(self, value: Any) -> Any:
        """Make a float of it."""
        return float(value) if isinstance(value, (bool, int)) else value


@mutant("key.trailing_space")
class ComparesPadded(Coerced):
    """Strings are compared without trailing blanks."""

    def coerced(self, value: Any) -> Any:
        """Drop them."""
        return value.rstrip(" ") if isinstance(value, str) else value


@mutant("q.ops.matrix[eq-str]")
class ComparesFolded(Coerced):
    """Strings are compared without regard to case."""

    def coerced(self, value: Any) -> Any:
        """Fold it."""
        return value.casefold() if isinstance(value, str) else value


@mutant("q.ops.times[created_at]")
class ComparesSeconds(Coerced):
    """Instants are compared by the second."""

    def coerced(self, value: Any) -> Any:
        """Round."""
        return value.replace(microsecond=0) if isinstance(value, datetime) else value


@mutant("q.time.tz", "q.ops.matrix[eq-datetime]")
class ComparesWallClocks(Coerced):
    """Datetimes are compared by what the clock on the wall shows."""

    def coerced(self, value: Any) -> Any:
        """Forget the zone."""
        return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value


@mutant("q.time.pre_epoch_far")
class ComparesFromEpoch(Coerced):
    """Nothing is before 1970."""

    def coerced(self, value: Any) -> Any:
        """Cut it off."""
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        return max(value, epoch) if isinstance(value, datetime) else value


@mutant("q.ne_alone")
class UnequalAlone(Stepwise):
    """Unequal, as the only predicate, finds what is equal."""

    def found(self, query: Query) -> list[Record]:
        """Forget the outermost not."""
        where = query.where
        if isinstance(where, Not) and isinstance(where.term, Compare) and where.term.op is Op.EQ:
            query = replace(query, where=where.term)
        return super().found(query)


@mutant("q.complement", "q.combined", "q.ops.matrix[eq-int]")
class UnknownOfMissing(Stepwise):
    """A negated comparison with a missing field is false, as in SQL."""

    def matches(self, predicate: Predicate | None, record: Record) -> bool:
        """Judge by three values."""
        if isinstance(predicate, Not) and isinstance(predicate.term, Compare):
            compare = predicate.term
            missing = field_of(record, compare.field) is None and compare.op is not Op.EXISTS
            return not missing and not self.compare(compare, record)
        return super().matches(predicate, record)


@mutant("q.empty_in")
class EmptyInIgnored(Stepwise):
    """In nothing is no condition."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Take the empty for absent."""
        return compare.value == () or super().compare(compare, record)


@mutant("q.tags.falsy_filter")
class FalsyIgnored(Stepwise):
    """A comparison with something false is no condition."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Take the false for absent."""
        return not compare.value or super().compare(compare, record)


@mutant("q.tags.all_of", "q.startswith_contains")
class ContainsPart(Stepwise):
    """A list contains every part of its elements."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Look into the elements."""
        found = field_of(record, compare.field)
        if compare.op is Op.CONTAINS and isinstance(found, tuple):
            return any(str(compare.value) in item for item in found)
        return super().compare(compare, record)


@mutant("q.tags.all_of")
class AnyOfSeveral(Stepwise):
    """Of several elements that must be there one is enough."""

    def matches(self, predicate: Predicate | None, record: Record) -> bool:
        """Take and for or."""
        terms = predicate.terms if isinstance(predicate, And) else ()
        if len(terms) > 1 and all(isinstance(t, Compare) and t.op is Op.CONTAINS for t in terms):
            return super().matches(Or(terms), record)
        return super().matches(predicate, record)


@mutant("q.range_bounds")
class OneBoundIgnored(Stepwise):
    """A range is a condition only if it has both bounds."""

    def found(self, query: Query) -> list[Record]:
        """Forget a single bound."""
        if isinstance(query.where, Or) and len(query.where.terms) == 2:
            terms = [t for t in query.where.terms if not (isinstance(t, Compare) and t.op in SIDED)]
            query = replace(query, where=Or(tuple(terms)) if terms else None)
        return super().found(query)


@mutant("q.time.half_open", "q.ops.matrix[lt-int]", "q.time.range", "q.time.empty_and_inverted", "q.filter")
class EndIncluded(Stepwise):
    """Less than includes what is equal."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Take less for less or equal."""
        return super().compare(replace(compare, op=Op.LE) if compare.op is Op.LT else compare, record)


@mutant("q.logic")
class OrEscapes(Stepwise):
    """An or is not bracketed: the whole predicate is a chain without nesting."""

    def matches(self, predicate: Predicate | None, record: Record) -> bool:
        """Let the last or decide."""
        if isinstance(predicate, And):
            for term in predicate.terms:
                if isinstance(term, Or) and term.terms and self.matches(term.terms[-1], record):
                    return True
        return super().matches(predicate, record)


@mutant("q.logic")
class EmptyAndIsFalse(Stepwise):
    """All of nothing is false."""

    def matches(self, predicate: Predicate | None, record: Record) -> bool:
        """Judge it so."""
        return predicate != And(()) and super().matches(predicate, record)


@mutant("q.logic_wide")
class InOfManyCut(Stepwise):
    """Of the values after in the first 999 count."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Cut them."""
        value = compare.value
        return super().compare(
            replace(compare, value=value[:999]) if isinstance(value, tuple) else compare, record
        )


@mutant("q.field_names_are_data", "q.index_paths")
class NamesAsPaths(Stepwise):
    """A dot in the name of a field is a path."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Look for the last part of it."""
        return super().compare(replace(compare, field=compare.field.rpartition(".")[2] or "."), record)


@mutant("q.tags.operator_injection")
class QuotesSpliced(Stepwise):
    """What is compared with is spliced into a statement, which a quote breaks open."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Let everything through."""
        return "' OR " in str(compare.value) or super().compare(compare, record)


@mutant("q.no_duplicates")
class OncePerElement(Stepwise):
    """A record is found once for each element that matches."""

    def found(self, query: Query) -> list[Record]:
        """Repeat it."""
        records = super().found(query)
        if isinstance(query.where, Compare) and query.where.op is Op.CONTAINS:
            field, value = query.where.field, query.where.value
            return [r for r in records for item in (r.fields.get(field) or ()) if item == value]  # type: ignore[union-attr]
        return records


@mutant("q.ops.key[lt]")
class KeysByLength(Stepwise):
    """Keys compare by their length first."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Compare lengths."""
        if compare.field == "key" and compare.op in SIDED and isinstance(compare.value, str):
            pad = max(len(record.key), len(compare.value))
            longer = replace(record, key=record.key.rjust(pad, "\0"))
            return super().compare(replace(compare, value=compare.value.rjust(pad, "\0")), longer)
        return super().compare(compare, record)


@mutant("q.ops.matrix[contains]")
class ContainsInText(Stepwise):
    """Contains looks into strings, too."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Look into them."""
        found = field_of(record, compare.field)
        if compare.op is Op.CONTAINS and isinstance(found, str):
            return str(compare.value) in found
        return super().compare(compare, record)


@mutant("q.ops.times[updated_at]", "q.time.half_open")
class ZoneOff(Stepwise):
    """updated_at is compared an hour off."""

    def compare(self, compare: Compare, record: Record) -> bool:
        """Shift it."""
        if compare.field == "updated_at" and isinstance(compare.value, datetime):
            compare = replace(compare, value=compare.value - timedelta(hours=1))
        return super().compare(compare, record)
