"""Reading YAML with the safe loader, with the line of every key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daystore.config.problems import KeyPath, format_path
from daystore.errors import ConfigError

if TYPE_CHECKING:
    from yaml import MappingNode, Node

__all__ = ["parse_yaml"]

_MOST_NODES = 10_000


def parse_yaml(text: str, name: str) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    """Parse YAML.

    Args:
        text: One document.
        name: The file's, for messages.

    Returns:
        The mappings, and the line on which each key stands, counted from 1.

    Raises:
        ConfigError: If PyYAML is not installed, the text is not YAML or no mapping, a key is no text or
            stands twice, or aliases nest without end. No message repeats the text.
    """
    try:
        import yaml
    except ImportError as error:
        raise ConfigError(f'{name} is YAML, which needs PyYAML: pip install "daystore[yaml]"') from error

    lines: dict[KeyPath, int] = {}
    problem: str | None = None
    tree: object = None
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return {}, lines
        _Walk(name, lines).walk(node, (), ())
        tree = loader.construct_document(node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = f"{name}{line} is not YAML: {getattr(error, 'problem', None) or 'it cannot be parsed'}"
    except ConfigError:
        raise
    except ValueError:
        problem = f"{name} is not YAML: a value, such as a date, is out of its range"
    finally:
        loader.dispose()
    if problem:  # raised outside, so that no traceback shows PyYAML's snippet of the file
        raise ConfigError(problem)
    if not isinstance(tree, dict):
        raise ConfigError(f"{name} has to be a mapping at its top")
    return tree, lines


class _Walk:
    """Goes through a document's nodes, notes lines, and refuses what the constructed values would hide."""

    def __init__(self, name: str, lines: dict[KeyPath, int]) -> None:
        self.name = name
        self.lines = lines
        self.seen = 0

    def walk(self, node: Node, path: KeyPath, above: tuple[Node, ...]) -> None:
        from yaml import MappingNode, SequenceNode

        self.seen += 1
        if self.seen > _MOST_NODES or node in above:
            raise ConfigError(f"{self.name}: its aliases nest without end")
        if path:
            self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, SequenceNode):
            for index, item in enumerate(node.value):
                self.walk(item, (*path, index), (*above, node))
        elif isinstance(node, MappingNode):
            self.walk_mapping(node, path, (*above, node))

    def walk_mapping(self, node: MappingNode, path: KeyPath, above: tuple[Node, ...]) -> None:
        keys: set[str] = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag == "tag:yaml.org,2002:merge":
                self.walk(value, path, above)
                continue
            if key.tag != "tag:yaml.org,2002:str":
                raise ConfigError(f"{self.name}:{line}: a key has to be text; put it in quotes")
            here = (*path, key.value)
            if key.value in keys:
                raise ConfigError(f"{self.name}:{line}: the key {format_path(here)} stands there twice")
            keys.add(key.value)
            self.lines[here] = line
            self.walk(value, here, above)
