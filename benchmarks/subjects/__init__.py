"""What is measured: daystore, raw drivers as the floor, and peers, all behind the same calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

import orjson

Value: TypeAlias = dict[str, Any] | bytes
"""What a subject is given to keep: an object, or the bytes of its JSON."""

PAYLOAD: Value = {
    "id": "msg-000001",
    "role": "assistant",
    "content": "The reservation was found. It leaves on Monday at 09:40 and can be changed without a fee. "
    * 2,
    "tool_calls": [{"id": "call-1", "name": "get_reservation", "arguments": '{"reservation": "ABC123"}'}],
    "usage": {"prompt_tokens": 1834, "completion_tokens": 57, "cost": 0.00345},
    "tags": ["travel", "change"],
    "final": False,
    "parent": None,
}
"""455 bytes of JSON, as one message of an agent has."""


POOL = 10
"""Connections that a SQL driver's pool holds: what asyncpg and asyncmy hold unless told otherwise."""


class Subject(Protocol):
    """Something that keeps values by key."""

    @property
    def payload(self) -> Value:
        """The value that it is given, over and over."""

    async def set(self, key: str, value: Value) -> object:
        """Write one."""

    async def get(self, key: str) -> object:
        """Read one; ``None`` if it is not there."""


@runtime_checkable
class BatchSubject(Subject, Protocol):
    """Something that also writes and reads many at once."""

    async def set_batch(self, items: Mapping[str, Value]) -> object:
        """Write many."""

    async def get_batch(self, keys: Sequence[str]) -> Any:
        """Read many; as many answers as there are keys."""


@dataclass(frozen=True)
class Codec:
    """How a raw driver's value becomes bytes.

    Attributes:
        dumps: Makes the bytes.
        loads: Makes the value again.
        payload: What is to be kept.
    """

    dumps: Callable[[Any], bytes]
    loads: Callable[[bytes], Any]
    payload: Value


JSON = Codec(orjson.dumps, orjson.loads, PAYLOAD)
"""An object in, an object out: what a store does."""

BYTES = Codec(bytes, bytes, orjson.dumps(PAYLOAD))
"""Bytes in, bytes out: what an adapter does."""


@dataclass(frozen=True)
class Field:
    """The subjects of one part, ready to be measured; the first one is the floor.

    Attributes:
        subjects: By the name that their row has.
        floors: For rows of daystore, the raw row that does the same job: the goals compare these two.
    """

    subjects: Mapping[str, Subject]
    floors: Mapping[str, str] = field(default_factory=dict)
