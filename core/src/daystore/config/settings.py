"""Every value of a configuration as a person may see it: where it was written, and no secret in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daystore.config.layers import DEFAULT_ORIGIN, Layer, Origin, leaves
from daystore.config.problems import KeyPath, format_path
from daystore.config.secrets import MASK, is_secret_name, mask_text, mask_url

if TYPE_CHECKING:
    from daystore.config.models import StorageConfig

__all__ = ["Setting", "list_settings"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One value of a configuration, as a person may see it.

    Attributes:
        key: Its path, such as ``"stores.contexts.backend"``.
        value: As it was written, secrets masked.
        origin: Where it was written.
    """

    key: str
    value: object
    origin: Origin


def list_settings(storage: StorageConfig, layer: Layer) -> tuple[Setting, ...]:
    """List every value in the order of the models: as it was written, or its default."""
    return tuple(_settings(storage, layer))


def _settings(storage: StorageConfig, layer: Layer) -> Iterator[Setting]:
    tables: list[tuple[KeyPath, Mapping[str, object]]] = [
        ((), {"default": storage.default, "coordinator": storage.coordinator})
    ]
    tables += [(("backends", name), dict(backend)) for name, backend in storage.backends.items()]
    tables += [(("stores", name), dict(store)) for name, store in storage.stores.items()]
    for path, table in tables:
        for key, value in table.items():
            written = [found for found in leaves(layer.tree) if found[0][: len(path) + 1] == (*path, key)]
            for leaf, text in written:
                origin = layer.origin(leaf)
                yield Setting(format_path(leaf), _shown(leaf, text, origin), origin)
            if not written and key not in {"url", "adapter", "options"}:
                shown = list(value) if isinstance(value, tuple) else value
                yield Setting(format_path((*path, key)), _default(shown), DEFAULT_ORIGIN)


def _default(value: object) -> object:
    """Show a default as it would be written."""
    level = getattr(value, "level", None)
    return value if level is None else level


def _shown(path: KeyPath, value: object, origin: Origin) -> object:
    """Mask a value: by the keys it stands under, by the variables it takes in, and by what it looks like.

    The name of the backend or store, second in the path, says nothing of secrecy.
    """
    if any(is_secret_name(part) for part in (path[:1] + path[2:]) if isinstance(part, str)):
        return MASK
    text = origin.shown if origin.shown is not None else value
    if not isinstance(text, str):
        return text if text is None or isinstance(text, (bool, int, float, list, dict)) else str(text)
    return mask_url(text) if path[2:] == ("url",) else mask_text(text)
