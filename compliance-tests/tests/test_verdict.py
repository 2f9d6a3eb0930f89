"""The verdict: what is certified, and everything that stands in the way of a certificate."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest

from daystore.abc import Capabilities
from daystore_compliance.case import REGISTRY, obstacle
from daystore_compliance.certificate.contract import CURRENT, contract, freeze, versions
from daystore_compliance.certificate.profiles import PROFILES, profile_of
from daystore_compliance.certificate.results import Result, Results
from daystore_compliance.certificate.verdict import Exit, Verdict, judge
from daystore_compliance.certificate.waivers import Waiver, WaiverError, read_waivers
from daystore_compliance.suite import load
from daystore_compliance.target import MemoryTarget, Target

load()

TODAY = dt.date(2026, 6, 1)
EVERYTHING = MemoryTarget.adapter.capabilities
MEMORY = MemoryTarget()


def passing(target: Target = MEMORY, capabilities: Capabilities = EVERYTHING) -> Results:
    results = Results()
    for case in REGISTRY.values():
        if obstacle(case, target, capabilities) is None:
            for variant in case.variants or (None,):
                results.add(Result(case.id, variant, "passed"))
    return results


def judged(
    results: Results,
    *,
    target: Target = MEMORY,
    capabilities: Capabilities = EVERYTHING,
    waivers: tuple[Waiver, ...] = (),
    profiles: tuple[str, ...] = (),
    lies: tuple[str, ...] = (),
) -> Verdict:
    return judge(
        results,
        target,
        capabilities,
        REGISTRY,
        contract(CURRENT, REGISTRY),
        waivers={waiver.case: waiver for waiver in waivers},
        profiles=profiles,
        lies=lies,
        today=TODAY,
    )


def waived(case: str, expires: dt.date = TODAY) -> Waiver:
    return Waiver(case, "known", "https://example.org/1", expires)


def test_everything_passed() -> None:
    verdict = judged(passing())
    assert (verdict.exit, verdict.words, verdict.reasons) == (Exit.CERTIFIED, "certified", [])
    assert verdict.certified == [name for name in PROFILES if name not in ("durability", "faults")]
    assert [gap.partition(":")[0] for gap in verdict.gaps] == ["durability", "faults"]
    assert "not testable: process" in verdict.gaps[0]


def test_one_variant_that_failed_fails_the_case() -> None:
    results = passing()
    results.by_name["q.ops.matrix[eq-str]"] = Result(
        "q.ops.matrix", "eq-str", "failed", reason="AssertionError"
    )
    verdict = judged(results)
    assert verdict.exit is Exit.FAILED
    assert verdict.reasons == ["1 cases failed: q.ops.matrix"]
    assert "query" not in verdict.certified


@pytest.mark.parametrize("lost", ["cas.aba", "q.ops.matrix[eq-str]"])
def test_case_that_was_not_run_prevents_a_certificate(lost: str) -> None:
    results = passing()
    del results.by_name[lost]
    verdict = judged(results)
    assert verdict.exit is Exit.NOTHING
    assert lost.partition("[")[0] in verdict.reasons[0]
    assert not verdict.is_certified


def test_skip_is_no_pass() -> None:
    results = passing()
    results.by_name["cas.aba"] = Result("cas.aba", None, "skipped")
    assert judged(results).exit is Exit.NOTHING


def test_rerun_hides_nothing() -> None:
    results = passing()
    results.by_name["cas.aba"] = Result("cas.aba", None, "failed")
    results.add(Result("cas.aba", None, "passed"))
    verdict = judged(results)
    assert verdict.exit is Exit.NOTHING
    assert any("more than once: cas.aba" in reason for reason in verdict.reasons)
    assert verdict.outcomes["cas.aba"] == "failed"


def test_nothing_run_is_no_certificate() -> None:
    verdict = judged(Results())
    assert verdict.exit is Exit.NOTHING
    assert "no case was run" in verdict.reasons


def test_undeclared_is_a_gap_and_its_refusal_is_tried() -> None:
    few = replace(EVERYTHING, ttl=False)
    verdict = judged(passing(capabilities=few), capabilities=few)
    assert verdict.exit is Exit.CERTIFIED
    assert "ttl" not in verdict.certified
    assert any(gap.startswith("ttl:") and "undeclared: ttl" in gap for gap in verdict.gaps)
    assert verdict.outcomes["cap.ttl.refused"] == "passed"


def test_hook_that_is_missing_is_no_pass() -> None:
    class Single(MemoryTarget):
        hooks = frozenset({"reopen"})

    single = Single()
    verdict = judged(passing(single), target=single)
    assert verdict.profiles["core"].not_testable > 0
    assert "core" not in verdict.certified


def test_lie_weighs_more_than_a_failure() -> None:
    results = passing()
    results.by_name["cas.aba"] = Result("cas.aba", None, "failed")
    verdict = judged(results, lies=("ttl is declared and not served",))
    assert verdict.exit is Exit.STALE_OR_LIE
    assert len(verdict.reasons) == 2


def test_waiver_covers_the_case_that_it_names() -> None:
    results = passing()
    results.by_name["cas.aba"] = Result("cas.aba", None, "failed")
    verdict = judged(results, waivers=(waived("cas.aba"),))
    assert (verdict.exit, verdict.words) == (Exit.CERTIFIED, "certified with waivers")
    assert verdict.profiles["cas"].waived == 1


@pytest.mark.parametrize(
    ("waiver", "told"),
    [
        (waived("cas.aba"), "the case passes"),
        (waived("cas.nothing"), "there is no such case"),
        (waived("cas.on_missing", TODAY - dt.timedelta(days=1)), "ended on 2026-05-31"),
    ],
)
def test_waiver_that_is_out_of_date_is_told(waiver: Waiver, told: str) -> None:
    results = passing()
    results.by_name["cas.on_missing"] = Result("cas.on_missing", None, "failed")
    verdict = judged(results, waivers=(waiver,))
    assert verdict.exit is Exit.STALE_OR_LIE
    assert any(told in reason for reason in verdict.reasons)


def test_part_of_an_id_is_not_the_id() -> None:
    results = passing()
    results.by_name["cas.aba"] = Result("cas.aba", None, "failed")
    assert judged(results, waivers=(waived("cas.ab"),)).outcomes["cas.aba"] == "failed"


def test_profiles_narrow_what_is_asked() -> None:
    results = Results()
    for result in passing():
        if profile_of(REGISTRY[result.case]) == "ttl":
            results.add(result)
    verdict = judged(results, profiles=("ttl",))
    assert (verdict.exit, verdict.certified) == (Exit.CERTIFIED, ["ttl"])
    assert set(verdict.profiles) == {"ttl"}


def test_promise_that_ought_to_hold_is_a_remark() -> None:
    should = next(case for case in REGISTRY.values() if case.level == "should" and not case.variants)
    results = passing()
    results.by_name[should.id] = Result(should.id, None, "failed")
    verdict = judged(results)
    assert verdict.exit is Exit.CERTIFIED
    assert any(remark.startswith(should.id) for remark in verdict.remarks)


# --- The contract ---------------------------------------------------------------------------------------------


def test_every_frozen_case_is_still_there() -> None:
    assert versions()[-1] == CURRENT
    for version in versions():
        assert contract(version, REGISTRY).lost(REGISTRY) == []


def test_frozen_cases_are_those_of_the_suite() -> None:
    """Until it is released, the contract has every case; after that a new case says since when."""
    frozen = contract(CURRENT, REGISTRY)
    assert frozen.ids == {case.id for case in REGISTRY.values() if case.since <= CURRENT}
    for profile, ids in frozen.cases.items():
        assert {profile_of(REGISTRY[case_id]) for case_id in ids} == {profile}
    written = Path(__file__).parents[1] / "src" / "daystore_compliance" / "contracts" / f"{CURRENT}.toml"
    if written.exists():  # an installed suite is tested without its source
        assert written.read_text() == freeze(CURRENT, REGISTRY), "run 'daystore cases --freeze-as 1.0'"


def test_requirements_have_a_digest_that_a_promise_changes() -> None:
    before = contract(CURRENT, REGISTRY).requirements_sha256
    changed = {**REGISTRY, "cas.aba": replace(REGISTRY["cas.aba"], promise="Something else is promised.")}
    assert contract(CURRENT, changed).requirements_sha256 != before


def test_case_that_was_dropped_prevents_every_certificate() -> None:
    fewer = {case_id: case for case_id, case in REGISTRY.items() if case_id != "cas.aba"}
    frozen = contract(CURRENT, REGISTRY)
    verdict = judge(passing(), MEMORY, EVERYTHING, fewer, frozen, waivers={}, today=TODAY)
    assert verdict.exit is Exit.NOTHING
    assert "cas.aba" in verdict.reasons[0]


def test_case_younger_than_the_contract_is_not_scored() -> None:
    young = {**REGISTRY, "cas.young": replace(REGISTRY["cas.aba"], id="cas.young", since="1.1")}
    frozen = contract(CURRENT, REGISTRY)
    verdict = judge(passing(), MEMORY, EVERYTHING, young, frozen, waivers={}, today=TODAY)
    assert verdict.not_scored == ["cas.young"]


def test_unknown_contract_is_told() -> None:
    with pytest.raises(LookupError, match=r"no contract '9\.9': there are 1\.0"):
        contract("9.9", REGISTRY)


# --- Waivers --------------------------------------------------------------------------------------------------

GOOD = '[[waiver]]\ncase = "cas.aba"\nreason = "x"\nissue = "https://example.org/1"\nexpires = 2027-01-31\n'


def test_waivers_are_read(tmp_path: Path) -> None:
    file = tmp_path / "waivers.toml"
    file.write_text(GOOD)
    assert read_waivers(file) == {
        "cas.aba": Waiver("cas.aba", "x", "https://example.org/1", dt.date(2027, 1, 31))
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (GOOD.replace('issue = "https://example.org/1"\n', ""), "lacks issue"),
        (GOOD.replace("2027-01-31", '"2027-01-31"'), "without quotes"),
        (GOOD + "until = 1\n", "unknown key 'until'"),
        (GOOD + GOOD, "waived twice"),
        ("[[waivers]]\n", "unknown entry 'waivers'"),
        ("[[waiver", "waivers.toml"),
    ],
)
def test_waivers_that_say_too_little_are_refused(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "waivers.toml"
    file.write_text(text)
    with pytest.raises(WaiverError, match=told):
        read_waivers(file)


def test_missing_file_of_waivers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WaiverError, match=r"waivers\.toml"):
        read_waivers(tmp_path / "waivers.toml")
