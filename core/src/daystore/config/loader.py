"""`load`: read a configuration from everywhere it can be written, and tell every mistake in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daystore.config.environment import PREFIX, read_environment
from daystore.config.layers import DEFAULT_ORIGIN, Layer, Origin, Tree, merge
from daystore.config.problems import KeyPath, Problem, format_path, pydantic_problems
from daystore.config.settings import Setting, list_settings
from daystore.config.sources import CONFIG_VARIABLE, find_file, read_file, read_mapping
from daystore.errors import ConfigError

if TYPE_CHECKING:
    from daystore.config.models import StorageConfig
    from daystore.plugins import Plugins

__all__ = ["Config", "is_configured", "load"]


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration that was read and checked.

    Attributes:
        storage: What it says, complete.
        source: The file or mapping it was read from, for people.
        settings: Every value, defaults included, with its origin, secrets masked.
    """

    storage: StorageConfig = field(repr=False)
    source: str
    settings: tuple[Setting, ...] = field(repr=False)

    @property
    def origins(self) -> Mapping[str, Origin]:
        """Where each value was written, by its path."""
        return {setting.key: setting.origin for setting in self.settings}


def load(
    source: str | Path | Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    overrides: Mapping[str, object] | None = None,
    plugins: Plugins | None = None,
) -> Config:
    """Read a configuration.

    What is written in several places is taken from the first of these: `overrides`; environment variables
    (``DAYSTORE_BACKENDS__MAIN__URL``); `source`; the defaults. Tables are merged key by key, lists and single
    values are replaced as a whole.

    Args:
        source: A TOML or YAML file, or a mapping of the same form. Without one it is the file that
            ``DAYSTORE_CONFIG`` names, else ``daystore.toml`` in the working directory, else the table
            ``[tool.daystore]`` of a ``pyproject.toml`` there, else the environment alone.
        environ: The environment variables; the process's own by default. ``${NAME}`` and ``${NAME:-default}``
            in a file's values refer to them too.
        overrides: A mapping of the same form.
        plugins: What adapters, serializers and middleware there are; `default_plugins` by default.

    Raises:
        ConfigError: If there is nothing to read, or something cannot be read, or there are mistakes: then the
            message lists them all, each with its key, its origin and, where there is one, the nearest right
            spelling.
    """
    environ = os.environ if environ is None else environ
    layer, name, problems = _gather(source, environ, overrides)
    if plugins is None:
        from daystore.plugins import default_plugins

        plugins = default_plugins()
    from daystore.config.checks import check_names

    problems += check_names(layer, plugins)
    completed, added = _complete(layer.tree)
    storage, found = _validate(completed)
    problems += [problem for problem in found if problem.path not in added]
    if storage is None or problems:
        raise ConfigError(_message(problems, layer, name))
    return Config(storage, name, list_settings(storage, layer))


def is_configured(environ: Mapping[str, str]) -> bool:
    """Tell whether `load` without a source finds anything to read, be it right or wrong.

    Raises:
        ConfigError: If ``DAYSTORE_CONFIG`` names no file.
    """
    variables, problems = read_environment(environ)
    return bool(variables.tree or problems or find_file(environ))


def _gather(
    source: str | Path | Mapping[str, object] | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, object] | None,
) -> tuple[Layer, str, list[Problem]]:
    """Read all layers and merge them."""
    problems: list[Problem] = []
    referred_to: frozenset[str] = frozenset()
    base, name = Layer(), "the environment"
    if isinstance(source, Mapping):
        name = "the mapping given"
        base = read_mapping(source, Origin("mapping", name))
    elif path := _file(source, environ):
        name = str(path)
        base, interpolation = read_file(path, environ)
        problems += interpolation.problems
        referred_to = frozenset(variable for used in interpolation.used.values() for variable in used)
    variables, unmatched = read_environment(environ, referred_to)
    problems += unmatched
    if source is None and not overrides and not is_configured(environ):
        raise ConfigError(
            f"there is no configuration: name a file, here or in {CONFIG_VARIABLE}; or write daystore.toml; "
            f"or set {PREFIX}BACKENDS__MAIN__URL"
        )
    layer = merge(merge(Layer(), base), variables)
    if overrides:
        layer = merge(layer, read_mapping(overrides, Origin("argument", "argument")))
    return layer, name, problems


def _file(source: str | Path | None, environ: Mapping[str, str]) -> Path | None:
    if source is None:
        return find_file(environ)
    if isinstance(source, str) and "://" in source:
        raise ConfigError("a configuration is read from a file; a URL is opened with Storage.open(url)")
    return Path(source)


def _complete(tree: Mapping[str, Any]) -> tuple[Tree, set[KeyPath]]:
    """Fill in the defaults that depend on other values, and tell where.

    Where a default cannot be told, `check_names` has said so, and an empty text takes its place.
    """
    completed: Tree = {"backends": {}, **tree}
    added: set[KeyPath] = set() if "backends" in tree else {("backends",)}
    backends = completed["backends"]
    if tree.get("default") is None:
        only = list(backends) if isinstance(backends, Mapping) and len(backends) == 1 else [""]
        completed["default"] = only[0]
        added.add(("default",))
    stores = tree.get("stores")
    if isinstance(stores, Mapping):
        completed["stores"] = {name: _complete_store(name, s, completed, added) for name, s in stores.items()}
    return completed, added


def _complete_store(name: str, store: object, tree: Mapping[str, object], added: set[KeyPath]) -> object:
    if not isinstance(store, Mapping):
        return store
    defaults = {"backend": tree["default"], "collection": name}
    added |= {("stores", name, key) for key in defaults if key not in store}
    return {**defaults, **store}


def _validate(tree: Mapping[str, object]) -> tuple[StorageConfig | None, list[Problem]]:
    from pydantic import BaseModel, ValidationError

    from daystore.config.models import BackendConfig, StorageConfig, StoreConfig

    models: dict[str, type[BaseModel]] = {"backends": BackendConfig, "stores": StoreConfig}

    def known(path: KeyPath) -> list[str]:
        model = models.get(str(path[0])) if len(path) == 2 else StorageConfig if not path else None
        return list(model.model_fields) if model else []

    try:
        return StorageConfig.model_validate(tree), []
    except ValidationError as error:
        return None, pydantic_problems(error, known)


def _message(problems: list[Problem], layer: Layer, source: str) -> str:
    lines = []
    for problem in problems:
        origin = layer.origin(problem.path)
        where = f" ({source if origin is DEFAULT_ORIGIN else origin})"
        if str(problem.path[0]).startswith(PREFIX):  # the path is a variable, which says it all
            where = ""
        lines.append(f"{format_path(problem.path)}{where}: {problem.message}")
    if len(lines) == 1:
        return lines[0]
    return f"the configuration has {len(lines)} mistakes:" + "".join(f"\n  {line}" for line in lines)
