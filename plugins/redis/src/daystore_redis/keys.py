"""Names of keys on the server: the prefix of each shard, and which shard a record is in."""

from __future__ import annotations

from binascii import crc32
from typing import Final

from redis.crc import key_slot

__all__ = ["Places"]

_ESCAPED: Final = str.maketrans({"%": "%25", "{": "%7B", "}": "%7D", ":": "%3A"})


class Places:
    """Where the records of a namespace are.

    Each shard has a prefix in braces: a cluster keeps all keys with the same text in braces in one slot.

    Args:
        namespace: Any text; it is escaped so that different ones have different prefixes.
        shards: Number of shards.

    Attributes:
        prefixes: Of all keys of each shard.
        slots: The slot of each shard in a cluster.
        keys: For each shard how many keys a script is told that it uses, and which: the prefix, and the key of the
            layout. No key is called as the prefix alone, and a server that gives a slot away, or takes it over,
            runs no script of whose keys it lacks one. So scripts wait until a slot has moved as a whole.
    """

    def __init__(self, namespace: str, shards: int) -> None:
        name = namespace.translate(_ESCAPED).encode()
        self.prefixes: list[bytes] = [b"{%b:%d}:" % (name, shard) for shard in range(shards)]
        self.keys: list[tuple[bytes, bytes, bytes]] = [(b"2", p, p + b"m") for p in self.prefixes]
        self.slots: list[int] = [key_slot(prefix) for prefix in self.prefixes]

    def shard_of(self, collection: str, key: bytes) -> int:
        """Return the shard of a record."""
        return crc32(key, crc32(collection.encode())) % len(self.prefixes) if len(self.prefixes) > 1 else 0

    def record(self, shard: int, collection: str, key: bytes) -> bytes:
        """Return the name of a record's key."""
        return b"%br:%b:%b" % (self.prefixes[shard], collection.encode(), key)
