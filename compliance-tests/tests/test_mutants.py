"""Mutants as data: each is named, says what it breaks, and names cases that exist; every case has one.

That each is found out by the cases named for it is the business of ``daystore selftest``.
"""

from typing import Any

import pytest

from daystore_compliance.case import REGISTRY, obstacle
from daystore_compliance.mutants import MODULES, MUTANTS, load, mutant
from daystore_compliance.mutants.base import Stepwise
from daystore_compliance.selftest import trial
from daystore_compliance.selftest.matrix import lost_kills, matrix_text, read_matrix
from daystore_compliance.selftest.report import quick_pairs
from daystore_compliance.selftest.seeds import ORIGINALS
from daystore_compliance.selftest.trial import declared, named, try_mutant
from daystore_compliance.suite import load as load_cases

load_cases()
load()


def test_every_case_finds_out_a_mutant() -> None:
    killers = {case_id for found in MUTANTS.values() for case_id, _ in named(found)}
    assert killers == REGISTRY.keys()
    assert {case_id for _, case_id in quick_pairs()} == REGISTRY.keys()


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_names_cases_that_apply_to_it(name: str) -> None:
    found = MUTANTS[name]
    target = found.target()
    for case_id, variant in named(found):
        assert obstacle(REGISTRY[case_id], target, found.capabilities) is None
        assert variant is None or variant in REGISTRY[case_id].variants


def test_every_case_runs_on_some_original() -> None:
    """A case in a dead branch stays green for ever."""
    targets: list[Any] = [make() for make in ORIGINALS.values()]
    # The mutants of files, of crashes and of layouts are targets themselves.
    targets += [found.target() for found in MUTANTS.values()]
    dead = {
        case_id
        for case_id, case in REGISTRY.items()
        if all(obstacle(case, target, declared(target)) for target in targets)
    }
    assert dead == set()


def test_every_module_of_mutants_is_loaded() -> None:
    assert {found.part.__module__.rpartition(".")[2] for found in MUTANTS.values()} <= set(MODULES)


def test_mutant_needs_a_name_a_line_and_a_case() -> None:
    class WithoutWords(Stepwise):
        __doc__ = None

    class Casefolded(Stepwise):
        """A name that is taken."""

    for kind, told in ((WithoutWords, "a line of what"), (Casefolded, "a name of its own")):
        with pytest.raises(ValueError, match=told):
            mutant("key.case")(kind)
    with pytest.raises(ValueError, match="and cases"):
        mutant()(Stepwise)


def test_trial_tells_a_kill_from_everything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    assert try_mutant("ReadsThenWrites", only="cas.one_winner").killers == ["cas.one_winner"]

    def outcome(*arguments: Any) -> str:
        return "ZeroDivisionError"

    monkeypatch.setattr(trial, "_outcome", outcome)
    crashed = try_mutant("ReadsThenWrites", only="cas.one_winner")
    assert crashed.killers == []
    assert "ZeroDivisionError" in crashed.problems[0]


def test_committed_matrix_has_a_row_for_every_mutant_and_no_empty_one() -> None:
    matrix = read_matrix()
    assert matrix.keys() == MUTANTS.keys()
    for name, found in MUTANTS.items():
        assert set(found.killed_by) <= set(matrix[name])


def test_row_that_shrinks_is_told() -> None:
    old = {"A": ["x", "y"], "B": ["x"], "C": ["z"]}
    new = {"A": ["x"], "B": ["x", "y"]}
    assert lost_kills(old, new) == ["A: no longer found out by y", "C: the mutant is gone"]
    assert matrix_text({"B": ["y", "x"], "A": []}) == '{\n "A": [],\n "B": ["x", "y"]\n}\n'
