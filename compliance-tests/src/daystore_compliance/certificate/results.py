"""What became of each case in one run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

__all__ = ["Result", "Results", "name_of"]


def name_of(case_id: str, variant: str | None) -> str:
    """Return the name of a case, or of one variant of it: ``id`` or ``id[variant]``."""
    return case_id if variant is None else f"{case_id}[{variant}]"


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a case, or of one variant of it.

    Attributes:
        case: Its id.
        variant: Name of the variant, if it has any.
        outcome: ``passed``, ``failed``, or ``skipped`` by somebody who had no business to.
        seconds: How long it took.
        reason: Why it did not pass, in one line.
    """

    case: str
    variant: str | None
    outcome: Literal["passed", "failed", "skipped"]
    seconds: float = 0.0
    reason: str = ""

    @property
    def name(self) -> str:
        """The id, with the variant."""
        return name_of(self.case, self.variant)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, to travel between processes."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Make it of what `to_dict` returned."""
        return cls(**plain)


@dataclass(slots=True)
class Results:
    """The outcomes of one run against one target.

    Attributes:
        by_name: The result of each case and variant, by its name.
        repeated: Names of those that were run more than once: a rerun hides what it repeats.
    """

    by_name: dict[str, Result] = field(default_factory=dict)
    repeated: set[str] = field(default_factory=set)

    def add(self, result: Result) -> None:
        """Take a result."""
        if result.name in self.by_name:
            self.repeated.add(result.name)
            if self.by_name[result.name].outcome == "failed":
                return
        self.by_name[result.name] = result

    def __iter__(self) -> Iterator[Result]:
        return iter(self.by_name.values())

    def of(self, case_id: str) -> list[Result]:
        """Return the results of one case, one for each variant."""
        return [result for result in self if result.case == case_id]
