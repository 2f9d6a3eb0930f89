"""The pages name everything that the code has: every error, hook, capability, operator, setting."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from dataclasses import MISSING, fields
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from daystore import errors, hookspecs
from daystore.abc import (
    EVENTUAL,
    Capabilities,
    Function,
    Limits,
    Middleware,
    MiddlewareContext,
    Op,
    Record,
    names,
)
from daystore.config.environment import PREFIX
from daystore.config.models import BackendConfig, MiddlewareConfig, StorageConfig, StoreConfig
from daystore.errors import DaystoreError
from daystore.plugins.entries import HOOKS
from daystore.plugins.environment import ALLOW, DENY, STRICT
from daystore_compliance.target import HOOKS as HOOKS_OF_TARGETS
from daystore_compliance.target import Target
from daystore_sql.config import SQLConfig
from daystore_sql.schema import METADATA

DOCS = Path(__file__).parents[3] / "docs"


def rows(page: str) -> dict[str, list[str]]:
    """The rows of a page's tables, by every name that stands as code in the first cell."""
    found: dict[str, list[str]] = {}
    for line in re.findall(r"^\|(.+)\|$", (DOCS / page).read_text(encoding="utf-8"), flags=re.MULTILINE):
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)]
        found |= dict.fromkeys(re.findall(r"`([^`]+)`", cells[0]), cells[1:])
    return found


def tree(kind: type[DaystoreError], indent: str = "") -> str:
    """Draw the errors below a class, in the order in which they are defined."""
    below = [error for error in kind.__subclasses__() if error.__module__ == errors.__name__]
    below.sort(key=list(vars(errors).values()).index)
    lines = ""
    for error in below:
        last = error is below[-1]
        builtins = [base.__name__ for base in error.__bases__ if not issubclass(base, DaystoreError)]
        suffix = f" ({', '.join(builtins)})" if builtins else ""
        lines += f"{indent}{'└── ' if last else '├── '}{error.__name__}{suffix}\n"
        lines += tree(error, indent + ("    " if last else "│   "))
    return lines


def test_errors_are_drawn_as_they_are() -> None:
    assert f"DaystoreError\n{tree(DaystoreError)}" in (DOCS / "errors.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [name for name in errors.__all__ if name != "DaystoreError"])
def test_error_is_explained(name: str) -> None:
    kind = getattr(errors, name)
    retryable, meaning, *_ = rows("errors.md")[name]
    assert meaning
    assert retryable == ("yes" if kind.retryable else "no")


def test_capabilities_and_limits_are_explained() -> None:
    explained = rows("contract.md")
    assert {field.name for field in fields(Capabilities)} <= set(explained)
    for limit in fields(Limits):
        default = "none" if limit.default is None else str(limit.default)
        assert explained[limit.name][-1] == default, limit.name
        assert limit.default is not MISSING


def test_limits_of_names_are_explained() -> None:
    text = (DOCS / "contract.md").read_text(encoding="utf-8")
    for what, limit in {
        "key": names.MAX_KEY_BYTES,
        "namespace": names.MAX_NAMESPACE_BYTES,
        "field name": names.MAX_FIELD_NAME_BYTES,
    }.items():
        assert f"| {what} | Any string of 1 to {limit} bytes" in text


def test_attributes_of_a_record_are_explained() -> None:
    assert {field.name for field in fields(Record)} <= set(rows("contract.md"))


def test_hooks_are_explained_with_the_spec_that_they_return() -> None:
    explained = rows("plugins.md")
    for hook, spec in HOOKS.items():
        assert explained[hook][0] == f"`{spec.__name__}`"
        assert {field.name for field in fields(spec)} <= set(explained), spec.__name__
    assert {name for name in hookspecs.__all__ if name.startswith("daystore_")} == set(HOOKS)


def test_methods_of_middleware_are_explained() -> None:
    methods = {name for name in vars(Middleware) if not name.startswith("_")}
    assert methods <= {name.partition("(")[0] for name in rows("plugins.md")}
    attributes = {f"`{field.name}`" for field in fields(MiddlewareContext)}
    assert attributes <= set(re.findall(r"`\w+`", (DOCS / "plugins.md").read_text(encoding="utf-8")))


def test_targets_of_the_suite_are_explained() -> None:
    members = {name for name in vars(Target) if not name.startswith("_")} - {"running"}
    explained = {name.partition("(")[0]: cells for name, cells in rows("certifying.md").items()}
    assert members <= set(explained)
    assert set(HOOKS_OF_TARGETS) <= set(re.findall(r"`(\w+)`", explained["hooks"][0]))


def test_switches_of_plugins_are_explained() -> None:
    assert {ALLOW, DENY, STRICT} <= set(rows("plugins.md")) & set(rows("configuration.md"))


def test_layers_of_the_core_are_listed() -> None:
    lint = tomllib.loads((DOCS.parent / "pyproject.toml").read_text())["tool"]["importlinter"]
    checked = next(contract["layers"] for contract in lint["contracts"] if contract["id"] == "core-layers")
    listed = re.findall(r"^\d\. (`.*)$", (DOCS / "architecture.md").read_text(), flags=re.MULTILINE)
    assert [set(re.findall(r"\w+", line)) for line in listed] == [
        set(re.findall(r"\w+", layer)) for layer in checked
    ]


def test_rooms_of_the_core_are_drawn() -> None:
    drawn = re.findall(
        r"^    (\S+)  ", (DOCS / "architecture.md").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    package = Path(hookspecs.__file__).parent
    modules = {f"{path.name}/" for path in package.iterdir() if (path / "__init__.py").exists()}
    modules |= {path.name for path in package.glob("*.py")} - {"__init__.py"}
    assert modules == {f"{name.partition('/')[0]}/" if "/" in name else name for name in drawn}


@pytest.mark.parametrize("page", ["contract.md", "queries.md"])
def test_operators_and_functions_are_explained(page: str) -> None:
    assert {op.value for op in Op} | {"!=", "not in"} <= set(rows(page))
    assert {function.value for function in Function} <= {
        name.partition("(")[0].lower() for name in rows(page)
    }


@pytest.mark.parametrize("option", SQLConfig.model_fields)
def test_option_of_sql_is_explained_with_its_default(option: str) -> None:
    assert rows("sql.md")[option][-1] == f"`{SQLConfig.model_fields[option].default}`"


def test_tables_of_sql_are_explained() -> None:
    assert set(METADATA.tables) <= set(rows("sql.md"))


def test_keys_of_a_configuration_are_explained_with_their_defaults() -> None:
    explained = rows("configuration.md")
    assert set(StorageConfig.model_fields) <= set(explained)
    models: dict[str, type[BaseModel]] = {"backends": BackendConfig, "stores": StoreConfig}
    for table, model in models.items():
        for name, field in model.model_fields.items():
            default = explained[f"{table}.NAME.{name}"][-1]
            if not field.is_required() and field.default not in (None, PydanticUndefined, EVENTUAL):
                shown = field.default if field.default != () else []
                assert default == f"`{json.dumps(shown).removesuffix('.0')}`", name
    assert {"name", "options"} == set(MiddlewareConfig.model_fields)


def test_environment_variables_are_explained() -> None:
    explained = set(rows("configuration.md"))
    for path in Path(hookspecs.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = str(node.value) if isinstance(node, ast.Constant) else ""
            if re.fullmatch(r"DAYSTORE(_[A-Z]+)+", text) and text != "DAYSTORE_PLUGIN_API":
                assert text in explained, path.name
    for table in ("BACKENDS", "STORES"):
        assert f"{PREFIX}{table}__NAME__KEY" in explained
    assert f"{PREFIX}DEFAULT" in explained


@pytest.mark.parametrize("command", ["demo", "import"])
def test_options_of_a_command_are_explained(command: str) -> None:
    text = subprocess.run(
        [sys.executable, "-m", "daystore.cli", command, "--help"], capture_output=True, text=True, check=True
    ).stdout
    options = set(re.findall(r"(?<= )--(?!no-|help|debug)[a-z-]+", text))
    assert options <= set(rows("importing.md"))


def test_parts_of_the_benchmarks_are_explained() -> None:
    text = (DOCS.parent / "benchmarks" / "__main__.py").read_text(encoding="utf-8")
    parts = re.search(r"^PARTS = (\([^)]*\))$", text, flags=re.MULTILINE)
    assert parts
    assert set(ast.literal_eval(parts[1])) <= set(rows("benchmarks.md"))
