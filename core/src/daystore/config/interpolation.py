"""``${VARIABLE}`` in a configuration file: secrets stay in the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from daystore.config.problems import KeyPath, Problem
from daystore.config.secrets import MASK, is_secret_name
from daystore.config.spelling import nearest

__all__ = ["Interpolation"]

_REFERENCE = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\})?")


@dataclass(slots=True)
class Interpolation:
    """Replaces references to environment variables in the values of a file.

    ``${NAME}`` is the variable's value, and has to be set; ``${NAME:-text}`` is the text where the variable
    is unset or empty; ``$${`` is a literal ``${``. What a variable holds is not looked through again.

    Attributes:
        environ: Where variables are looked up.
        used: The variables that each value refers to, by path.
        shown: Each such value, with the variables masked whose name says that they are secret, by path.
        problems: Variables that are not set, and references that are malformed.
    """

    environ: Mapping[str, str]
    used: dict[KeyPath, tuple[str, ...]] = field(default_factory=dict)
    shown: dict[KeyPath, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def apply(self, value: object, path: KeyPath) -> object:
        """Return a value with the references in it, and in what it contains, replaced."""
        if isinstance(value, str):
            return self._text(value, path) if "${" in value else value
        if isinstance(value, dict):
            return {key: self.apply(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.apply(item, (*path, index)) for index, item in enumerate(value)]
        return value

    def _text(self, text: str, path: KeyPath) -> str:
        names: list[str] = []
        replaced, shown, end = "", "", 0
        for reference in _REFERENCE.finditer(text):
            name, default = reference.groups()
            secret = False
            if reference[0] == "$${":
                value = "${"
            elif name is None:
                self._refuse(path, "a reference is ${NAME} or ${NAME:-default}, and a literal '${' is '$${'")
                value = ""
            else:
                names.append(name)
                value = self._value(name, default, path)
                secret = is_secret_name(name)
            between = text[end : reference.start()]
            replaced += between + value
            shown += between + (MASK if secret else value)
            end = reference.end()
        if names:
            self.used[path] = tuple(dict.fromkeys(names))
            self.shown[path] = shown + text[end:]
        return replaced + text[end:]

    def _value(self, name: str, default: str | None, path: KeyPath) -> str:
        value = self.environ.get(name)
        if default is not None:
            return value or default
        if value is None:
            match = nearest(name, self.environ)
            hint = f"; did you mean {match!r}?" if match else ""
            self._refuse(path, f"the environment variable {name!r} is not set{hint}")
        return value or ""

    def _refuse(self, path: KeyPath, message: str) -> None:
        self.problems.append(Problem(path, message))
