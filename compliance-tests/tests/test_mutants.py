"""Every mutant is found out by the cases named for it, by their own assertions, and every case finds one out."""

import pytest

from daystore_compliance.case import REGISTRY, obstacle
from daystore_compliance.mutants import MODULES, MUTANTS, MutantTarget, load, mutant
from daystore_compliance.mutants.base import Stepwise
from daystore_compliance.mutants.capabilities import Minimal
from daystore_compliance.plan import Plan
from daystore_compliance.run import run_case
from daystore_compliance.suite import load as load_cases

load_cases()
load()

KILLS = [(name, case_id) for name, found in MUTANTS.items() for case_id in found.killed_by]
RUNS = [(case_id, variant) for case_id, case in REGISTRY.items() for variant in case.variants or [None]]

ONLY_CORE = {
    "batch.last_wins": "a store makes a dict of its pairs before an adapter or a serializer sees them",
    "q.unknown_field": "a store refuses a name before an adapter sees a query",
    "rt.typed_refused": "a store refuses another type before a serializer sees the value",
    "ttl.zero_negative": "a store makes the deadline, and refuses what makes none",
    "txn.store_after_end": "a store of a transaction asks the transaction first",
}
"""Cases that no adapter and no serializer can fail, and why."""


def _split(case_id: str) -> tuple[str, str | None]:
    name, _, variant = case_id.partition("[")
    return name, variant.removesuffix("]") or None


@pytest.mark.parametrize(("name", "case_id"), KILLS, ids=[f"{name}-{case_id}" for name, case_id in KILLS])
def test_mutant_is_killed_by_the_case_named_for_it(name: str, case_id: str) -> None:
    found, variant = _split(case_id)
    target = MUTANTS[name].target()
    assert obstacle(REGISTRY[found], target, MUTANTS[name].capabilities) is None
    with pytest.raises(AssertionError):
        run_case(REGISTRY[found], target, variant=variant, plan=Plan(search_only=True))


def test_every_case_kills_a_mutant() -> None:
    killers = {_split(case_id)[0] for _, case_id in KILLS}
    assert killers <= REGISTRY.keys()
    assert REGISTRY.keys() - killers == ONLY_CORE.keys()


@pytest.mark.parametrize("adapter", [Stepwise, Minimal])
def test_what_mutants_are_made_of_passes(adapter: type[Stepwise]) -> None:
    target = MutantTarget(adapter)
    ran = 0
    for case_id, variant in RUNS:
        if obstacle(REGISTRY[case_id], target, adapter.capabilities) is None:
            run_case(REGISTRY[case_id], target, variant=variant)
            ran += 1
    assert ran > 50


def test_every_case_runs_on_some_backend() -> None:
    """A case in a dead branch stays green for ever."""
    targets = [(MutantTarget(adapter), adapter.capabilities) for adapter in (Stepwise, Minimal)]
    dead = [
        case_id
        for case_id, case in REGISTRY.items()
        if all(obstacle(case, target, capabilities) for target, capabilities in targets)
    ]
    assert dead == []


def test_no_module_of_mutants_is_forgotten() -> None:
    from pathlib import Path

    import daystore_compliance.mutants as package

    folder = Path(package.__file__).parent
    assert {path.stem for path in folder.glob("*.py")} == {*MODULES, "__init__", "base"}


def test_mutant_needs_a_name_a_line_and_a_case() -> None:
    class WithoutWords(Stepwise):
        __doc__ = None

    class Casefolded(Stepwise):
        """A name that is taken."""

    for kind in (WithoutWords, Casefolded):
        with pytest.raises(ValueError, match="needs a name"):
            mutant("key.case")(kind)
    with pytest.raises(ValueError, match="needs a name"):
        mutant()(Stepwise)
