"""What a write waits for after it was applied."""

from __future__ import annotations

from daystore_redis.packing import command

__all__ = ["Durability"]


class Durability:
    """What a write waits for after it was applied.

    Args:
        on_disk: Whether the server has to have it on its disk.
        replicas: How many replicas have to have it.
    """

    def __init__(self, *, on_disk: bool, replicas: int) -> None:
        self.on_disk: bool = on_disk
        self.replicas: int = replicas

    @property
    def waits(self) -> bool:
        """Whether there is anything to wait for."""
        return self.on_disk or self.replicas > 0

    def request(self, timeout: float | None) -> bytes:
        """Pack the command that waits, at most for `timeout` seconds."""
        limit = str(0 if timeout is None else max(1, int(timeout * 1000)))
        if self.on_disk:
            return command("WAITAOF", "1", str(self.replicas), limit)
        return command("WAIT", str(self.replicas), limit)

    def is_met(self, answer: object) -> bool:
        """Tell whether the answer says that it was not waited in vain."""
        if isinstance(answer, list):
            return bool(answer[0] >= 1 and answer[1] >= self.replicas)
        return isinstance(answer, int) and answer >= self.replicas
