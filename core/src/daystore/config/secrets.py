"""Hiding what must not be seen: passwords in URLs, and values whose name says that they are secret.

Masking errs on the side of hiding. A URL that is malformed is the likeliest to hold a password where none
is expected, so everything that might be one goes.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

__all__ = ["MASK", "is_secret_name", "mask_text", "mask_url"]

MASK: Final = "***"

_SECRET_PARTS = ("passw", "passphrase", "secret", "token", "credential", "apikey", "accesskey", "privatekey")
_SECRET_WORDS = frozenset({
    "auth", "authorization", "cookie", "key", "keys", "pass", "pw", "pwd", "sas", "session", "sig",
    "signature",
})  # fmt: skip
_WORD_BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")

# Schemes whose URLs hold a path where others hold a host: an '@' in there belongs to a file's name.
_PATH_SCHEMES = frozenset({"file", "memory", "sqlite"})

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+?(?=['\"<>,.;:)\]]*(?:\s|\Z))")
_PAIR = re.compile(
    r"\b([A-Za-z][\w.-]*)([\"']?\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|(?:Bearer|Basic)\s+\S+|[^\s,;&]+)",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]*(%\w+)?\]|[^:\[\]]+)(:\d{0,5})?|")


def is_secret_name(name: str) -> bool:
    """Tell whether a value called `name` has to be hidden, like ``password`` and ``X-Amz-Signature``."""
    words = [word.lower() for word in _WORD_BOUNDARY.split(name)]
    joined = "".join(words)
    return any(part in joined for part in _SECRET_PARTS) or not _SECRET_WORDS.isdisjoint(words)


def mask_url(url: str) -> str:
    """Return a URL without its secrets, for people.

    The user's name, the hosts, the path and harmless parameters stay. The password goes, and so does every
    parameter with a secret name, a nested URL, and whatever might be a password in a URL that is malformed.
    What is no URL at all is hidden as a whole.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        return MASK
    if rest.startswith("/") and scheme.lower().partition("+")[0] in _PATH_SCHEMES:
        return f"{scheme}://{_mask_tail(rest)}"
    # The last '@' counts, not the first '/': an unescaped password can hold '/', '?', '#' and '@'.
    user, at, address = rest.rpartition("@")
    hosts, *tail = re.split(r"(?=[/?#])", address, maxsplit=1)
    shown = f"{scheme}://{_mask_user(user) if at else ''}{at}"
    if suspect := next((host for host in hosts.split(",") if not _HOST.fullmatch(host)), None):
        # What stands after a colon and is no port may be a password whose '@host' was forgotten.
        return f"{shown}{suspect.partition(':')[0]}:{MASK}"
    return f"{shown}{hosts}{_mask_tail(''.join(tail))}"


def mask_text(text: str) -> str:
    """Hide the secrets of URLs and of ``name=value`` in a text, such as somebody else's error message."""
    text = _URL.sub(lambda match: mask_url(match[0]), text)

    def hide(match: re.Match[str]) -> str:
        name, separator, value = match.groups()
        hidden = is_secret_name(name) and not value.startswith("//")
        return f"{name}{separator}{MASK if hidden else value}"

    return _PAIR.sub(hide, text)


def _mask_user(user: str) -> str:
    """Keep a name that has a password beside it; a lone name may be a token."""
    name, colon, _ = user.partition(":")
    if not colon or re.search(r"[/?#@\s]", name):
        return MASK
    return f"{name}:{MASK}"


def _mask_tail(tail: str) -> str:
    """Hide secret parameters of the query and of the fragment; the path stays."""
    path, *parts = re.split(r"([?#&;])", tail)
    masked = [part if index % 2 == 0 else _mask_parameter(part) for index, part in enumerate(parts)]
    return path + "".join(masked)


def _mask_parameter(parameter: str) -> str:
    name, equals, value = parameter.partition("=")
    plain = unquote(value)
    nested = "@" in plain or "://" in plain
    return f"{name}={MASK}" if equals and value and (nested or is_secret_name(unquote(name))) else parameter
