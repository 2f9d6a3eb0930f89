"""`import daystore`: few names, each of them there, none of them imported before it is used."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import daystore


def test_the_names_are_few_and_in_order() -> None:
    assert len(daystore.__all__) <= 40
    assert len(set(daystore.__all__)) == len(daystore.__all__)
    assert set(daystore.__all__) <= set(dir(daystore))


@pytest.mark.parametrize("name", daystore.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(daystore, name) is getattr(daystore, name)


def test_type_checkers_see_the_same_names_from_the_same_modules() -> None:
    tree = ast.parse(Path(str(daystore.__file__)).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == daystore._MODULE_OF
    assert set(seen) == set(daystore.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'daystore' has no attribute 'Strage'"):
        _ = daystore.Strage


def test_importing_it_imports_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import daystore\n"
        "heavy = {'pydantic', 'orjson', 'pluggy', 'asyncio', 'daystore.abc', 'daystore.errors'}\n"
        "print(sorted(heavy & (set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_plugin_s_module_needs_no_backend_and_no_pydantic() -> None:
    code = (
        "import sys; from daystore import AdapterSpec, hookimpl\n"
        "print(sorted({'pydantic', 'orjson', 'daystore.abc'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
