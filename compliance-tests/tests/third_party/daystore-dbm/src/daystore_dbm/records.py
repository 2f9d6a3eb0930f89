"""Records as bytes, and their places as names."""

import base64
import json
from dataclasses import fields
from datetime import datetime

from daystore.abc import KEEP, Record


def name_of(collection, key):
    return json.dumps([collection, key]).encode()


def place_of(name):
    return tuple(json.loads(name))


def encode(record):
    plain = {field.name: getattr(record, field.name) for field in fields(record)}
    plain["value"] = base64.b64encode(record.value).decode()
    plain["fields"] = {name: typed(value) for name, value in record.fields.items()}
    return json.dumps(plain).encode()


def decode(data):
    plain = json.loads(data)
    plain["value"] = base64.b64decode(plain["value"])
    plain["fields"] = {name: untyped(*value) for name, value in plain["fields"].items()}
    plain["encodings"] = tuple(plain["encodings"])
    return Record(**plain)


def typed(value):
    if isinstance(value, datetime):
        return ["datetime", value.isoformat()]
    return [type(value).__name__, value]


def untyped(kind, value):
    if kind == "datetime":
        return datetime.fromisoformat(value)
    return tuple(value) if kind == "tuple" else value


def written(put, old, now):
    kept = old.expires_at if old else None
    return Record(
        key=put.key,
        value=put.value,
        version=put.version,
        created_at=old.created_at if old else now,
        updated_at=now,
        expires_at=kept if put.expires_at is KEEP else put.expires_at,
        content_type=put.content_type,
        fields=dict(put.fields),
        schema=put.schema,
        schema_version=put.schema_version,
        encodings=put.encodings,
    )
