"""The verdict on a run: what the backend is certified for, or why there is no certificate."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import Final, Self

from daystore.abc import Capabilities
from daystore_compliance.case import Case, Level, obstacle
from daystore_compliance.certificate.contract import Contract
from daystore_compliance.certificate.profiles import PROFILES, profile_of
from daystore_compliance.certificate.results import Result, Results
from daystore_compliance.certificate.waivers import Waiver, stale_waivers
from daystore_compliance.target import Target

__all__ = ["Exit", "Tally", "Verdict", "judge"]

_NAMED: Final = 8


class Exit(IntEnum):
    """How ``daystore certify`` ends."""

    CERTIFIED = 0
    FAILED = 1
    STALE_OR_LIE = 2
    UNAVAILABLE = 3
    NOTHING = 4
    SELFTEST = 5


@dataclass(slots=True)
class Tally:
    """The cases of one profile, counted.

    Attributes:
        passed: Kept their promise.
        failed: Did not.
        waived: Did not, and that is known.
        not_testable: Need a hook that the target does not have.
        undeclared: Need a capability that the backend does not declare.
    """

    passed: int = 0
    failed: int = 0
    waived: int = 0
    not_testable: int = 0
    undeclared: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.passed + self.failed + self.waived + self.not_testable + self.undeclared

    @property
    def is_certified(self) -> bool:
        """Whether every promise was tried, and kept or waived."""
        return self.passed > 0 and self.total == self.passed + self.waived

    def to_dict(self) -> dict[str, int]:
        """Return the counts by name."""
        return {**asdict(self), "total": self.total}

    @classmethod
    def from_dict(cls, counts: Mapping[str, int]) -> Self:
        """Make it of what `to_dict` returned."""
        return cls(**{name: count for name, count in counts.items() if name != "total"})


@dataclass(slots=True)
class Verdict:
    """What is said of a backend.

    Attributes:
        exit: How the run ends.
        profiles: The counts of each profile.
        outcomes: What became of each case: ``passed``, ``failed``, ``waived``, ``not testable: hook``,
            ``undeclared: capability``, ``not run``.
        reasons: Why there is no certificate, in a line each; empty if there is one.
        gaps: What it is not certified for, and why.
        remarks: What is worth knowing all the same: promises that ought to be kept, and were not.
        not_scored: Cases that are younger than the contract.
    """

    exit: Exit
    profiles: dict[str, Tally] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    not_scored: list[str] = field(default_factory=list)

    @property
    def is_certified(self) -> bool:
        """Whether there is a certificate."""
        return self.exit is Exit.CERTIFIED

    @property
    def words(self) -> str:
        """The verdict in words."""
        if not self.is_certified:
            return "not certified"
        waived = sum(tally.waived for tally in self.profiles.values())
        return "certified with waivers" if waived else "certified"

    @property
    def certified(self) -> list[str]:
        """The profiles it is certified for."""
        return [name for name, tally in self.profiles.items() if tally.is_certified]


def judge(  # noqa: PLR0913 -- a verdict weighs all of this
    results: Results,
    target: Target,
    capabilities: Capabilities,
    registry: Mapping[str, Case],
    contract: Contract,
    *,
    waivers: Mapping[str, Waiver],
    profiles: Collection[str] = (),
    lies: Sequence[str] = (),
    today: dt.date,
) -> Verdict:
    """Judge a run.

    Args:
        results: What became of the cases.
        target: What was tried.
        capabilities: What it declares.
        registry: All cases.
        contract: The version that is certified.
        waivers: By the id of their case.
        profiles: Only these; all of them if empty.
        lies: Capabilities that are declared and not served, in words.
        today: For waivers that end.

    Returns:
        The verdict, and all that it rests on.
    """
    scope = [name for name in PROFILES if not profiles or name in profiles]
    verdict = Verdict(Exit.CERTIFIED, profiles={name: Tally() for name in scope})
    for case_id, case in sorted(registry.items()):
        profile = profile_of(case)
        if profile not in verdict.profiles:
            continue
        why = obstacle(case, target, capabilities)
        if why is not None and why.startswith("declared"):
            continue  # its promise, a refusal, is not made
        outcome = why or _outcome(case, results.of(case_id), waivers)
        verdict.outcomes[case_id] = outcome
        if case_id not in contract.ids:
            verdict.not_scored.append(case_id)
            continue
        _count(verdict, profile, case, outcome)
    _find_gaps(verdict, registry)
    _decide(verdict, results, registry, contract, waivers, lies, today)
    return verdict


def _outcome(case: Case, found: Sequence[Result], waivers: Mapping[str, Waiver]) -> str:
    expected: set[str | None] = set(case.variants) or {None}
    if {result.variant for result in found} != expected or any(r.outcome == "skipped" for r in found):
        return "not run"
    if any(result.outcome == "failed" for result in found):
        return "waived" if case.id in waivers else "failed"
    return "passed"


def _count(verdict: Verdict, profile: str, case: Case, outcome: str) -> None:
    tally = verdict.profiles[profile]
    kind = outcome.partition(":")[0].replace(" ", "_")
    if case.level is Level.SHOULD and kind != "passed":
        if kind == "failed":
            verdict.remarks.append(f"{case.id} ought to hold, and failed: {case.promise}")
    elif kind != "not_run":
        setattr(tally, kind, getattr(tally, kind) + 1)


def _find_gaps(verdict: Verdict, registry: Mapping[str, Case]) -> None:
    for name, tally in verdict.profiles.items():
        whys: dict[str, int] = {"failed": tally.failed} if tally.failed else {}
        for case_id, outcome in verdict.outcomes.items():
            if ":" in outcome and profile_of(registry[case_id]) == name:
                whys[outcome] = whys.get(outcome, 0) + 1
        if not tally.is_certified:
            told = ", ".join(f"{count} {why}" for why, count in whys.items()) or "nothing of it was tried"
            verdict.gaps.append(f"{name}: {told}")


def _decide(
    verdict: Verdict,
    results: Results,
    registry: Mapping[str, Case],
    contract: Contract,
    waivers: Mapping[str, Waiver],
    lies: Sequence[str],
    today: dt.date,
) -> None:
    """Find the reason that weighs most; the others are told, too."""
    found: list[tuple[Exit, str]] = []
    not_run = [case_id for case_id, outcome in verdict.outcomes.items() if outcome == "not run"]
    failed = [case_id for case_id, outcome in verdict.outcomes.items() if outcome == "failed"]
    passed = [case_id for case_id, outcome in verdict.outcomes.items() if outcome == "passed"]
    binding = [case_id for case_id in failed if registry[case_id].level is Level.MUST]
    if lost := contract.lost(registry):
        found.append((Exit.NOTHING, f"the suite lacks cases of contract {contract.version}: {_some(lost)}"))
    if not passed and not failed:
        found.append((Exit.NOTHING, "no case was run"))
    if not_run:
        told = f"{len(not_run)} cases were not run, or not to their end: {_some(not_run)}"
        found.append((Exit.NOTHING, f"{told}; certify without -k, -x, --lf and the like"))
    if results.repeated:
        told = f"cases were run more than once: {_some(sorted(results.repeated))}"
        found.append((Exit.NOTHING, f"{told}; certify without plugins that rerun tests"))
    found += [(Exit.STALE_OR_LIE, text) for text in stale_waivers(waivers, registry, passed, today)]
    found += [(Exit.STALE_OR_LIE, text) for text in lies]
    if binding:
        found.append((Exit.FAILED, f"{len(binding)} cases failed: {_some(binding)}"))
    verdict.reasons = [text for _, text in found]
    if found:
        verdict.exit = max((weight for weight, _ in found), key=_WEIGHT.index)


_WEIGHT: Final = (Exit.CERTIFIED, Exit.FAILED, Exit.STALE_OR_LIE, Exit.NOTHING)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
