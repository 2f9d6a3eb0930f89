"""The shape of a store's values: how they become plain values that a serializer takes, and values again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_origin

from daystore.errors import ConfigError, SchemaError, SerializationError
from daystore.query.fields import unknown
from daystore.stores.annotations import field_names, is_typed_dict
from daystore.stores.equality import difference

if TYPE_CHECKING:
    from pydantic import ValidationError

__all__ = ["Shape", "shape_of"]

T = TypeVar("T")

_PLAIN = (bool, int, float, str, bytes, list, dict, set, frozenset, tuple)


class Shape(ABC, Generic[T]):
    """How the values of one store become plain, and whole again.

    Attributes:
        type: What the store was given as its type; ``None`` for plain values.
        schema: Name of the schema, written into every record.
        version: Version of that schema.
        takes_none: Whether ``None`` is one of the values.
    """

    type: Any
    schema: str | None
    version: int | None
    takes_none: bool

    @abstractmethod
    def to_plain(self, value: T) -> object:
        """Make a value plain.

        Raises:
            SerializationError: If it is not of the type.
        """

    @abstractmethod
    def from_plain(self, plain: object) -> T:
        """Make a plain value whole.

        Raises:
            SchemaError: If it does not fit the type.
        """

    @abstractmethod
    def verify(self, value: T, restored: object) -> None:
        """Check that a value is what `restored`, the plain value read back, would become.

        Raises:
            SerializationError: If it would not come back equal and of the same type.
        """

    @abstractmethod
    def merge(self, value: T, patch: Mapping[str, object]) -> T:
        """Return a value with some of its fields replaced.

        Raises:
            SchemaError: If it has no such field, or the result does not fit the type.
            TypeError: If the value has no fields at all.
        """


def shape_of(value_type: Any) -> Shape[Any]:
    """Return the shape of values of a type; ``None`` and ``Any`` are any plain values."""
    return (
        PlainShape()
        if value_type is None or value_type is Any or value_type is object
        else TypedShape(value_type)
    )


class PlainShape(Shape[Any]):
    """Values that are plain already. Whether they come back as they are is the serializer's promise."""

    type: Any = None
    schema: str | None = None
    version: int | None = None
    takes_none: bool = False  # a function that forgot to return its value must not erase a record

    def to_plain(self, value: Any) -> object:
        """Return the value as it is."""
        return value

    def from_plain(self, plain: object) -> Any:
        """Return the value as it is."""
        return plain

    def verify(self, value: Any, restored: object) -> None:
        """Trust the serializer."""

    def merge(self, value: Any, patch: Mapping[str, object]) -> Any:
        """Return a dict with the patch's items over the value's; see `Shape.merge`."""
        if not isinstance(value, dict):
            raise TypeError(f"a patch replaces items of a dict, and this value is a {type(value).__name__}")
        return {**value, **patch}


class TypedShape(Shape[T]):
    """Values of a pydantic model, a dataclass, a ``TypedDict`` or any other type that pydantic understands.

    Args:
        value_type: The type.

    Raises:
        ConfigError: If pydantic cannot make a schema of it.
    """

    def __init__(self, value_type: Any) -> None:
        from pydantic import TypeAdapter, ValidationError
        from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
        from pydantic_core import PydanticSerializationError

        try:
            adapter = TypeAdapter(value_type)
            self._has_enums = _mentions(adapter.core_schema, "enum")
        except (PydanticUserError, PydanticUndefinedAnnotation) as error:
            raise ConfigError(f"the type of a store cannot be used: {error}") from error
        self.type: Any = value_type
        self._name = getattr(value_type, "__name__", str(value_type))
        schema, version = _schema(value_type)
        self.schema: str | None = schema
        self.version: int | None = version
        self._dump = adapter.dump_python
        self._validate: Callable[..., T] = adapter.validate_python
        self._invalid = ValidationError
        self._cannot_dump = (PydanticSerializationError, ValueError, TypeError, AttributeError)
        self._class = _exact_class(value_type)
        self.takes_none: bool = self._accepts(None)

    def _accepts(self, value: object) -> bool:
        try:
            self._validate(value)
        except self._invalid:
            return False
        return True

    def to_plain(self, value: T) -> object:
        """Make a value plain; see `Shape.to_plain`."""
        if self._class is not None and type(value) is not self._class:
            raise SerializationError(
                f"this store holds {self._name}, not {type(value).__name__}: it would come back as another"
            )
        try:
            plain = self._dump(value, round_trip=True, by_alias=False, warnings=False)
        except self._cannot_dump as error:
            raise SerializationError(f"{self._name} cannot be made plain: {type(error).__name__}") from error
        return _without_enums(plain) if self._has_enums else plain

    def from_plain(self, plain: object) -> T:
        """Make a plain value whole; see `Shape.from_plain`."""
        try:
            return self._validate(plain, by_alias=False, by_name=True)
        except self._invalid as error:
            raise SchemaError(
                f"what is stored does not fit {self._name}: {_told(error, self.type)}"
            ) from None

    def verify(self, value: T, restored: object) -> None:
        """Check that a value would come back as it is; see `Shape.verify`."""
        try:
            back = self._validate(restored, by_alias=False, by_name=True)
        except self._invalid as error:
            raise SerializationError(
                f"this {self._name} would not fit its own type when read back: {_told(error, self.type)}"
            ) from None
        found = difference(value, back)
        if found is not None:
            raise SerializationError(
                f"this {self._name} would not come back as it is: {found}. Declare what it really holds "
                "(a union, not a base class), or pass verify=False to the store to accept the loss"
            )

    def merge(self, value: T, patch: Mapping[str, object]) -> T:
        """Return a value with some of its fields replaced; see `Shape.merge`."""
        kind = type(value) if not isinstance(value, dict) else self.type
        names = field_names(kind)
        if names is None and not hasattr(kind, "model_fields") and not isinstance(value, dict):
            raise TypeError(f"a patch replaces fields, and this value is a {type(value).__name__}")
        for name in patch:
            if names is not None and name not in names:
                raise SchemaError(f"{self._name} has no field {name!r}{unknown(str(name), names)}")
        merged = {**_fields_of(value), **patch}
        try:
            return self._validate(merged, by_alias=False, by_name=True)
        except self._invalid as error:
            raise SchemaError(f"the patch does not fit {self._name}: {_told(error, self.type)}") from None


def _schema(value_type: Any) -> tuple[str | None, int | None]:
    """Return the name and version of a type's schema: free of modules, so that the class may move."""
    named = hasattr(value_type, "__daystore_schema__")
    own = isinstance(value_type, type) and (
        field_names(value_type) is not None or hasattr(value_type, "model_fields")
    )
    if not named and not own:
        return None, None
    name = getattr(value_type, "__daystore_schema__", None) or value_type.__name__
    version = getattr(value_type, "__daystore_version__", 1)
    if type(version) is not int or version < 1:
        raise ConfigError(f"__daystore_version__ of {value_type.__name__} is a positive int")
    return str(name), version


def _exact_class(value_type: Any) -> type | None:
    """Return the one class that all values of a type have, if there is one."""
    if is_typed_dict(value_type):
        return dict
    kind = get_origin(value_type) or value_type
    if not isinstance(kind, type):
        return None
    return kind if kind in _PLAIN or is_dataclass(kind) or hasattr(kind, "model_fields") else None


def _mentions(schema: object, kind: str) -> bool:
    """Tell whether a core schema of pydantic has a part of some kind."""
    if isinstance(schema, Mapping):
        return schema.get("type") == kind or any(_mentions(part, kind) for part in schema.values())
    return isinstance(schema, (list, tuple)) and any(_mentions(part, kind) for part in schema)


def _without_enums(plain: Any) -> Any:
    if isinstance(plain, Enum):
        return plain.value
    if type(plain) is dict:
        return {_without_enums(key): _without_enums(value) for key, value in plain.items()}
    if type(plain) in (list, tuple, set, frozenset):
        return type(plain)(map(_without_enums, plain))
    return plain


def _fields_of(value: Any) -> dict[str, object]:
    if isinstance(value, dict):
        return value
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value) if field.init}
    own = {name: getattr(value, name) for name in type(value).__pydantic_fields__}
    return own | (value.__pydantic_extra__ or {})


def _told(error: ValidationError, value_type: Any) -> str:
    """Tell which declared fields are wrong and how, without anything of the data."""
    declared = field_names(value_type) or ()
    problems: dict[str, None] = {}
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        where = problem["loc"][0] if problem["loc"] else None
        problems[f"{where if where in declared else 'the value'} ({problem['type']})"] = None
    return ", ".join(list(problems)[:5])
