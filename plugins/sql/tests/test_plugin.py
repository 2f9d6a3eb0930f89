"""What the distribution brings, and what it does not load for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from daystore.hookspecs import AdapterSpec
from daystore_sql import plugin
from daystore_sql.adapter import CAPABILITIES, SQLAdapter
from daystore_sql.config import SQLConfig


def run(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_the_spec_names_what_is_there() -> None:
    (spec,) = plugin.daystore_adapters()
    assert isinstance(spec, AdapterSpec)
    assert (spec.name, spec.schemes) == (
        SQLAdapter.name,
        ("sqlite", "postgresql", "postgres", "mysql", "mariadb"),
    )
    assert spec.factory == f"{SQLAdapter.__module__}:{SQLAdapter.__qualname__}"
    assert spec.config == f"{SQLConfig.__module__}:{SQLConfig.__qualname__}"
    assert spec.capabilities == CAPABILITIES.names()


def test_listing_and_checking_load_no_driver() -> None:
    code = (
        "import sys, daystore_sql.plugin, daystore_sql.config\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'sqlalchemy', 'alembic', 'sqlite3'}))"
    )
    assert run(code) == "[]\n"


def test_a_new_database_is_made_without_alembic(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys\n"
        "from daystore_sql.adapter import SQLAdapter\n"
        "asyncio.run(SQLAdapter.from_url('sqlite:///' + sys.argv[1]).open())\n"
        "print('alembic' in sys.modules)"
    )
    assert run(code, str(tmp_path / "test.db")) == "False\n"
    assert run(code, str(tmp_path / "test.db")) == "False\n"
