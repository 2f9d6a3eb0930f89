"""Importing what a plugin named as text, with an error that says what to install."""

from __future__ import annotations

import importlib
from importlib import metadata

from daystore.errors import ConfigError
from daystore.plugins.entries import describe
from daystore.plugins.environment import normalized
from daystore.plugins.records import Source

__all__ = ["load_object", "missing_dependency"]

# Where a module is called otherwise than the distribution that brings it.
_DISTRIBUTION_OF = {"bson": "pymongo", "google": "protobuf", "yaml": "pyyaml"}


def load_object(target: str, what: str, source: Source) -> object:
    """Import ``"module:attribute"``.

    Args:
        target: What the plugin's spec says.
        what: What it is, for messages: ``"adapter 'redis'"``.
        source: The plugin it belongs to.

    Raises:
        ConfigError: If it cannot be imported; for a missing module the message says what to install.
    """
    module_name, _, attribute = target.partition(":")
    try:
        found: object = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and not f"{module_name}.".startswith(f"{error.name}."):
            raise missing_dependency(error, what, source) from error
        raise ConfigError(
            f"the {what} of {source} cannot be imported from {target!r}: {describe(error)}; "
            f'try: pip install --upgrade "{source.distribution}"'
        ) from error
    except Exception as error:
        raise ConfigError(
            f"the {what} of {source} cannot be imported from {target!r}: {describe(error)}"
        ) from error
    return found


def missing_dependency(error: ModuleNotFoundError, what: str, source: Source) -> ConfigError:
    """Return the error for a module that is not installed, naming the extra or distribution that brings it.

    Args:
        error: What the import raised.
        what: What needs the module, for messages.
        source: The plugin it belongs to. Its declared requirements say what brings the module.
    """
    module = (error.name or "").partition(".")[0]
    if not module:
        return ConfigError(f"the {what} of {source} cannot be imported: {describe(error)}")
    wanted = normalized(_DISTRIBUTION_OF.get(module, module))
    return ConfigError(
        f"the {what} of {source} needs the module {module!r}, which is not installed: "
        f'pip install "{_requirement(wanted, source.distribution)}"'
    )


def _requirement(wanted: str, distribution: str) -> str:
    """Return what to hand to pip: the distribution's extra, the distribution itself, or the wanted one."""
    try:
        requirements = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        requirements = []
    extras = []
    for requirement in requirements:
        name, _, marker = requirement.partition(";")
        if normalized(_name_of(name)) != wanted:
            continue
        _, found, extra = marker.partition("extra ==")
        if not found:
            return distribution
        extras.append(extra.strip(" '\"()"))
    return f"{distribution}[{extras[0]}]" if extras else wanted


def _name_of(requirement: str) -> str:
    """Return the name at the head of a requirement such as ``redis[hiredis]>=8``."""
    for index, character in enumerate(requirement):
        if not (character.isalnum() or character in "-_."):
            return requirement[:index]
    return requirement
