"""Finding the entry points of installed distributions, and loading one of them without trusting it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from types import MappingProxyType
from typing import Final

from pluggy import PluginManager

from daystore import hookspecs
from daystore.config.secrets import mask_text
from daystore.config.spelling import did_you_mean
from daystore.hookspecs import (
    PLUGIN_API,
    PROJECT,
    AdapterSpec,
    CodecSpec,
    CommandSpec,
    HealthCheckSpec,
    MiddlewareSpec,
    SerializerSpec,
    Spec,
)
from daystore.plugins.environment import normalized
from daystore.plugins.records import CORE, LoadedPlugin, PluginFailure, Source

__all__ = ["HOOKS", "Entry", "PluginError", "describe", "find_entries", "load_entry", "load_module"]

HOOKS: Final = MappingProxyType(
    {
        "daystore_adapters": AdapterSpec,
        "daystore_serializers": SerializerSpec,
        "daystore_middleware": MiddlewareSpec,
        "daystore_codecs": CodecSpec,
        "daystore_health_checks": HealthCheckSpec,
        "daystore_commands": CommandSpec,
    }
)
"""Each hook, and the kind of spec that it returns."""


class PluginError(Exception):
    """Why a plugin is refused, in words for its user."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry point that was found and not loaded yet."""

    source: Source
    point: metadata.EntryPoint


def find_entries() -> tuple[list[Entry], list[PluginFailure]]:
    """Return the plugins of all installed distributions, ordered by distribution and name.

    Each distribution is read by itself, so that metadata that cannot be read costs only its own plugins. As
    with imports, the first of two copies of a distribution on the path is the one that counts.
    """
    found: dict[str, list[Entry]] = {}
    failures = []
    for distribution in metadata.distributions():
        try:
            declared = distribution.read_text("entry_points.txt")
            if not declared or f"[{PROJECT}]" not in declared:
                continue
            name, version = _identity(distribution)
            if normalized(name) in found:
                continue
            found[normalized(name)] = []
            points = sorted(distribution.entry_points.select(group=PROJECT), key=lambda point: point.name)
            found[normalized(name)] = [Entry(Source(point.name, name, version), point) for point in points]
        except Exception as error:  # noqa: BLE001 - importlib.metadata lets the errors of its parsers out
            reason = f"its entry_points.txt cannot be read: {describe(error)}"
            failures.append(PluginFailure("?", *_identity(distribution), reason))
    return [entry for name in sorted(found) for entry in found[name]], failures


def _identity(distribution: metadata.Distribution) -> tuple[str, str]:
    """Name and version; metadata that is incomplete is no reason to lose the plugin."""
    fields = distribution.metadata
    return fields["Name"] or "unknown", fields["Version"] or "unknown"


def load_entry(entry: Entry) -> LoadedPlugin | PluginFailure:
    """Import one plugin and ask its hooks. Whatever goes wrong comes back as data."""
    source = entry.source
    try:
        return load_module(_import(entry.point), source)
    except PluginError as error:
        reason = str(error)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin's module can raise anything
        reason = f"it cannot be imported: {describe(error)}"
    return PluginFailure(source.plugin, source.distribution, source.version, reason)


def _import(point: metadata.EntryPoint) -> object:
    if not point.pattern.match(point.value):
        raise PluginError(f"its entry point {point.value!r} is not of the form 'package.module'")
    return point.load()


def load_module(module: object, source: Source) -> LoadedPlugin:
    """Ask the hooks of a plugin that is imported already.

    Each plugin gets a pluggy manager of its own. One that is refused is dropped together with its manager, so
    nothing of it stays registered.

    Raises:
        PluginError: If the plugin is refused.
    """
    _check_api(module, source)
    manager = PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(module, name=source.plugin)
    except Exception as error:
        raise PluginError(f"it cannot be registered: {describe(error)}") from error
    _check_hooks(manager, module)
    return LoadedPlugin(source, {hook: _ask(manager, hook, kind) for hook, kind in HOOKS.items()})


def _check_api(module: object, source: Source) -> None:
    api = getattr(module, "DAYSTORE_PLUGIN_API", PLUGIN_API)
    if api == PLUGIN_API:
        return
    older = source.distribution if isinstance(api, int) and api < PLUGIN_API else CORE
    raise PluginError(
        f"made for plugin API {api!r}, this daystore has plugin API {PLUGIN_API}: upgrade {older}"
    )


def _check_hooks(manager: PluginManager, module: object) -> None:
    """Refuse hooks that daystore would never call: pluggy itself keeps them without a word."""
    callers = manager.get_hookcallers(module) or []
    for caller in callers:
        if not caller.has_spec() and not all(hook.optionalhook for hook in caller.get_hookimpls()):
            known = did_you_mean(caller.name, HOOKS, otherwise="the hooks are")
            raise PluginError(f"there is no hook called {caller.name!r}{known}")
    marked = {caller.name for caller in callers}
    for name, _ in inspect.getmembers(module, inspect.isroutine):
        if name in HOOKS and name not in marked:
            raise PluginError(f"its function {name!r} lacks the marker @hookimpl of daystore")
    if not callers:
        raise PluginError(f"it has no hook{did_you_mean('', HOOKS, otherwise='the hooks are')}")


def _ask(manager: PluginManager, hook: str, kind: type[Spec]) -> Sequence[Spec]:
    try:
        answers = [list(answer) for answer in getattr(manager.hook, hook)()]
    except Exception as error:
        raise PluginError(f"its hook {hook!r} failed: {describe(error)}") from error
    specs = [spec for answer in answers for spec in answer]
    for spec in specs:
        if not isinstance(spec, kind):
            raise PluginError(f"its hook {hook!r} returns {type(spec).__name__}, not {kind.__name__}")
    return specs


def describe(error: BaseException) -> str:
    """Return an error as one line for people, without the secrets that it may repeat."""
    text = " ".join(mask_text(str(error)).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
