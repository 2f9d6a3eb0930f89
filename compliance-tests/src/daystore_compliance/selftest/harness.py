"""The harness on trial: each of its parts broken on purpose, and the check that has to notice.

A suite whose clock stands still, whose proxy cuts nothing or whose checkers approve of everything certifies
whatever it is given. Every check here passes with the harness as it is, and fails with the one part broken that it
is about.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Final
from unittest.mock import patch

from daystore_compliance import equality, suite
from daystore_compliance.case import REGISTRY
from daystore_compliance.certificate import verdict
from daystore_compliance.certificate.contract import CURRENT, contract
from daystore_compliance.certificate.results import Result, Results
from daystore_compliance.certificate.waivers import Waiver
from daystore_compliance.checkers import linearizability
from daystore_compliance.clock import ManualClock
from daystore_compliance.plan import Plan
from daystore_compliance.proxy import FaultProxy
from daystore_compliance.run import run_case
from daystore_compliance.selftest.trial import try_mutant
from daystore_compliance.target import MemoryTarget, Target
from daystore_compliance.wire.target import WireTarget

__all__ = ["HARNESS", "HarnessMutant", "problems"]

_DAY: Final = dt.date(2026, 1, 1)


@dataclass(frozen=True, slots=True)
class HarnessMutant:
    """A harness with one part broken.

    Attributes:
        name: Its name.
        breaks: What is broken, in one line.
        breaking: Breaks it for a block.
        check: Raises `AssertionError` if it notices.
    """

    name: str
    breaks: str
    breaking: Callable[[], AbstractContextManager[Any]]
    check: Callable[[], None]


def problems() -> Iterator[str]:
    """Say which checks fail on the harness as it is, and which broken harnesses nobody notices."""
    for one in HARNESS:
        try:
            one.check()
        except Exception as error:  # noqa: BLE001 -- it is told
            yield f"{one.name}: the check fails on the harness as it is: {type(error).__name__}: {error}"
            continue
        with one.breaking():
            try:
                one.check()
            except AssertionError:
                continue
            except Exception as error:  # noqa: BLE001 -- it is told
                yield f"{one.name}: the check crashes instead of noticing: {type(error).__name__}: {error}"
                continue
        yield f"{one.name}: nobody notices that {one.breaks}"


def _passes(case_id: str, target: Target, variant: str | None = None) -> None:
    with target.running():
        run_case(REGISTRY[case_id], target, variant=variant, plan=Plan(search_only=True))


def _kills(mutant: str, case_id: str) -> Callable[[], None]:
    def check() -> None:
        trial = try_mutant(mutant, only=case_id)
        assert trial.killers, f"{mutant} gets through"

    return check


# --- Verdicts ----------------------------------------------------------------------------------------------


def _all_passed() -> Results:
    results = Results()
    for case in REGISTRY.values():
        for variant in case.variants or (None,):
            results.add(Result(case.id, variant, "passed"))
    return results


def _judged(results: Results, waived: dict[str, Waiver] | None = None) -> verdict.Verdict:
    return verdict.judge(
        results,
        MemoryTarget(),
        MemoryTarget.adapter.capabilities,
        suite.load(),
        contract(CURRENT, REGISTRY),
        waivers=waived or {},
        today=_DAY,
    )


def _check_complete() -> None:
    assert _judged(_all_passed()).is_certified
    assert not contract(CURRENT, REGISTRY).lost(_loaded()), "a frozen case is gone"


def _loaded() -> dict[str, Any]:
    names = {f"{suite.__name__}.{module}" for module in suite.MODULES}
    return {case_id: case for case_id, case in REGISTRY.items() if case.body.__module__ in names}


def _check_skips() -> None:
    results = _all_passed()
    skipped = Result("cas.aba", None, "skipped")
    results.by_name["cas.aba"] = skipped
    assert not _judged(results).is_certified, "a case that was skipped counts as passed"


def _check_reports() -> None:
    gathered = Results()
    for result in _all_passed():
        gathered.add(Result.from_dict(result.to_dict()))
    expected = sum(len(case.variants) or 1 for case in REGISTRY.values())
    assert len(list(gathered)) == expected, "a report was lost on its way"
    assert _judged(gathered).is_certified


def _check_waivers() -> None:
    results = _all_passed()
    results.by_name["cas.aba"] = Result("cas.aba", None, "failed")
    other = Waiver("cas.ab", "another case", "issue", _DAY)
    assert not _judged(results, {"cas.ab": other}).is_certified, (
        "a waiver covers a case that it does not name"
    )
    own = Waiver("cas.aba", "this case", "issue", _DAY)
    assert _judged(results, {"cas.aba": own}).words == "certified with waivers"


@contextmanager
def _without_a_module() -> Iterator[None]:
    with patch.object(suite, "MODULES", tuple(name for name in suite.MODULES if name != "conditions")):
        yield


class _ByPart(dict[str, Waiver]):
    """Finds a waiver by any part of an id."""

    def __contains__(self, case_id: object) -> bool:
        return any(waived in str(case_id) for waived in self)


@contextmanager
def _waivers_by_part() -> Iterator[None]:
    right = verdict._outcome

    def wrong(case: Any, found: Any, waived: Any) -> str:
        return right(case, found, _ByPart(waived))

    def none_stale(*_: Any) -> list[str]:
        return []

    with patch.object(verdict, "_outcome", wrong), patch.object(verdict, "stale_waivers", none_stale):
        yield


@contextmanager
def _skips_pass() -> Iterator[None]:
    right = Results.of

    def wrong(self: Results, case_id: str) -> list[Result]:
        return [Result(r.case, r.variant, "passed") for r in right(self, case_id)]

    with patch.object(Results, "of", wrong):
        yield


@contextmanager
def _reports_lost() -> Iterator[None]:
    right = Results.add

    def wrong(self: Results, result: Result) -> None:
        if result.case != "cas.aba":
            right(self, result)

    with patch.object(Results, "add", wrong):
        yield


# --- What cases stand on -------------------------------------------------------------------------------------


@contextmanager
def _one_after_the_other() -> Iterator[None]:
    async def wrong(*coroutines: Any, return_exceptions: bool = False) -> list[Any]:
        answers = []
        for coroutine in coroutines:
            try:
                answers.append(await coroutine)
            except Exception as error:
                if not return_exceptions:
                    raise
                answers.append(error)
        return answers

    with patch.object(asyncio, "gather", wrong):
        yield


def _approve(*_: Any, **__: Any) -> None:
    """Find nothing wrong."""


def _cut_nothing(_: FaultProxy, **__: Any) -> int:
    return 0


def _stand(clock: ManualClock, *_: Any, **__: Any) -> int:
    return clock()


@contextmanager
def _checker_approves() -> Iterator[None]:
    with patch.object(linearizability, "check", _approve):
        yield


@contextmanager
def _proxy_cuts_nothing() -> Iterator[None]:
    with patch.object(FaultProxy, "cut", _cut_nothing):
        yield


@contextmanager
def _clock_stands() -> Iterator[None]:
    with patch.object(ManualClock, "advance", _stand):
        yield


@contextmanager
def _loose_equality() -> Iterator[None]:
    from daystore_compliance.suite import values

    def wrong(one: Any, other: Any) -> bool:
        return bool(one == other)

    with patch.object(equality, "strict_eq", wrong), patch.object(values, "strict_eq", wrong):
        yield


HARNESS: Final = (
    HarnessMutant(
        "CheckerApproves",
        "the checker of histories approves of everything",
        _checker_approves,
        _kills("ReadsThenWrites", "cas.linearizable"),
    ),
    HarnessMutant(
        "ProxyCutsNothing",
        "the proxy cuts no connection",
        _proxy_cuts_nothing,
        lambda: _passes("conn.cut_idle", WireTarget(), "reset"),
    ),
    HarnessMutant(
        "ClockStands",
        "the clock never advances",
        _clock_stands,
        lambda: _passes("ttl.remaining", MemoryTarget()),
    ),
    HarnessMutant(
        "LooseEquality",
        "1, 1.0 and True are equal",
        _loose_equality,
        _kills("BooleansAsNumbers", "rt.bool_not_int"),
    ),
    HarnessMutant("SkipsPass", "a case that was skipped counts as passed", _skips_pass, _check_skips),
    HarnessMutant(
        "OneAfterTheOther",
        "what is to run side by side runs one after the other",
        _one_after_the_other,
        lambda: _passes("cas.linearizable", MemoryTarget(), "one"),
    ),
    HarnessMutant("ModuleDropped", "a module of cases is not collected", _without_a_module, _check_complete),
    HarnessMutant("ReportLost", "the report of a case does not arrive", _reports_lost, _check_reports),
    HarnessMutant(
        "WaiverByPart", "a waiver covers every id that it is a part of", _waivers_by_part, _check_waivers
    ),
)
"""The broken harnesses."""
