"""The environment variables that decide which plugins are loaded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from daystore.errors import ConfigError
from daystore.plugins.records import Source

__all__ = ["ALLOW", "DENY", "STRICT", "Switches", "is_strict", "normalized"]

ALLOW = "DAYSTORE_PLUGINS"
DENY = "DAYSTORE_DISABLE_PLUGINS"
STRICT = "DAYSTORE_STRICT_PLUGINS"

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"", "0", "false", "no", "off"}


def normalized(name: str) -> str:
    """Return a distribution's or entry point's name so that its spellings compare equal."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def is_strict(environ: Mapping[str, str]) -> bool:
    """Tell whether a plugin that fails is fatal.

    Raises:
        ConfigError: If the variable is set to something that means neither yes nor no.
    """
    value = environ.get(STRICT, "").strip().lower()
    if value not in _TRUE | _FALSE:
        raise ConfigError(f"{STRICT} is 1 or 0 (also true, yes, on, false, no, off)")
    return value in _TRUE


@dataclass(frozen=True, slots=True)
class Switches:
    """Which plugins the environment allows, by name of their entry point or of their distribution.

    Attributes:
        allowed: Only these, if any is named.
        denied: Not these; ``*`` denies all. Denial wins.
    """

    allowed: Mapping[str, str]
    denied: Mapping[str, str]

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Switches:
        """Read the switches; a variable that is empty counts as unset."""
        return cls(_names(environ.get(ALLOW, "")), _names(environ.get(DENY, "")))

    def reason_against(self, source: Source) -> str | None:
        """Return why a plugin is not to be loaded, or ``None``."""
        names = {normalized(source.plugin), normalized(source.distribution)}
        if "*" in self.denied or not names.isdisjoint(self.denied):
            return f"switched off by {DENY}"
        if self.allowed and names.isdisjoint(self.allowed):
            return f"not among those that {ALLOW} names"
        return None

    def allowed_but_missing(self, installed: Iterable[Source]) -> list[str]:
        """Return the names on the allow-list that no installed plugin has, as they were written."""
        known = {normalized(name) for source in installed for name in (source.plugin, source.distribution)}
        return [written for name, written in self.allowed.items() if name not in known]


def _names(text: str) -> dict[str, str]:
    return {normalized(part): part.strip() for part in text.split(",") if part.strip()}
