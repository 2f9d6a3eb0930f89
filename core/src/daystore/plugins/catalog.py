"""`Catalog`: everything of one kind that plugins bring, by name, imported when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Generic, TypeVar

from daystore.config.spelling import did_you_mean
from daystore.errors import ConfigError
from daystore.hookspecs import Spec
from daystore.plugins.claims import Settlement
from daystore.plugins.lazy import load_object
from daystore.plugins.records import Claim, LoadedPlugin

__all__ = ["Catalog", "claims_of"]

S = TypeVar("S", bound=Spec)
S_co = TypeVar("S_co", bound=Spec, covariant=True)


def claims_of(loaded: Iterable[LoadedPlugin], kind: type[S]) -> list[Claim[S]]:
    """Return the specs of one kind that plugins bring, each with the plugin it comes from."""
    return [
        Claim(spec, plugin.source)
        for plugin in loaded
        for specs in plugin.specs.values()
        for spec in specs
        if isinstance(spec, kind)
    ]


class Catalog(Generic[S_co]):
    """All specs of one kind by name.

    Args:
        what: The kind, for messages: ``"serializer"``.
        settlement: Who may have which name.

    Attributes:
        claims: Each spec with the plugin that it comes from, by name.
        specs: The specs alone, by name, in the order of the names.
        contested: The message about each name that several plugins claim and none gets.
    """

    def __init__(self, what: str, settlement: Settlement[S_co]) -> None:
        self.what = what
        self.claims: Mapping[str, Claim[S_co]] = MappingProxyType(dict(sorted(settlement.owners.items())))
        self.specs: Mapping[str, S_co] = MappingProxyType({name: c.spec for name, c in self.claims.items()})
        self.contested: Mapping[str, str] = MappingProxyType(settlement.contested)
        self._objects: dict[str, object] = {}
        self._instances: dict[str, object] = {}

    def find(self, name: str, *, in_record: bool = False) -> Claim[S_co]:
        """Return what a name stands for.

        Args:
            name: What to look up.
            in_record: The name was read from a record, so it is not misspelt and the nearest one is no help.

        Raises:
            ConfigError: If nothing has that name, or several plugins claim it.
        """
        if claim := self.claims.get(name):
            return claim
        if message := self.contested.get(name):
            raise ConfigError(message)
        known = did_you_mean("" if in_record else name, self.specs, otherwise="installed")
        raise ConfigError(f"no plugin brings the {self.what} {name!r}{known}")

    def load(self, name: str, target: Callable[[S_co], str]) -> object:
        """Import what the text in a spec names, once.

        Raises:
            ConfigError: If nothing has that name, or it cannot be imported.
        """
        claim = self.find(name)
        path = target(claim.spec)
        if path not in self._objects:
            self._objects[path] = load_object(path, f"{self.what} {name!r}", claim.source)
        return self._objects[path]

    def instance(self, name: str, target: Callable[[S_co], str]) -> object:
        """Import a factory and call it without arguments, once.

        Raises:
            ConfigError: If nothing has that name, or it cannot be imported or called.
        """
        if name not in self._instances:
            factory = self.load(name, target)
            source = self.find(name).source
            if not callable(factory):
                raise ConfigError(f"the factory of the {self.what} {name!r} of {source} cannot be called")
            self._instances[name] = factory()
        return self._instances[name]
