"""The models of a configuration. Importing them imports pydantic, so nothing does before one is read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, model_validator

from daystore.abc.adapter import DEFAULT_TIMEOUT
from daystore.abc.capabilities import EVENTUAL, STRONG, Consistency, bounded
from daystore.abc.names import DEFAULT_NAMESPACE, check_collection, check_namespace
from daystore.config.durations import parse_duration, parse_timeout
from daystore.config.spelling import did_you_mean
from daystore.config.switches import parse_switch

if TYPE_CHECKING:
    from daystore.abc import StorageAdapter
    from daystore.plugins import Plugins

__all__ = ["BackendConfig", "MiddlewareConfig", "StorageConfig", "StoreConfig"]

_LEVELS = ("eventual", "strong", "bounded")


def _namespace(namespace: str) -> str:
    check_namespace(namespace)
    return namespace


def _collection(collection: str) -> str:
    check_collection(collection)
    return collection


def _timeout(value: object) -> float | None:
    try:
        return parse_timeout(value)
    except TypeError as error:
        raise ValueError(str(error)) from error


def _switch(value: object) -> bool | None:
    try:
        return parse_switch(value)
    except TypeError as error:
        raise ValueError(str(error)) from error


def _ttl(value: object) -> timedelta | None:
    if value is None or value == "none":
        return None
    if not isinstance(value, (str, int, float, timedelta)) or isinstance(value, bool):
        raise ValueError("should be a duration such as '30d', or a number of seconds")  # noqa: TRY004 - for pydantic
    return timedelta(milliseconds=parse_duration(value))


def _consistency(value: object) -> Consistency:
    if isinstance(value, Consistency):
        return value
    if value == "eventual":
        return EVENTUAL
    if value == "strong":
        return STRONG
    if isinstance(value, Mapping) and list(value) == ["bounded"]:
        try:
            return bounded(float(value["bounded"]))
        except (TypeError, ValueError) as error:
            raise ValueError("bounded should be a number of seconds, not negative") from error
    known = "should be 'eventual', 'strong' or { bounded = SECONDS }"
    raise ValueError(known + (did_you_mean(value, _LEVELS) if isinstance(value, str) else ""))


class _Model(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class BackendConfig(_Model):
    """A backend: a URL, or the name of an adapter with its options.

    Attributes:
        url: As for `Storage.open`. Not shown in ``repr``, as it can hold a password.
        adapter: Name of the adapter, where there is no URL.
        namespace: See `daystore.abc.StorageAdapter`.
        timeout: Seconds that an operation may take; ``None`` for no limit.
        coalesce: Whether single calls that are made at the same time go to the backend together; ``None`` for
            what is best for the backend.
        options: The adapter's own options. Not shown in ``repr``.
    """

    url: str | None = Field(default=None, repr=False)
    adapter: str | None = None
    namespace: Annotated[str, AfterValidator(_namespace)] = DEFAULT_NAMESPACE
    timeout: Annotated[float | None, PlainValidator(_timeout)] = DEFAULT_TIMEOUT
    coalesce: Annotated[bool | None, PlainValidator(_switch)] = None
    options: Mapping[str, Any] = Field(default_factory=dict, repr=False)

    def make_adapter(self, plugins: Plugins) -> StorageAdapter:
        """Make the adapter, still closed.

        Raises:
            ConfigError: If an option or the driver's installation is at fault.
        """
        # One of these that is not written here may stand in the URL.
        beside = {"namespace", "timeout", "coalesce"}
        written = {key: getattr(self, key) for key in self.model_fields_set & beside}
        options = {**self.options, **written}
        if self.url is not None:
            return plugins.open_adapter(self.url, **options)
        return plugins.make_adapter(self.adapter or "", **options)


class MiddlewareConfig(_Model):
    """A middleware of a store: its name alone, or a table of its name and its options.

    Attributes:
        name: Name of the middleware.
        options: Its options. Not shown in ``repr``.
    """

    name: str
    options: Mapping[str, Any] = Field(default_factory=dict, repr=False)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: object) -> object:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, Mapping):
            options = {key: item for key, item in value.items() if key != "name"}
            return {"options": options} | ({"name": value["name"]} if "name" in value else {})
        raise ValueError("should be the name of a middleware, or a table with its name and its options")


class StoreConfig(_Model):
    """A store.

    Attributes:
        backend: Name of its backend; the default backend where none is given.
        collection: Name of its collection; the store's own name where none is given.
        serializer: Name of its serializer.
        middleware: In the order in which writing goes through them.
        consistency: How fresh its reads are, unless a call says otherwise.
        ttl: How long its records live, unless a call says otherwise; ``None`` for ever.
    """

    backend: str
    collection: Annotated[str, AfterValidator(_collection)]
    serializer: str = "json"
    middleware: tuple[MiddlewareConfig, ...] = ()
    consistency: Annotated[Consistency, PlainValidator(_consistency)] = EVENTUAL
    ttl: Annotated[timedelta | None, PlainValidator(_ttl)] = None


class StorageConfig(_Model):
    """A whole configuration, complete and checked.

    Attributes:
        default: Name of the backend of stores that name none.
        coordinator: Name of the backend that decides over transactions on several backends; ``None`` for the first
            durable one of each transaction.
        backends: The backends by name.
        stores: The stores by name.
    """

    default: str
    coordinator: str | None = None
    backends: Mapping[str, BackendConfig]
    stores: Mapping[str, StoreConfig] = Field(default_factory=dict)
