"""What a server says of itself, as far as it decides what may be promised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from daystore.errors import BackendUnavailable, ConfigError
from daystore_redis.config import RedisConfig
from daystore_redis.exchange import Exchange
from daystore_redis.packing import command

__all__ = ["Facts", "check", "learn"]

OLDEST = (6, 2)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a server says.

    Attributes:
        product: ``redis`` or ``valkey``.
        version: Its version.
        policy: What it does when it has no memory left.
        appends: Whether it keeps an append-only file.
        on_disk: Whether it acknowledges a write only when it is on the disk.
    """

    product: str
    version: str
    policy: str
    appends: bool
    on_disk: bool

    @property
    def detail(self) -> dict[str, str]:
        """The facts for people."""
        return {"server": f"{self.product} {self.version}", "maxmemory_policy": self.policy}


async def learn(exchange: Exchange, shard: int) -> Facts:
    """Ask the server of a shard.

    Raises:
        BackendUnavailable: If it cannot be reached.
    """
    info = _fields(await exchange.read("open", shard, command("INFO")))
    appends = info.get("aof_enabled") == "1"
    valkey = info.get("valkey_version")
    return Facts(
        "valkey" if valkey else "redis",
        valkey or info.get("redis_version", "0"),
        info.get("maxmemory_policy", "unknown"),
        appends,
        appends and await _always_flushed(exchange, shard),
    )


async def _always_flushed(exchange: Exchange, shard: int) -> bool:
    try:
        found: Any = await exchange.read("open", shard, command("CONFIG", "GET", "appendfsync"))
    except BackendUnavailable as error:
        if error.retryable:
            raise
        return False  # we may not ask, so we do not promise
    values = found.values() if isinstance(found, dict) else found[1:]
    return b"always" in values


def _fields(text: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in text.decode(errors="replace").splitlines())
    return {name: value for name, colon, value in lines if colon}


def check(facts: Facts, config: RedisConfig) -> None:
    """Refuse a server that would lose records without telling.

    Raises:
        ConfigError: If that is so, or it is too old for what is asked for.
    """
    if facts.policy not in ("noeviction", "unknown") and not config.cache:
        raise ConfigError(
            f"the server has the maxmemory-policy {facts.policy!r}, so it may throw records away when its memory "
            "is full: set it to 'noeviction', or open it with cache=True if the data may be lost"
        )
    if _number(facts) < OLDEST and facts.product == "redis":
        raise ConfigError(f"the server is Redis {facts.version}: daystore-redis needs 6.2 or later")
    if config.durability == "aof" and facts.product == "redis" and _number(facts) < (7, 2):
        raise ConfigError(
            f"durability='aof' needs Redis 7.2 or later, and the server is {facts.version}: set 'appendfsync "
            "always' in its configuration instead"
        )
    if config.durability == "aof" and not facts.appends:
        raise ConfigError(
            "durability='aof' needs an append-only file: set 'appendonly yes' in the server's configuration"
        )


def _number(facts: Facts) -> tuple[int, ...]:
    return tuple(int(part) for part in facts.version.split(".")[:2] if part.isdigit())
