"""The public face of an adapter: the same names, parameters and defaults as the base of all adapters."""

from __future__ import annotations

import inspect
import re
from typing import Any, Final

from daystore.abc import Capabilities, Limits, StorageAdapter
from daystore.abc.capabilities import FLAGS
from daystore.plugins import default_plugins
from daystore_compliance.case import case
from daystore_compliance.env import Env

PUBLIC: Final = [name for name in vars(StorageAdapter) if not name.startswith("_")]
PRIMITIVES: Final = {
    "_open": 0,
    "_close": 0,
    "_health": 0,
    "_read": 3,
    "_write": 1,
    "_query": 2,
    "_count": 2,
    "_aggregate": 3,
    "_explain": 1,
}
"""What an author writes, with the number of arguments that it is called with."""
NEEDED: Final = {"query": ("_query", "_count"), "aggregate": ("_aggregate",)}
LEVELS: Final = {"eventual", "bounded", "strong"}


def _parameters(function: Any) -> list[tuple[str, object, object]]:
    return [(one.name, one.kind, one.default) for one in inspect.signature(function).parameters.values()]


def _takes(function: Any, *arguments: object, **options: object) -> bool:
    try:
        inspect.signature(function).bind(*arguments, **options)
    except TypeError:
        return False
    return True


@case("sig.public_api")
async def public_api(env: Env) -> None:
    """Every public method of an adapter can be called exactly as that of the base, and is awaited as there."""
    kind = type(env.adapter)
    assert issubclass(kind, StorageAdapter)
    assert len(PUBLIC) > 15, "the base has lost its methods"
    for name in PUBLIC:
        mine, base = inspect.getattr_static(kind, name), inspect.getattr_static(StorageAdapter, name)
        if name == "from_url" or not callable(base):
            continue
        assert inspect.isfunction(mine), f"{name} is no method"
        assert _parameters(mine) == _parameters(base), f"{name} has other parameters than the base"
        assert inspect.iscoroutinefunction(mine) == inspect.iscoroutinefunction(base), f"{name} and await"
    for dunder in ("__aenter__", "__aexit__"):
        assert inspect.iscoroutinefunction(getattr(kind, dunder)), dunder


@case("sig.primitives")
async def primitives(env: Env) -> None:
    """What the author of an adapter writes is there for all that is declared, and takes what it is called with."""
    kind = type(env.adapter)
    for name, number in PRIMITIVES.items():
        method = getattr(kind, name)
        assert inspect.iscoroutinefunction(method), f"{name} is no coroutine function"
        assert _takes(method, *[None] * (number + 1)), f"{name} does not take what it is called with"
    for capability, names in NEEDED.items():
        if getattr(env.capabilities, capability):
            for name in names:
                assert getattr(kind, name) is not getattr(StorageAdapter, name), f"{name} was not written"
    assert not kind.__abstractmethods__


@case("sig.attributes")
async def attributes(env: Env) -> None:
    """An adapter has a name, a namespace, a clock, a time limit and capabilities, each of its exact type."""
    adapter = env.adapter
    assert type(adapter.name) is str
    assert re.fullmatch(r"[a-z][a-z0-9_-]*", adapter.name), "the name of an adapter is a name as plugins have"
    assert type(adapter).name == adapter.name, "adapters of one class have one name"
    assert adapter.namespace == env.namespace
    assert adapter.clock is env.clock, "the clock that was given is not used"
    assert adapter.timeout is None or adapter.timeout > 0
    declared = adapter.capabilities
    assert type(declared) is Capabilities
    assert type(declared.limits) is Limits
    assert isinstance(declared.consistency, frozenset)
    assert {"eventual"} <= declared.consistency <= LEVELS
    for flag in FLAGS:
        assert type(getattr(declared, flag)) is bool, f"the capability {flag} is no bool"
    assert adapter.capabilities == declared, "what is declared changes from one look to the next"


@case("sig.from_url")
async def from_url(env: Env) -> None:
    """from_url is a class method that takes a URL, and namespace, clock and timeout besides."""
    made = inspect.getattr_static(type(env.adapter), "from_url")
    assert isinstance(made, classmethod)
    method = type(env.adapter).from_url
    assert next(iter(inspect.signature(method).parameters)) == "url"
    assert _takes(method, "scheme://")
    assert _takes(method, "scheme://", namespace=env.namespace, clock=env.clock, timeout=5.0)


@case("sig.plugin_spec")
async def plugin_spec(env: Env) -> None:
    """What a plugin says of its adapter is true: name, class, schemes, options, and at least what is declared."""
    plugins = default_plugins()
    spec = plugins.adapters.get(env.adapter.name)
    if spec is None:
        return  # it was not installed as a plugin, so nothing was said
    kind = plugins.adapter_class(spec.name)
    assert issubclass(kind, StorageAdapter)
    assert kind.name == spec.name, "the class has another name than its plugin says"
    assert set(env.capabilities.names()) <= set(spec.capabilities), "more is declared than the plugin says"
    assert set(spec.capabilities) <= set(FLAGS), "the plugin names capabilities that do not exist"
    assert len(set(spec.capabilities)) == len(spec.capabilities)
    for scheme in spec.schemes:
        assert plugins.adapter_for_url(f"{scheme}://") == spec
    model = plugins.adapter_model(spec.name)
    taken = {"namespace", "clock", "timeout", "url"} & set(model.model_fields if model else ())
    assert not taken, "an option of the adapter has the name of one that every adapter takes"
