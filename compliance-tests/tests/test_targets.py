"""Finding a target: by name, by URL, by place; and saying what there is when there is none."""

import asyncio
from pathlib import Path

import pytest

from daystore_compliance.clock import ManualClock
from daystore_compliance.target import (
    BUILTIN,
    HOOKS,
    MemoryTarget,
    SqlTarget,
    Target,
    UrlTarget,
    installed,
    resolve,
)


class Mine(MemoryTarget):
    name = "mine"


MADE = Mine()


def test_by_name() -> None:
    for name in BUILTIN:
        assert resolve(name).name == name
        assert resolve(name).hooks <= HOOKS


def test_by_url() -> None:
    target = resolve("memory://")
    assert isinstance(target, UrlTarget)
    assert target.name == "memory"


def test_by_place() -> None:
    assert resolve(f"{__name__}:MADE") is MADE
    assert type(resolve(f"{__name__}:Mine")) is Mine


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("memry", "no target is called 'memry': there are "),
        ("no.such.module:Thing", "No module named 'no'"),
        (f"{__name__}:Nothing", "no attribute 'Nothing'"),
        (f"{__name__}:HOOKS", "is a frozenset, not a daystore_compliance.Target"),
    ],
)
def test_what_is_none_says_what_there_is(text: str, message: str) -> None:
    with pytest.raises(LookupError, match=message):
        resolve(text)


def test_installed_ones_are_the_default() -> None:
    assert [target.name for target in installed()] == ["memory", "sql"]


def test_url_target_opens_what_the_plugin_makes() -> None:
    async def check() -> None:
        adapter = await resolve("memory://").open("place", ManualClock(77))
        assert (adapter.name, adapter.namespace, adapter.clock()) == ("memory", "place", 77)
        await adapter.close()

    asyncio.run(check())


def test_storage_of_sql_goes_with_the_target() -> None:
    target = SqlTarget()
    with target.running():
        folder = Path(target.url.removeprefix("sqlite:///")).parent
        assert folder.is_dir()
    assert not folder.exists()


def test_target_has_to_open() -> None:
    with pytest.raises(NotImplementedError, match="a target opens adapters"):
        asyncio.run(Target().open("n", ManualClock()))
