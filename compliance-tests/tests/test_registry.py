"""The registry: ids that are unique and say where they belong, promises in one line, nothing left out."""

import ast
import re
from pathlib import Path

import pytest

from daystore_compliance import suite
from daystore_compliance.case import REGISTRY, Level, case, obstacle
from daystore_compliance.env import Env
from daystore_compliance.mutants import MutantTarget
from daystore_compliance.mutants.capabilities import Minimal
from daystore_compliance.target import MemoryTarget, SqlMemoryTarget

CASES = suite.load()
FOLDER = Path(suite.__file__).parent
AREAS = {
    "agg", "batch", "cancel", "cap", "cas", "coal", "con", "conn", "ctx", "del", "err", "evt", "intent", "key",
    "life", "mem", "miss", "mw", "ns", "opt", "page", "q", "rec", "rt", "sec", "ser", "sig", "stateful",
    "ttl", "txn",
}  # fmt: skip


def test_every_module_is_loaded() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == {*suite.MODULES, "__init__"}


def test_every_decorated_function_is_registered() -> None:
    """Counted in the source, so that nothing between it and the registry can lose a case."""
    nodes = [node for path in FOLDER.glob("*.py") for node in ast.walk(ast.parse(path.read_text()))]
    functions = [node for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    calls = [call for function in functions for call in function.decorator_list if isinstance(call, ast.Call)]
    ids = [ast.literal_eval(call.args[0]) for call in calls if getattr(call.func, "id", "") == "case"]
    assert sorted(ids) == sorted(CASES)
    assert len(ids) > 250


@pytest.mark.parametrize("case_id", CASES)
def test_case_is_documented(case_id: str) -> None:
    found = CASES[case_id]
    assert found.id == case_id
    assert found.area in AREAS
    assert re.fullmatch(r"[^\n]{20,105}\.", found.promise)
    assert found.since == "1.0"
    assert not found.requires & found.undeclared
    assert all(re.fullmatch(r"[\w <>=!-]+", variant) for variant in found.variants)


def test_functions_have_names_of_their_own() -> None:
    """pytest tells cases of a module apart by the name of their function."""
    names = [(found.body.__module__, found.body.__name__) for found in CASES.values()]
    assert len(set(names)) == len(names)


def test_id_is_taken_once() -> None:
    async def body(env: Env) -> None:
        """A promise that is made twice."""

    with pytest.raises(ValueError, match="never used twice"):
        case("cas.aba")(body)


@pytest.mark.parametrize("case_id", ["nodot", "Upper.case", "a.", ".b", "a.b c", "a.b\n"])
def test_id_reads_area_and_what(case_id: str) -> None:
    async def body(env: Env) -> None:
        """A promise under a bad name."""

    with pytest.raises(ValueError, match=r"reads area\.what"):
        case(case_id)(body)
    assert case_id not in REGISTRY


def test_case_needs_a_promise_in_one_line() -> None:
    async def silent(env: Env) -> None: ...

    async def long(env: Env) -> None:
        """Two.

        Lines.
        """

    for body in (silent, long):
        with pytest.raises(ValueError, match="in one line"):
            case("test.promise")(body)


def test_unknown_capability_and_hook_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown capability 'tll': there are aggregate"):

        @case("test.capability", requires={"tll"})
        async def capability(env: Env) -> None:
            """A promise that needs what nobody has."""

    with pytest.raises(ValueError, match="unknown hook 'third'"):

        @case("test.hook", needs={"third"})
        async def hook(env: Env) -> None:
            """A promise that needs what nobody has."""

    assert not {"test.capability", "test.hook"} & REGISTRY.keys()


def test_obstacles() -> None:
    memory, minimal = MemoryTarget(), MutantTarget(Minimal)
    everything, nothing = MemoryTarget.adapter.capabilities, Minimal.capabilities
    assert obstacle(CASES["ttl.boundary"], memory, everything) is None
    assert obstacle(CASES["ttl.boundary"], minimal, nothing) == "undeclared: ttl"
    assert obstacle(CASES["cap.ttl.refused"], memory, everything) == "declared: ttl"
    assert obstacle(CASES["cap.ttl.refused"], minimal, nothing) is None
    one_only = SqlMemoryTarget()
    assert obstacle(CASES["life.second_instance"], one_only, everything) == "not testable: second"
    assert CASES["page.no_empty_tail"].level is Level.SHOULD
