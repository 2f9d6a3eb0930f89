"""Secrets: what opens a backend is told to the backend and to nobody else."""

from __future__ import annotations

import logging
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from daystore import Storage
from daystore.abc import StorageAdapter
from daystore.errors import DaystoreError, UnknownAdapter
from daystore.plugins import default_plugins
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env

SECRET: Final = "s3cret-Pa55w0rd"  # noqa: S105 -- it is one that opens nothing
URLS: Final = (
    "{scheme}://user:{secret}@127.0.0.1:1/db",
    "{scheme}://127.0.0.1:1/db?password={secret}&token={secret}",
    "{scheme}:///db?user=me&password={secret}",
    "{scheme}://{secret}@127.0.0.1:port/",
    "{scheme}://user:{secret}@[bad:1/x",
    "{scheme}://user:{secret}@/db?daystore_password={secret}",
    "{scheme}://user:{secret}@127.0.0.1:1/db?daystore_timeout={secret}x",
)


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Collect everything that is logged or warned of."""
    heard: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(f"{record.getMessage()} {record.args!r} {record.exc_info!r}")

    root, listener = logging.getLogger(), Listener(logging.DEBUG)
    level = root.level
    root.addHandler(listener)
    root.setLevel(logging.DEBUG)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            yield heard
        heard += [str(one.message) for one in warned]
    finally:
        root.removeHandler(listener)
        root.setLevel(level)


def _said(error: BaseException) -> str:
    """Return everything that an error says, and that its causes say."""
    attributes = [repr(getattr(error, name, None)) for name in ("args", "message", "__notes__")]
    return "".join([*traceback.format_exception(error), str(error), repr(error), *attributes])


async def _try(make: Callable[[], StorageAdapter | Storage]) -> list[str]:
    """Make something of a URL, open it and work with it; return all that is said meanwhile."""
    said: list[str] = []
    with _listening() as heard:
        try:
            made = make()
            said += [repr(made), str(made)]
            async with made:
                said += [repr(made), repr(await made.health())]
        except DaystoreError as error:
            said.append(_said(error))
        except Exception as error:
            raise AssertionError(
                f"a URL raised {type(error).__name__}, which is no error of daystore"
            ) from error
    return [*said, *heard]


@case("err.auth_and_url")
async def auth_and_url(env: Env) -> None:
    """A password in a URL stands in no message, repr, log record, warning or traceback, whatever goes wrong."""
    kind, plugins = type(env.adapter), default_plugins()
    spec = plugins.adapters.get(env.adapter.name)
    schemes = spec.schemes if spec is not None else (env.adapter.name,)
    said: list[str] = []
    for scheme in schemes:
        for pattern in URLS:
            url = pattern.format(scheme=scheme, secret=SECRET)
            said += await _try(partial(kind.from_url, url, timeout=2.0))
            if spec is not None:
                said += await _try(partial(Storage.open, url, timeout=2.0))
    with raises(UnknownAdapter, hides=[SECRET]) as unknown:
        Storage.open(f"nosuch://user:{SECRET}@127.0.0.1/db?password={SECRET}")
    said.append(_said(unknown.error))
    assert len(said) > len(URLS), "nothing was said that could be looked at"
    for text in said:
        assert SECRET not in text, "a password can be read"
