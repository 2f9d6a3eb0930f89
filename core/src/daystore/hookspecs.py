"""What a plugin tells daystore: six hooks, each returning frozen descriptions of what the plugin brings.

A distribution names one small module under the entry-point group ``daystore``. That module imports nothing
but daystore, and its hooks name every class as text (``"package.module:attribute"``), so that listing plugins
imports no driver::

    from daystore import AdapterSpec, hookimpl

    @hookimpl
    def daystore_adapters() -> list[AdapterSpec]:
        return [AdapterSpec(name="ram", schemes=("ram",), factory="daystore_ram.adapter:RamAdapter")]

The module may state ``DAYSTORE_PLUGIN_API = 1``: the `PLUGIN_API` that it was written for. A plugin for
another one is not loaded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pluggy import HookimplMarker, HookspecMarker

__all__ = [
    "PLUGIN_API",
    "PROJECT",
    "AdapterSpec",
    "CodecSpec",
    "CommandSpec",
    "HealthCheckSpec",
    "MiddlewareSpec",
    "SerializerSpec",
    "Spec",
    "daystore_adapters",
    "daystore_codecs",
    "daystore_commands",
    "daystore_health_checks",
    "daystore_middleware",
    "daystore_serializers",
    "hookimpl",
]

PROJECT: Final = "daystore"
"""Name of the entry-point group and of the pluggy project."""

PLUGIN_API: Final = 1
"""Raised whenever a hook or a spec changes so that plugins have to change with it."""

hookimpl: Final = HookimplMarker(PROJECT)
"""Marks a function of a plugin as the implementation of the hook of its name."""

_hookspec: Final = HookspecMarker(PROJECT)

_NAME = re.compile(r"[a-z][a-z0-9_-]*\Z")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*\Z")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*\Z")


def _check_text(owner: object, attribute: str, pattern: re.Pattern[str], example: str) -> None:
    value = getattr(owner, attribute)
    if not isinstance(value, str) or not pattern.match(value):
        raise ValueError(f"{type(owner).__name__}.{attribute} has to look like {example!r}, not {value!r}")


def _check_texts(owner: object, attribute: str) -> None:
    value = getattr(owner, attribute)
    if not isinstance(value, tuple) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{type(owner).__name__}.{attribute} has to be a tuple of str, not {value!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterSpec:
    """A backend.

    Attributes:
        name: By which configuration chooses it, such as ``"redis"``.
        schemes: URL schemes that it answers to, in lower case, the usual one first.
        factory: ``"module:class"``, a class with ``from_url``; imported when a backend is first opened.
        config: ``"module:model"``, a pydantic model of the adapter's own options, beside ``namespace`` and
            ``timeout``, which every adapter's ``from_url`` takes; ``None`` if there are no others. An option
            that a URL can bring in the driver's own form needs a default. The module is imported to check a
            configuration, so it must not import the driver.
        summary: One line for people.
        capabilities: Names of the flags of `daystore.abc.Capabilities` that the adapter declares.

    Raises:
        ValueError: If an attribute does not have its form.
    """

    name: str
    schemes: tuple[str, ...] = ()
    factory: str
    config: str | None = None
    summary: str = ""
    capabilities: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_text(self, "name", _NAME, "redis")
        _check_text(self, "factory", _TARGET, "package.module:Class")
        _check_texts(self, "schemes")
        _check_texts(self, "capabilities")
        for scheme in self.schemes:
            if not _SCHEME.match(scheme):
                raise ValueError(f"a URL scheme has to look like 'redis' or 'a+b', not {scheme!r}")
        if self.config is not None:
            _check_text(self, "config", _TARGET, "package.module:Model")


@dataclass(frozen=True, slots=True, kw_only=True)
class SerializerSpec:
    """A serializer.

    Attributes:
        name: By which configuration chooses it, such as ``"json"``.
        content_type: Written into each record; reading goes by it.
        factory: ``"module:attribute"``, called without arguments for a `daystore.abc.Serializer`.
        summary: One line for people.

    Raises:
        ValueError: If an attribute does not have its form.
    """

    name: str
    content_type: str
    factory: str
    summary: str = ""

    def __post_init__(self) -> None:
        _check_text(self, "name", _NAME, "json")
        _check_text(self, "content_type", re.compile(r"[\w.+-]+/[\w.+;= -]+\Z"), "application/json")
        _check_text(self, "factory", _TARGET, "package.module:Class")


@dataclass(frozen=True, slots=True, kw_only=True)
class MiddlewareSpec:
    """A middleware.

    Attributes:
        name: By which configuration chooses it, such as ``"audit"``.
        factory: ``"module:class"``, a class whose arguments are the options of its configuration model.
        config: ``"module:model"``, a pydantic model of its options; ``None`` if it has none.
        summary: One line for people.

    Raises:
        ValueError: If an attribute does not have its form.
    """

    name: str
    factory: str
    config: str | None = None
    summary: str = ""

    def __post_init__(self) -> None:
        _check_text(self, "name", _NAME, "audit")
        _check_text(self, "factory", _TARGET, "package.module:Class")
        if self.config is not None:
            _check_text(self, "config", _TARGET, "package.module:Model")


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecSpec:
    """A decoder of one of the encodings that a record can name.

    Attributes:
        name: As it stands in ``Record.encodings``, such as ``"zstd"``.
        factory: ``"module:attribute"``, called without arguments for a `daystore.abc.Codec`.

    Raises:
        ValueError: If an attribute does not have its form.
    """

    name: str
    factory: str

    def __post_init__(self) -> None:
        _check_text(self, "name", _NAME, "zstd")
        _check_text(self, "factory", _TARGET, "package.module:Class")


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheckSpec:
    """A check that ``daystore doctor`` runs beside those of the configured backends.

    Attributes:
        name: Under which its result is shown.
        check: ``"module:function"``, async, without arguments, returns a `daystore.abc.Health`.

    Raises:
        ValueError: If an attribute does not have its form.
    """

    name: str
    check: str

    def __post_init__(self) -> None:
        _check_text(self, "name", _NAME, "license-server")
        _check_text(self, "check", _TARGET, "package.module:function")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSpec:
    """A sub-command of ``daystore``, imported when it is called.

    Attributes:
        name: What the user types after ``daystore``.
        app: ``"module:attribute"``, a function (plain or async) or a ``cyclopts.App`` of the same name.
        summary: One line for ``daystore --help``, which imports no command.

    Raises:
        ValueError: If an attribute does not have its form.
    """

    name: str
    app: str
    summary: str = ""

    def __post_init__(self) -> None:
        _check_text(self, "name", _NAME, "import")
        _check_text(self, "app", _TARGET, "package.module:function")


Spec = AdapterSpec | SerializerSpec | MiddlewareSpec | CodecSpec | HealthCheckSpec | CommandSpec


@_hookspec
def daystore_adapters() -> Sequence[AdapterSpec]:  # type: ignore[empty-body]
    """Return the backends that the plugin brings."""


@_hookspec
def daystore_serializers() -> Sequence[SerializerSpec]:  # type: ignore[empty-body]
    """Return the serializers that the plugin brings."""


@_hookspec
def daystore_middleware() -> Sequence[MiddlewareSpec]:  # type: ignore[empty-body]
    """Return the middleware that the plugin brings."""


@_hookspec
def daystore_codecs() -> Sequence[CodecSpec]:  # type: ignore[empty-body]
    """Return the decoders that the plugin brings."""


@_hookspec
def daystore_health_checks() -> Sequence[HealthCheckSpec]:  # type: ignore[empty-body]
    """Return the health checks that the plugin brings."""


@_hookspec
def daystore_commands() -> Sequence[CommandSpec]:  # type: ignore[empty-body]
    """Return the sub-commands of ``daystore`` that the plugin brings."""
