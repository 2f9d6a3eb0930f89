"""URLs: which bucket they name, on which server, and who asks."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from daystore.errors import ConfigError

__all__ = ["Location", "locate"]

FORM: Final = (
    "s3://bucket/prefix?region=eu-central-1, with endpoint_url=http://host:port for another server than AWS"
)
PARAMETERS: Final = ("endpoint_url", "region")
MAX_PREFIX: Final = 100
"""Characters of a prefix: names of objects end at 1,024 bytes, and keys need most of them."""
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_PREFIX: Final = re.compile(r"(?!\.{1,2}(?:/|$))[A-Za-z0-9._=-]+(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._=-]+)*")
_DIRECTORY: Final = "--x-s3"


@dataclass(frozen=True, slots=True)
class Location:
    """Where the data are.

    Attributes:
        bucket: Name of the bucket.
        root: What the names of all objects begin with: empty, or with a slash at its end.
        endpoint_url: Of the server; ``None`` for AWS.
        region: Of the bucket; ``None`` for that of the environment.
        access_key: Who asks; ``None`` for whom the environment names.
        secret_key: The password that goes with it.
    """

    bucket: str
    root: str
    endpoint_url: str | None = None
    region: str | None = None
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)


def locate(url: str) -> Location:
    """Read a URL.

    Raises:
        ConfigError: If it cannot be used. The message does not repeat it: it may hold a password.
    """
    scheme, _, rest = url.partition("://")
    if scheme.lower() != "s3" or not rest:
        raise ConfigError(f"the URL of the s3 adapter reads {FORM}")
    place, _, query = rest.partition("?")
    login, at, address = place.rpartition("@")
    bucket, _, prefix = address.partition("/")
    access_key, secret_key = _credentials(login) if at else (None, None)
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := sorted(parameters.keys() - set(PARAMETERS)):
        raise ConfigError(
            f"a URL of the s3 adapter has no parameter {unknown[0]!r}: there are {', '.join(PARAMETERS)}, and the "
            "options of the adapter as 'daystore_…'"
        )
    return Location(
        _bucket(bucket),
        _root(prefix),
        _endpoint(parameters.get("endpoint_url")),
        parameters.get("region") or None,
        access_key,
        secret_key,
    )


def _credentials(login: str) -> tuple[str, str]:
    access_key, colon, secret_key = login.partition(":")
    if not (access_key and colon and secret_key):
        raise ConfigError("a URL with credentials reads s3://access_key:secret_key@bucket/prefix")
    return unquote(access_key), unquote(secret_key)


def _bucket(bucket: str) -> str:
    if bucket.endswith(_DIRECTORY):
        raise ConfigError(
            "a directory bucket lists its objects in no order, so it can answer no ordered query: use a general "
            "purpose bucket"
        )
    if not _BUCKET.fullmatch(bucket):
        raise ConfigError(f"the URL names no bucket: it reads {FORM}")
    return bucket


def _root(prefix: str) -> str:
    prefix = unquote(prefix).strip("/")
    if prefix and (len(prefix) > MAX_PREFIX or not _PREFIX.fullmatch(prefix)):
        raise ConfigError(
            f"a prefix is at most {MAX_PREFIX} letters, digits and '.', '_', '=', '-', in parts divided by '/'"
        )
    return f"{prefix}/" if prefix else ""


def _endpoint(endpoint_url: str | None) -> str | None:
    if endpoint_url is None:
        return None
    try:
        parts = urlsplit(endpoint_url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or "@" in endpoint_url:
        raise ConfigError("endpoint_url reads http://host:port or https://host:port, without credentials")
    return endpoint_url
