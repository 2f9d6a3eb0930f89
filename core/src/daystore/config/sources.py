"""Where a configuration is read from: a file, a mapping, or a place that is looked up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from daystore.config.interpolation import Interpolation
from daystore.config.layers import Layer, Origin, Tree
from daystore.config.problems import KeyPath
from daystore.config.toml import parse_toml
from daystore.errors import ConfigError

__all__ = ["CONFIG_VARIABLE", "find_file", "read_file", "read_mapping"]

CONFIG_VARIABLE = "DAYSTORE_CONFIG"
_DEFAULT_FILE = "daystore.toml"
_PROJECT_FILE = "pyproject.toml"


def find_file(environ: Mapping[str, str]) -> Path | None:
    """Return the file that is read where none is named.

    That is the one in ``DAYSTORE_CONFIG``; else ``daystore.toml`` in the working directory; else
    ``pyproject.toml`` there, if it has a table ``[tool.daystore]``. Other directories are not searched.

    Raises:
        ConfigError: If ``DAYSTORE_CONFIG`` names no file.
    """
    if named := environ.get(CONFIG_VARIABLE):
        if not Path(named).is_file():
            raise ConfigError(f"{CONFIG_VARIABLE} names {named!r}, which is no file")
        return Path(named)
    if Path(_DEFAULT_FILE).is_file():
        return Path(_DEFAULT_FILE)
    project = Path(_PROJECT_FILE)
    if project.is_file() and "tool.daystore" in _read_text(project) and read_file(project, {})[0].tree:
        return project
    return None


def read_file(path: Path, environ: Mapping[str, str]) -> tuple[Layer, Interpolation]:
    """Read a TOML or YAML file; of a ``pyproject.toml`` its table ``[tool.daystore]``.

    Args:
        path: The file.
        environ: What ``${NAME}`` in a value refers to.

    Returns:
        What it says, and what became of the references in it.

    Raises:
        ConfigError: If it cannot be read or parsed.
    """
    tree, lines = _parse(path)
    prefix: KeyPath = ()
    if path.name == _PROJECT_FILE:
        prefix = ("tool", "daystore")
        tree = tree.get("tool", {}).get("daystore", {})
        if not isinstance(tree, dict):
            raise ConfigError(f"{path}: tool.daystore has to be a table")
    interpolation = Interpolation(environ)
    values = {key: interpolation.apply(value, (key,)) for key, value in tree.items()}
    layer = Layer(values, {(): Origin("file", str(path))})
    for key, line in lines.items():
        if key[: len(prefix)] == prefix:
            layer.origins[key[len(prefix) :]] = Origin("file", f"{path}:{line}")
    for key, variables in interpolation.used.items():
        layer.origins[key] = replace(layer.origin(key), variables=variables, shown=interpolation.shown[key])
    return layer, interpolation


def read_mapping(mapping: Mapping[str, object], origin: Origin) -> Layer:
    """Take a mapping as a layer. It is copied; its values are taken as they are, without interpolation.

    Raises:
        ConfigError: If a key is no text.
    """
    return Layer(_plain_table(mapping), {(): origin})


def _plain_table(mapping: Mapping[Any, object]) -> Tree:
    for key in mapping:
        if not isinstance(key, str):
            raise ConfigError(f"a configuration's keys are text; one is of type {type(key).__name__}")
    return {key: _plain(value) for key, value in mapping.items()}


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return _plain_table(value)
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [_plain(item) for item in value]
    return value


def _parse(path: Path) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    text = _read_text(path)
    if path.suffix in {".yaml", ".yml"}:
        from daystore.config.yaml import parse_yaml

        return parse_yaml(text, str(path))
    if path.suffix != ".toml":
        raise ConfigError(f"{str(path)!r}: a configuration file ends in .toml, .yaml or .yml")
    try:
        return parse_toml(text)
    except ValueError as error:
        problem = f"{path} is not TOML: {error}"
    # Raised outside: the parser's error can hold the whole file, passwords included.
    raise ConfigError(problem)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{str(path)!r} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        problem = f"{str(path)!r} cannot be read: it is not UTF-8"
    raise ConfigError(problem)
