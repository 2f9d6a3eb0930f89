"""S3: boto3, and stores on it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, closing
from typing import Any

import boto3
from botocore.config import Config

from benchmarks.subjects import BYTES, JSON, Codec, Field, Subject, Value
from benchmarks.subjects.daystore import OURS, OURS_BYTES, rows
from benchmarks.subjects.peers import OpenDAL
from daystore_s3.urls import Location, locate

THREADS = 64


class RawBoto3:
    """boto3 in threads, as many as it has connections. A batch is as many requests at the same time."""

    def __init__(self, client: Any, pool: ThreadPoolExecutor, place: tuple[str, str], codec: Codec) -> None:
        self._client, self._pool = client, pool
        self._bucket, self._prefix = place
        self._dumps, self._loads, self.payload = codec.dumps, codec.loads, codec.payload

    async def set(self, key: str, value: Value) -> None:
        body = self._dumps(value)
        await self._run(
            lambda: self._client.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=body)
        )

    async def get(self, key: str) -> object:
        return self._loads(await self._run(lambda: self._read(key)))

    async def set_batch(self, items: Mapping[str, Value]) -> None:
        await asyncio.gather(*(self.set(key, value) for key, value in items.items()))

    async def get_batch(self, keys: Sequence[str]) -> Any:
        return dict(zip(keys, await asyncio.gather(*map(self.get, keys)), strict=True))

    def _read(self, key: str) -> bytes:
        found = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
        body: bytes = found["Body"].read()
        return body

    async def _run(self, request: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, request)


def client_of(location: Location) -> Any:
    """Make a client with as many connections as there are threads."""
    config = Config(max_pool_connections=THREADS, s3={"addressing_style": "path"})
    return boto3.client(
        "s3",
        endpoint_url=location.endpoint_url,
        region_name=location.region or "us-east-1",
        aws_access_key_id=location.access_key,
        aws_secret_access_key=location.secret_key,
        config=config,
    )


@asynccontextmanager
async def workspace(url: str) -> AsyncIterator[str]:
    """Yield a URL with a prefix of its own in the bucket, and delete what is under it at the end."""
    location = locate(url)
    prefix = f"benchmarks-{uuid.uuid4().hex}"
    place, question, query = url.partition("?")
    try:
        yield f"{place.rstrip('/')}/{prefix}{question}{query}"
    finally:
        await asyncio.to_thread(_delete, location, f"{location.root}{prefix}/")


def _delete(location: Location, prefix: str) -> None:
    with closing(client_of(location)) as client:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=location.bucket, Prefix=prefix):
            for found in page.get("Contents", ()):
                client.delete_object(Bucket=location.bucket, Key=found["Key"])


async def version(url: str) -> str:
    """Say which server and which driver this is."""
    location = locate(url)
    with closing(client_of(location)) as client:
        answer = await asyncio.to_thread(client.head_bucket, Bucket=location.bucket)
    server = answer["ResponseMetadata"]["HTTPHeaders"].get("server", "a server without a name")
    return f"{server}, boto3 {boto3.__version__}"


async def settle(_: str) -> None:
    """Do nothing: there are no statistics to bring up to date."""


@asynccontextmanager
async def subjects(url: str) -> AsyncIterator[Field]:
    """Everything that keeps values in S3."""
    location = locate(url)
    async with AsyncExitStack() as stack:
        client = stack.enter_context(closing(client_of(location)))
        pool = stack.enter_context(ThreadPoolExecutor(THREADS))
        found: dict[str, Subject] = {
            "raw boto3": RawBoto3(client, pool, (location.bucket, f"{location.root}raw/"), JSON),
            "raw boto3, bytes": RawBoto3(client, pool, (location.bucket, f"{location.root}bytes/"), BYTES),
            **await rows(url, stack),
            "OpenDAL s3": OpenDAL(
                "s3",
                bucket=location.bucket,
                root=f"/{location.root}opendal/",
                endpoint=location.endpoint_url or "https://s3.amazonaws.com",
                region=location.region or "us-east-1",
                access_key_id=location.access_key or "",
                secret_access_key=location.secret_key or "",
            ),
        }
        yield Field(found, {OURS: "raw boto3", OURS_BYTES: "raw boto3, bytes"})
