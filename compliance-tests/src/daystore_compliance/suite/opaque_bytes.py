"""Values that look like something: an adapter never looks inside, so they stay what they are."""

from __future__ import annotations

import base64
import bz2
import gzip
import lzma
import pickle
import zlib
from typing import Final

from daystore.abc import Put, WriteBatch
from daystore_compliance.case import case
from daystore_compliance.env import Env

_TEXT: Final = b"what was compressed, " * 20

LOOKS: Final[dict[str, bytes]] = {
    "zlib": zlib.compress(_TEXT),
    "zlib, stored": zlib.compress(b"x", 0),
    "gzip": gzip.compress(_TEXT, mtime=0),
    "bz2": bz2.compress(_TEXT),
    "xz": lzma.compress(_TEXT),
    "zstd": b"\x28\xb5\x2f\xfd\x04\x00\x09\x00\x00a\x99\xe9\xd8\x51",
    "begins as zlib": b"x\x9c and goes on otherwise",
    "pickle": pickle.dumps([1, 2]),
    "digits": b"42",
    "zeros before": b"007",
    "plus": b"+1",
    "minus zero": b"-0",
    "float": b"1.50",
    "exponent": b"1e3",
    "spaces around": b" 42 ",
    "line ends": b"a\r\nb\rc\n",
    "mark of UTF-8": b"\xef\xbb\xbfa",
    "mark of UTF-16": b"\xff\xfea\x00",
    "no UTF-8": b"\xc3\x28\xff",
    "quoted": b'"a"',
    "JSON": b'{"b": 1,  "a": 2}',
    "base64": base64.b64encode(_TEXT),
    "hex": b"\\x6162",
    "null": b"null",
    "None": b"None",
    "nil": b"\x00",
    "zeros behind": b"a\0\0\0",
    "MessagePack": b"\x82\xa1a\x01\xa1b\x02",
    "BSON": b"\x05\x00\x00\x00\x00",
    "SQLite": b"SQLite format 3\x00",
    "gone": b"__deleted__",
    "tombstone": b"\x7f\x01",
    "pointer": b"s3://bucket/key",
    "nothing": b"",
}
"""Bytes that drivers and caches have taken for something, by what they look like."""


@case("rec.opaque_values")
async def opaque_values(env: Env) -> None:
    """A value that looks compressed, numeric, quoted or deleted comes back byte for byte, on every path."""
    records = env.records()
    puts = [Put(records.name, name, value, content_type="text/plain") for name, value in LOOKS.items()]
    for put in puts[::2]:
        await records.write(put)
    await env.adapter.write(WriteBatch(puts[1::2]))
    await records.expect(LOOKS)
    turned = dict(zip(LOOKS, reversed(LOOKS.values()), strict=True))
    puts = [Put(records.name, name, value, content_type="application/json") for name, value in turned.items()]
    await env.adapter.write(WriteBatch(puts, atomic=env.capabilities.atomic_batch))
    await records.expect(turned)
