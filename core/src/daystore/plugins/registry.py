"""`Plugins`: everything that installed plugins bring, by name. Built once; only looked at afterwards."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, cast

from daystore.config.spelling import did_you_mean
from daystore.config.urls import scheme_of, split_url
from daystore.errors import ConfigError, UnknownAdapter, UnknownCodec
from daystore.hookspecs import (
    AdapterSpec,
    CodecSpec,
    CommandSpec,
    HealthCheckSpec,
    MiddlewareSpec,
    SerializerSpec,
    Spec,
)
from daystore.plugins import builtin
from daystore.plugins.advice import unknown_adapter_message
from daystore.plugins.catalog import Catalog, claims_of
from daystore.plugins.claims import settle
from daystore.plugins.entries import find_entries, load_entry, load_module
from daystore.plugins.environment import ALLOW, STRICT, Switches, is_strict
from daystore.plugins.options import adapter_options
from daystore.plugins.records import CORE, Claim, DisabledPlugin, LoadedPlugin, PluginFailure, Source

if TYPE_CHECKING:
    from pydantic import BaseModel

    from daystore.abc import Codec, Health, Serializer, StorageAdapter

__all__ = ["Plugins", "default_plugins"]


class Plugins:
    """What plugins bring, by name.

    Args:
        loaded: The plugins whose hooks answered.
        failures: Those that could not be loaded.
        disabled: Those that the environment switched off.

    Attributes:
        adapters: Specs of the backends by name.
        serializers: Specs of the serializers by name.
        middleware: Specs of the middleware by name.
        codecs: Specs of the decoders by name.
        health_checks: Specs of the health checks by name.
        commands: Specs of the sub-commands by name.
        failures: Plugins, and names, that cannot be used, each with its reason.
        disabled: Plugins that the environment switched off.
    """

    def __init__(
        self,
        loaded: Sequence[LoadedPlugin],
        failures: Iterable[PluginFailure] = (),
        disabled: Iterable[DisabledPlugin] = (),
    ) -> None:
        backends = claims_of(loaded, AdapterSpec)
        adapters = settle("adapter", backends, lambda spec: [spec.name])
        schemes = settle("URL scheme", backends, lambda spec: spec.schemes)
        writers = claims_of(loaded, SerializerSpec)
        serializers = settle("serializer", writers, lambda spec: [spec.name])
        types = settle("content type", writers, lambda spec: [spec.content_type])
        schemes.drop_without(adapters, lambda spec: spec.name)
        types.drop_without(serializers, lambda spec: spec.name)
        # What a serializer without its content type writes, nobody could read again.
        serializers.drop_without(types, lambda spec: spec.content_type)
        middleware = settle("middleware", claims_of(loaded, MiddlewareSpec), lambda spec: [spec.name])
        codecs = settle("codec", claims_of(loaded, CodecSpec), lambda spec: [spec.name])
        checks = settle("health check", claims_of(loaded, HealthCheckSpec), lambda spec: [spec.name])
        commands = settle("command", claims_of(loaded, CommandSpec), lambda spec: [spec.name])

        self._adapters = Catalog("adapter", adapters)
        self._schemes = Catalog("URL scheme", schemes)
        self._serializers = Catalog("serializer", serializers)
        self._types = Catalog("content type", types)
        self._middleware = Catalog("middleware", middleware)
        self._codecs = Catalog("codec", codecs)
        self._checks = Catalog("health check", checks)
        self._commands = Catalog("command", commands)
        self.adapters: Mapping[str, AdapterSpec] = self._adapters.specs
        self.serializers: Mapping[str, SerializerSpec] = self._serializers.specs
        self.middleware: Mapping[str, MiddlewareSpec] = self._middleware.specs
        self.codecs: Mapping[str, CodecSpec] = self._codecs.specs
        self.health_checks: Mapping[str, HealthCheckSpec] = self._checks.specs
        self.commands: Mapping[str, CommandSpec] = self._commands.specs
        self.disabled: tuple[DisabledPlugin, ...] = tuple(disabled)
        settled = (adapters, schemes, serializers, types, middleware, codecs, checks, commands)
        lost = (failure for kind in settled for failure in kind.failures)
        self.failures: tuple[PluginFailure, ...] = (*failures, *lost)
        self._distributions = {plugin.source.distribution for plugin in loaded}

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, *, strict: bool | None = None) -> Plugins:
        """Load the plugins of all installed distributions, each by itself.

        Args:
            environ: Where ``DAYSTORE_PLUGINS``, ``DAYSTORE_DISABLE_PLUGINS`` and ``DAYSTORE_STRICT_PLUGINS``
                are looked up; the process's environment by default.
            strict: Whether a failure is fatal; as ``DAYSTORE_STRICT_PLUGINS`` says by default.

        Raises:
            ConfigError: In strict mode, listing every failure.
        """
        environ = os.environ if environ is None else environ
        strict = is_strict(environ) if strict is None else strict
        switches = Switches.read(environ)
        entries, failures = find_entries()
        loaded = [load_module(builtin, Source("core", CORE, metadata.version(CORE)))]
        disabled = []
        for entry in entries:
            if reason := switches.reason_against(entry.source):
                disabled.append(DisabledPlugin(entry.source, reason))
            elif isinstance(outcome := load_entry(entry), PluginFailure):
                failures.append(outcome)
            else:
                loaded.append(outcome)
        failures += _missing(switches, [entry.source for entry in entries])
        plugins = cls(loaded, failures, disabled)
        if strict:
            plugins.raise_failures()
        return plugins

    def raise_failures(self) -> None:
        """Raise if anything failed.

        Raises:
            ConfigError: Listing every failure.
        """
        if self.failures:
            listed = "".join(f"\n  {failure}" for failure in self.failures)
            raise ConfigError(f"plugins failed, and {STRICT} makes that fatal:{listed}")

    def catalogs(self) -> Sequence[Catalog[Spec]]:
        """Return what there is of each kind, together with the plugins that it comes from."""
        return (
            self._adapters,
            self._serializers,
            self._middleware,
            self._codecs,
            self._checks,
            self._commands,
        )

    # --- Adapters -------------------------------------------------------------------------------------------

    def adapter(self, name: str) -> AdapterSpec:
        """Return the spec of the adapter called `name`.

        Raises:
            UnknownAdapter: If there is none; the message says what there is, what failed, what to install.
        """
        return self._find_adapter(self._adapters, name, name).spec

    def adapter_for_url(self, url: str) -> AdapterSpec:
        """Return the spec of the adapter that answers to the scheme of a URL.

        For ``a+b://…`` an adapter of that whole scheme comes first, then one of the scheme ``a``.

        Raises:
            UnknownAdapter: If there is none.
            ConfigError: If the text is no URL.
        """
        scheme = scheme_of(url)
        exact = scheme in self._schemes.claims or scheme in self._schemes.contested
        name = scheme if exact else scheme.partition("+")[0]
        return self._find_adapter(self._schemes, name, scheme).spec

    def adapter_class(self, name: str) -> type[StorageAdapter]:
        """Import and return the class of the adapter called `name`.

        Raises:
            UnknownAdapter: If there is none.
            ConfigError: If it cannot be imported; for a missing driver the message says what to install.
        """
        self.adapter(name)
        return cast("type[StorageAdapter]", self._adapters.load(name, lambda spec: spec.factory))

    def adapter_model(self, name: str) -> type[BaseModel] | None:
        """Import and return the model of the adapter's own options; ``None`` if it has none.

        Raises:
            UnknownAdapter: If there is no such adapter.
            ConfigError: If the model cannot be imported.
        """
        return self._model(self._adapters, name, self.adapter(name).config)

    def open_adapter(self, url: str, **options: object) -> StorageAdapter:
        """Make the adapter for a URL, still closed.

        Args:
            url: Its ``daystore_*`` parameters are options too; the rest goes to the driver as it is.
            **options: ``namespace``, ``timeout``, ``coalesce``, ``clock`` and the adapter's own. They win over
                the URL's.

        Raises:
            UnknownAdapter: If no plugin answers to the URL.
            ConfigError: If the URL, an option or the driver's installation is at fault.
        """
        spec = self.adapter_for_url(url)
        address, in_url = split_url(url)
        return self._make(spec, address, {**in_url, **options})

    def make_adapter(self, name: str, **options: object) -> StorageAdapter:
        """Make the adapter called `name` of options alone, still closed.

        Raises:
            UnknownAdapter: If there is none.
            ConfigError: If an option or the driver's installation is at fault.
        """
        spec = self.adapter(name)
        return self._make(spec, f"{(*spec.schemes, spec.name)[0]}://", options)

    def _make(self, spec: AdapterSpec, url: str, options: Mapping[str, object]) -> StorageAdapter:
        checked = adapter_options(spec.name, self.adapter_model(spec.name), options)
        coalesce = checked.pop("coalesce", None)
        adapter = self.adapter_class(spec.name).from_url(url, **checked)
        if coalesce is not None:
            adapter.coalesce = bool(coalesce)
        return adapter

    def _find_adapter(self, catalog: Catalog[AdapterSpec], name: str, shown: str) -> Claim[AdapterSpec]:
        if claim := catalog.claims.get(name):
            return claim
        raise UnknownAdapter(
            catalog.contested.get(name)
            or unknown_adapter_message(
                catalog.what,
                shown,
                installed=catalog.specs,
                distributions=self._distributions,
                failures=self.failures,
                disabled=self.disabled,
            )
        )

    # --- What stores need -----------------------------------------------------------------------------------

    def serializer(self, name: str) -> Serializer:
        """Return the serializer called `name`, the same object each time.

        Raises:
            ConfigError: If there is none, or it cannot be imported.
        """
        return cast("Serializer", self._serializers.instance(name, lambda spec: spec.factory))

    def serializer_for(self, content_type: str) -> Serializer:
        """Return the serializer that reads a content type, the same object each time.

        Raises:
            UnknownCodec: If there is none, or it cannot be imported.
        """
        try:
            return self.serializer(self._types.find(content_type, in_record=True).spec.name)
        except ConfigError as error:
            raise self._unreadable(error, content_type) from error

    def codec(self, name: str) -> Codec:
        """Return the codec that undoes an encoding, the same object each time.

        Raises:
            UnknownCodec: If there is none, or it cannot be imported.
        """
        try:
            self._codecs.find(name, in_record=True)
            return cast("Codec", self._codecs.instance(name, lambda spec: spec.factory))
        except ConfigError as error:
            raise self._unreadable(error, name) from error

    def middleware_class(self, name: str) -> Callable[..., object]:
        """Import and return the class of the middleware called `name`.

        Raises:
            ConfigError: If there is none, or it cannot be imported.
        """
        return cast("Callable[..., object]", self._middleware.load(name, lambda spec: spec.factory))

    def middleware_model(self, name: str) -> type[BaseModel] | None:
        """Import and return the model of the middleware's options; ``None`` if it has none.

        Raises:
            ConfigError: If there is no such middleware, or the model cannot be imported.
        """
        return self._model(self._middleware, name, self._middleware.find(name).spec.config)

    def health_check(self, name: str) -> Callable[[], Awaitable[Health]]:
        """Import and return the function of the health check called `name`.

        Raises:
            ConfigError: If there is none, or it cannot be imported.
        """
        return cast("Callable[[], Awaitable[Health]]", self._checks.load(name, lambda spec: spec.check))

    def command(self, name: str) -> object:
        """Import and return the sub-command called `name`.

        Raises:
            ConfigError: If there is none, or it cannot be imported.
        """
        return self._commands.load(name, lambda spec: spec.app)

    def _model(
        self, catalog: Catalog[AdapterSpec] | Catalog[MiddlewareSpec], name: str, path: str | None
    ) -> type[BaseModel] | None:
        return None if path is None else cast("type[BaseModel]", catalog.load(name, lambda _: path))

    def _unreadable(self, error: ConfigError, codec: str) -> UnknownCodec:
        failed = "".join(f"; failed to load: {failure}" for failure in self.failures)
        return UnknownCodec(f"a record cannot be decoded: {error.message}{failed}", codec=codec)


def _missing(switches: Switches, installed: Sequence[Source]) -> list[PluginFailure]:
    """Return a failure for each name on the allow-list that no plugin has: most likely it is misspelt."""
    names = {name for source in installed for name in (source.plugin, source.distribution)}
    reason = f"{ALLOW} names it, but it is not installed"
    return [
        PluginFailure(name, "", "", reason + did_you_mean(name, names, otherwise="installed"))
        for name in switches.allowed_but_missing(installed)
    ]


@cache
def default_plugins() -> Plugins:
    """Return the plugins of this process's environment, loaded when they are first needed.

    Raises:
        ConfigError: In strict mode, if a plugin failed.
    """
    return Plugins.load()
