"""What is told of a target without its secrets: how it is chosen again, and what it raised.

A target can be a URL with a password in it. Certificates are published, and so is often what a run prints.
"""

from __future__ import annotations

import shlex
from urllib.parse import unquote

from daystore.config.secrets import MASK, mask_text, mask_url
from daystore_compliance.target import Target, UrlTarget

__all__ = ["choice", "masked", "raised"]

_LONGEST = 4_000
"""Characters of an error that are looked at: it can hold a whole value."""


def choice(target: Target, url: str | None = None) -> str:
    """Return the arguments by which ``daystore certify`` chooses a target.

    Args:
        target: The target.
        url: What to write for its URL, if it has one; the URL without its secrets unless given.
    """
    if "://" not in target.text:
        return target.text or target.name
    place = shlex.quote(mask_url(target.text)) if url is None else url
    return place if type(target) is UrlTarget else f"{target.name} --url {place}"


def masked(text: str, target: Target) -> str:
    """Hide the secrets of a target in a text, and whatever else may be one."""
    for secret in (*target.secrets, *_passwords(target.text)):
        text = text.replace(secret, MASK)
    return mask_text(text)


def raised(error: BaseException, target: Target) -> str:
    """Say in one line what a target raised."""
    told = masked(str(error).partition("\n")[0][:_LONGEST], target)
    return f"{type(error).__name__}: {told}"


def _passwords(url: str) -> set[str]:
    """Return the password of a URL, as it stands there and as it is meant; nothing if there is none to hide."""
    if "://" not in url or mask_url(url) == url:
        return set()
    user, _, _ = url.partition("://")[2].rpartition("@")
    password = user.partition(":")[2]
    return {password, unquote(password)} - {""}
