"""What a configuration has to fulfil beyond its types: that the names in it stand for something."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from daystore.config.layers import Layer
from daystore.config.problems import KeyPath, Problem
from daystore.config.spelling import did_you_mean
from daystore.config.urls import PARAMETER_PREFIX, split_url
from daystore.errors import ConfigError
from daystore.plugins.options import check_adapter_options, check_options

if TYPE_CHECKING:
    from pydantic import BaseModel

    from daystore.plugins import Plugins

__all__ = ["check_names"]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")
_TABLES = ("backends", "stores")
_BESIDE = ("namespace", "timeout", "coalesce")


def check_names(layer: Layer, plugins: Plugins) -> list[Problem]:
    """Return every name that stands for nothing, and every option that an adapter or a middleware refuses.

    What has the wrong type is passed over here: the models tell of it.

    Args:
        layer: The configuration, all layers merged.
        plugins: What is installed.
    """
    tree = layer.tree
    problems = [
        Problem((table, name), "a name is a lower-case letter and up to 62 of a-z, 0-9 and _")
        for table in _TABLES
        for name in _table(tree, table)
        if not _NAME.match(name)
    ]
    problems += _check_default(tree)
    problems += _check_coordinator(tree)
    for name, backend in _table(tree, "backends").items():
        path = ("backends", name)
        if not isinstance(backend, Mapping):
            continue
        if backend.get("url") is not None and backend.get("adapter") is not None:
            place = layer.origin((*path, "url"))
            problems.append(Problem((*path, "adapter"), f"not beside a url, which is given too ({place})"))
        else:
            problems += _check_backend(path, backend, plugins)
    for name, store in _table(tree, "stores").items():
        if isinstance(store, Mapping):
            problems += _check_store(("stores", name), store, _table(tree, "backends"), plugins)
    return problems


def _table(tree: Mapping[str, object], name: str) -> Mapping[str, object]:
    table = tree.get(name)
    return table if isinstance(table, Mapping) else {}


def _check_default(tree: Mapping[str, object]) -> list[Problem]:
    backends = _table(tree, "backends")
    default = tree.get("default")
    if not backends:
        if isinstance(tree.get("backends", {}), Mapping):
            return [Problem(("backends",), "no backend is configured; give one, as in backends.main.url")]
    elif isinstance(default, str) and default not in backends:
        known = did_you_mean(default, backends, otherwise="configured")
        return [Problem(("default",), f"no backend is called {default!r}{known}")]
    elif default is None and len(backends) > 1:
        return [Problem(("default",), f"has to name one of the backends: {', '.join(sorted(backends))}")]
    return []


def _check_coordinator(tree: Mapping[str, object]) -> list[Problem]:
    backends, coordinator = _table(tree, "backends"), tree.get("coordinator")
    if isinstance(coordinator, str) and backends and coordinator not in backends:
        known = did_you_mean(coordinator, backends, otherwise="configured")
        return [Problem(("coordinator",), f"no backend is called {coordinator!r}{known}")]
    return []


def _check_backend(path: KeyPath, backend: Mapping[str, object], plugins: Plugins) -> list[Problem]:
    url, adapter = backend.get("url"), backend.get("adapter")
    if url is None and adapter is None:
        return [Problem(path, "has to have a url, or an adapter with options")]
    in_url: dict[str, str] = {}
    try:
        if isinstance(url, str):
            spec = plugins.adapter_for_url(url)
            in_url = split_url(url)[1]
        elif isinstance(adapter, str):
            spec = plugins.adapter(adapter)
        else:
            return []
        model = plugins.adapter_model(spec.name)
    except ConfigError as error:
        return [Problem((*path, "adapter" if url is None else "url"), error.message)]
    options = backend.get("options", {})
    return _check_options(path, options, in_url, model) if isinstance(options, Mapping) else []


def _check_options(
    path: KeyPath, options: Mapping[str, object], in_url: Mapping[str, str], model: type[BaseModel] | None
) -> list[Problem]:
    """Check the options in the table and in the URL together: one may bring what the other lacks."""
    problems = [
        Problem((*path, "options", name), "belongs one level up, beside the url")
        for name in _BESIDE
        if name in options
    ]
    own = {name: value for name, value in options.items() if name not in _BESIDE}
    for found in check_adapter_options(model, {**in_url, **own})[1]:
        name = str(found.path[0])
        if name in in_url and name not in options:
            problems.append(Problem((*path, "url"), f"parameter {PARAMETER_PREFIX}{name}: {found.message}"))
        else:
            problems.append(Problem((*path, "options", *found.path), found.message))
    return problems


def _check_store(
    path: KeyPath, store: Mapping[str, object], backends: Mapping[str, object], plugins: Plugins
) -> list[Problem]:
    problems = []
    backend = store.get("backend")
    if isinstance(backend, str) and backend not in backends:
        known = did_you_mean(backend, backends, otherwise="configured")
        problems.append(Problem((*path, "backend"), f"no backend is called {backend!r}{known}"))
    serializer = store.get("serializer")
    if isinstance(serializer, str) and serializer not in plugins.serializers:
        known = did_you_mean(serializer, plugins.serializers, otherwise="installed")
        problems.append(Problem((*path, "serializer"), f"no serializer is called {serializer!r}{known}"))
    middleware = store.get("middleware")
    for index, item in enumerate(middleware if isinstance(middleware, list) else ()):
        problems += _check_middleware((*path, "middleware", index), item, plugins)
    return problems


def _check_middleware(path: KeyPath, item: object, plugins: Plugins) -> list[Problem]:
    table = item if isinstance(item, Mapping) else {"name": item}
    name = table.get("name")
    if not isinstance(name, str):
        return []
    try:
        model = plugins.middleware_model(name)
    except ConfigError as error:
        return [Problem(path, error.message)]
    options = {key: value for key, value in table.items() if key != "name"}
    return [Problem((*path, *found.path), found.message) for found in check_options(model, options)[1]]
