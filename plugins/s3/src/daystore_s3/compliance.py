"""The targets of the compliance suite."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from typing import Any, ClassVar, Self, cast
from urllib.parse import urlsplit

import boto3
import orjson
from botocore.config import Config

from daystore.abc import Clock, StorageAdapter
from daystore_compliance.services import LocalProcess, Service, ServiceTarget
from daystore_compliance.target import Raw
from daystore_s3.adapter import S3Adapter
from daystore_s3.markers import decode_notes, mark_of, owner_of
from daystore_s3.objects import decode, holds_record
from daystore_s3.opening import LAYOUT
from daystore_s3.places import Places
from daystore_s3.urls import locate

__all__ = ["MinioTarget", "MotoTarget", "S3Target"]

USER, PASSWORD = "daystore", "swordfish-4711"  # of servers that only the suite starts
BUCKET = "daystore-test"
URL = f"s3://{USER}:{PASSWORD}@{BUCKET}?endpoint_url=http://127.0.0.1:{{port}}"


@contextmanager
def client_of(url: str) -> Iterator[Any]:
    """Return a client of the server of a URL."""
    location = locate(url.partition("&daystore_")[0])
    client: Any = boto3.client(
        "s3",
        endpoint_url=location.endpoint_url,
        region_name=location.region or "us-east-1",
        aws_access_key_id=location.access_key,
        aws_secret_access_key=location.secret_key,
        config=Config(
            connect_timeout=2,
            read_timeout=5,
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
        ),
    )
    with closing(client):
        yield client


def _probe(url: str) -> None:
    bucket = locate(url.partition("&daystore_")[0]).bucket
    with client_of(url) as client:
        if bucket not in [found["Name"] for found in client.list_buckets()["Buckets"]]:
            client.create_bucket(Bucket=bucket)


_VERSITYGW = ("versitygw", "--quiet", "--keep-alive", "--access", USER, "--secret", PASSWORD, "--port")
VERSITYGW = Service(
    name="versitygw",
    image="versity/versitygw:v1.8.0",
    build="versitygw",
    port=7070,
    url=URL,
    probe=_probe,
    arguments=(*_VERSITYGW[1:], ":7070", "posix", "/data"),
    local=LocalProcess(
        (*_VERSITYGW, "127.0.0.1:{port}", "posix", "{directory}/data"),
        prepare=(("mkdir", "data"),),
        install="go install github.com/versity/versitygw/cmd/versitygw@v1.8.0",
    ),
)
MINIO = Service(
    name="minio",
    image="minio/minio:latest",
    build="minio",
    port=9000,
    url=URL,
    probe=_probe,
    arguments=("server", "/data", "--address", ":9000"),
    environment={"MINIO_ROOT_USER": USER, "MINIO_ROOT_PASSWORD": PASSWORD},
    local=LocalProcess(
        (
            *("env", f"MINIO_ROOT_USER={USER}", f"MINIO_ROOT_PASSWORD={PASSWORD}"),
            *("minio", "server", "{directory}/data", "--address", "127.0.0.1:{port}"),
        ),
        install="go install github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c",
    ),
)
MOTO = Service(
    name="moto",
    image="",
    url=URL,
    probe=_probe,
    local=LocalProcess(
        (sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "{port}"),
        install="pip install 'moto[server]'",
    ),
)


class S3Target(ServiceTarget):
    """VersityGW: one server, whose data go with it; it enforces conditions also when an object is deleted."""

    name = "s3"
    service: ClassVar[Service] = VERSITYGW
    hooks: frozenset[str] = frozenset(
        {"crash", "fresh", "future", "process", "proxy", "raw", "reopen", "second"}
    )
    case_seconds: float = 120.0
    options: ClassVar[dict[str, Any]] = {}

    def adapter(self, url: str, namespace: str, clock: Clock) -> StorageAdapter:
        """Return a closed adapter."""
        return S3Adapter.from_url(url, namespace=namespace, clock=clock, **self.options)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the server, which the URL names in its parameters."""
        parts = urlsplit(locate(self.url).endpoint_url or "")
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)

    def at(self, host: str, port: int) -> Self:
        """Return this target, with its server reached at another address."""
        other = super().at(host, port)
        ours, theirs = (f"{h}:{p}" for h, p in (self.address, (host, port)))
        other._reach(self.url.replace(f"//{ours}", f"//{theirs}"))
        return other

    async def raw(self, adapter: StorageAdapter) -> Raw:
        """Count what is kept of records and beside them.

        Tombstones, which fence off late requests, do not count, nor do the notes of writes that were broken
        off, what those name, and the markers of intents that were never made: they stay until no request can be
        under way, and then the sweep takes them. A deadline counts only where its record is gone. What commits
        do after their answer is waited for.
        """
        if adapter.coordinator is not None:
            await adapter.coordinator.drain(adapter.timeout)
        adapter = cast("S3Adapter", adapter)
        raw = await asyncio.to_thread(self._count, adapter)
        return replace(raw, entries=raw.entries + len(await asyncio.to_thread(self._orphans, adapter)))

    def _count(self, adapter: S3Adapter) -> Raw:
        root = adapter.places.root
        with client_of(self.url) as client:
            pages = client.get_paginator("list_objects_v2").paginate(
                Bucket=adapter.location.bucket, Prefix=root
            )
            sizes = {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", ())}
            notes = {name for name in sizes if _kind_of(root, name) == ("s", "d")}
            named = {name for note in notes for name in _named(client, adapter.location.bucket, note)}
            named |= {name for name in sizes if _is_unprepared(client, adapter, name)}
        there = {name for name, size in sizes.items() if name.startswith(f"{root}r/") and holds_record(size)}
        beside = {name for name in sizes if _kind_of(root, name)[0] in ("f", "i", "s")} - notes - named
        return Raw(len(there), sum(_record_of(root, name) not in there for name in beside))

    def _orphans(self, adapter: S3Adapter) -> set[str]:
        """Return the parts that no record names."""
        bucket, places = adapter.location.bucket, adapter.places
        with client_of(self.url) as client:
            parts = set(_listed(client, bucket, f"{places.root}p/"))
            owners = {part.rpartition("/")[0] for part in parts}
            for name in _listed(client, bucket, f"{places.root}r/") if parts else ():
                collection = name[len(places.root) :].split("/")[1]
                key = places.key_of(places.records(collection), name)
                if f"{places.parts(collection)}{places.owner(key)}" not in owners:
                    continue
                if (body := _body(client, bucket, name)) is not None:
                    kept = decode(collection, key, body)
                    parts -= {part for one in kept.parts for part in one.names(places, collection, key)}
        return parts

    def from_the_future(self) -> Callable[[], None]:
        """Stamp every namespace with a layout that is still to come."""
        self._stamp(9999)
        return lambda: self._stamp(LAYOUT)

    def _stamp(self, layout: int) -> None:
        bucket = locate(self.url).bucket
        with client_of(self.url) as client:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
            for item in (item for page in pages for item in page.get("Contents", ())):
                if item["Key"].endswith("/m/layout"):
                    with suppress(client.exceptions.NoSuchKey):
                        body = orjson.dumps({"layout": layout})
                        client.put_object(Bucket=bucket, Key=item["Key"], Body=body)


def _kind_of(root: str, name: str) -> tuple[str, str]:
    """Return of which kind an object of a namespace is: records, markers, intents; notes or deadlines."""
    kind, _, family, *_ = *name[len(root) :].split("/", 3), "", ""
    return kind, family


def _body(client: Any, bucket: str, name: str) -> bytes | None:
    try:
        body: bytes = client.get_object(Bucket=bucket, Key=name)["Body"].read()
    except client.exceptions.NoSuchKey:
        return None
    return body


def _named(client: Any, bucket: str, note: str) -> set[str]:
    """Return what a note names; nothing if it is gone."""
    body = _body(client, bucket, note)
    return set() if body is None else {name for one in decode_notes(body) for name in one.names}


def _is_unprepared(client: Any, adapter: S3Adapter, name: str) -> bool:
    """Tell whether an object is the marker of an intent that its record does not carry."""
    places, bucket = adapter.places, adapter.location.bucket
    if not name.startswith(places.intents):
        return False
    collection, _, path = name[len(places.intents) :].partition("/")
    key = owner_of(path.rpartition("/")[0]) or (_body(client, bucket, name) or b"").decode()
    body = _body(client, bucket, places.record(collection, key))
    return body is None or name not in mark_of(places, collection, key, decode(collection, key, body))


def _listed(client: Any, bucket: str, prefix: str) -> Iterator[str]:
    """Go through the names that begin with a prefix."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return (item["Key"] for page in pages for item in page.get("Contents", ()))


def _record_of(root: str, name: str) -> str | None:
    """Return the record whose deadline has a name; ``None`` if that is none."""
    if _kind_of(root, name) != ("s", "e"):
        return None
    _, collection, _, _, *owner, _ = name[len(root) :].split("/")
    return f"{root}r/{collection}/{'/'.join(owner)}"


class MinioTarget(S3Target):
    """MinIO: one server, whose data go with it; it ignores conditions when an object is deleted."""

    name = "s3-minio"
    service: ClassVar[Service] = MINIO
    options: ClassVar[dict[str, Any]] = {
        "part_size": 64 * 1024
    }  # so that large values of all cases are in parts


class MotoTarget(S3Target):
    """Moto: an imitation of AWS in memory, for what the others do not do."""

    name = "s3-moto"
    service: ClassVar[Service] = MOTO
    hooks: frozenset[str] = S3Target.hooks - {"crash"}
    case_seconds: float = 240.0  # it answers 200 requests a second, and the largest case makes 30,000
    options: ClassVar[dict[str, Any]] = {"durable": False}

    async def forget(self, namespace: str) -> None:
        """Remove the objects of a namespace: the server looks at every object of a bucket for each listing."""
        await asyncio.to_thread(self._remove, namespace)

    def _remove(self, namespace: str) -> None:
        location = locate(self.url)
        names = {"Bucket": location.bucket, "Prefix": Places(location.root, namespace).root}
        with client_of(self.url) as client:
            while found := client.list_objects_v2(**names).get("Contents"):
                gone = [{"Key": item["Key"]} for item in found]
                client.delete_objects(Bucket=location.bucket, Delete={"Objects": gone, "Quiet": True})
