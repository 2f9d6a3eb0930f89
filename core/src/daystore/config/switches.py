"""What is on or off, as people write it."""

from __future__ import annotations

__all__ = ["parse_switch"]


def parse_switch(value: object) -> bool | None:
    """Return whether something is on; ``None`` if that is left to the default.

    Args:
        value: A `bool`, ``"true"`` or ``"false"``; ``None`` or ``"default"``.

    Raises:
        ValueError: If it is another text.
        TypeError: If it is of another type.
    """
    if value is None or value == "default":
        return None
    if isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise TypeError(f"should be true, false or 'default', not {type(value).__name__}")
    if value not in ("true", "false"):
        raise ValueError("should be true, false or 'default'")
    return value == "true"
