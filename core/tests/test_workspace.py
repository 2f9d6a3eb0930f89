"""What every distribution of the workspace promises as a package, checked on what is installed."""

import tomllib
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DISTRIBUTIONS = {
    "daystore": ROOT / "core",
    "daystore-mongo": ROOT / "plugins" / "mongo",
    "daystore-redis": ROOT / "plugins" / "redis",
    "daystore-s3": ROOT / "plugins" / "s3",
    "daystore-sql": ROOT / "plugins" / "sql",
    "daystore-compliance": ROOT / "compliance-tests",
}
DRIVERS = {"aiosqlite", "alembic", "asyncmy", "asyncpg", "boto3", "psycopg", "pymongo", "redis", "sqlalchemy"}


def project(name: str) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((DISTRIBUTIONS[name] / "pyproject.toml").read_text())["project"]
    return table


def core_range(version: str) -> str:
    """The range of core versions that a plugin declares when it is released together with this one."""
    major, minor, _ = version.split(".")
    return f"daystore<{major}.{int(minor) + 1},>={major}.{minor}"


def test_every_directory_of_a_distribution_is_listed_here() -> None:
    declared = {path.parent for path in ROOT.glob("*/pyproject.toml")}
    declared |= {path.parent for path in ROOT.glob("plugins/*/pyproject.toml")}
    assert declared == set(DISTRIBUTIONS.values())


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_installed_version_is_the_declared_one(name: str) -> None:
    assert metadata.version(name) == project(name)["version"]


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_package_is_marked_as_typed(name: str) -> None:
    assert resources.files(name.replace("-", "_")).joinpath("py.typed").is_file()


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_licence_is_shipped_and_the_same_everywhere(name: str) -> None:
    assert metadata.distribution(name).read_text("licenses/LICENSE") == (ROOT / "LICENSE").read_text()


def test_core_requires_no_driver_and_no_plugin() -> None:
    required = [line for line in metadata.requires("daystore") or [] if "extra ==" not in line]
    assert not [line for line in required if line.startswith(("daystore", *DRIVERS))]
    assert {line.partition(">")[0] for line in required} == {"orjson", "pluggy", "pydantic"}


@pytest.mark.parametrize("name", [name for name in DISTRIBUTIONS if name != "daystore"])
def test_declared_core_range_holds_the_core_of_this_checkout(name: str) -> None:
    assert core_range(metadata.version("daystore")) in (metadata.requires(name) or [])


def test_lock_holds_no_address() -> None:
    lock = (ROOT / "requirements.txt").read_text()
    assert "--hash=sha256:" in lock
    assert not [line for line in lock.splitlines() if "://" in line or line.startswith("-")]
