"""What discovery finds: where a plugin came from, what it brought, and why one could not be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from daystore.hookspecs import Spec

__all__ = ["CORE", "Claim", "DisabledPlugin", "LoadedPlugin", "PluginFailure", "Source"]

CORE = "daystore"
"""The distribution whose own claims win: nobody else can take away what the core brings."""

S_co = TypeVar("S_co", bound=Spec, covariant=True)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a plugin comes from.

    Attributes:
        plugin: Name of its entry point.
        distribution: The distribution that declares it, as ``pip`` knows it.
        version: The distribution's version.
    """

    plugin: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


@dataclass(frozen=True, slots=True)
class PluginFailure:
    """A plugin, or a part of one, that cannot be used. Everything else goes on.

    Attributes:
        plugin: Name of its entry point.
        distribution: The distribution that declares it; empty if there is none.
        version: The distribution's version.
        reason: What is wrong and what to do.
    """

    plugin: str
    distribution: str
    version: str
    reason: str

    def __str__(self) -> str:
        owner = f" of {self.distribution} {self.version}" if self.distribution else ""
        return f"plugin {self.plugin!r}{owner}: {self.reason}"


@dataclass(frozen=True, slots=True)
class DisabledPlugin:
    """A plugin that is installed and that the environment switched off.

    Attributes:
        source: Where it comes from.
        reason: Which environment variable did it.
    """

    source: Source
    reason: str


@dataclass(frozen=True, slots=True)
class Claim(Generic[S_co]):
    """A spec, and the plugin that brought it."""

    spec: S_co
    source: Source


@dataclass(frozen=True, slots=True)
class LoadedPlugin:
    """A plugin whose hooks all answered.

    Attributes:
        source: Where it comes from.
        specs: What each hook returned, by the hook's name.
    """

    source: Source
    specs: Mapping[str, Sequence[Spec]] = field(default_factory=dict)
