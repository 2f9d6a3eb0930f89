"""URLs of backends. A driver's own parser reads them; only the parameters ``daystore_*`` are ours."""

from __future__ import annotations

import re
from urllib.parse import unquote

from daystore.config.secrets import mask_url
from daystore.errors import ConfigError

__all__ = ["PARAMETER_PREFIX", "scheme_of", "split_url"]

PARAMETER_PREFIX = "daystore_"

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")


def scheme_of(url: str) -> str:
    """Return the scheme of a URL in lower case.

    Raises:
        ConfigError: If there is none. The message does not repeat the text, which may hold a password.
    """
    scheme, separator, _ = url.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        raise ConfigError(
            "not a URL: it has to begin with a scheme and '://', such as 'sqlite:///agent.db' or 'memory://'"
        )
    return scheme.lower()


def split_url(url: str) -> tuple[str, dict[str, str]]:
    """Separate our own parameters from a URL.

    Args:
        url: Such as ``"redis://host/0?ssl=1&daystore_namespace=prod"``.

    Returns:
        The URL without them, everything else as it was, to the byte; and the options by name without the
        prefix, percent-decoded (a ``+`` is a plus).

    Raises:
        ConfigError: If one of ours is given twice or has no name.
    """
    before, hash_mark, fragment = url.partition("#")
    address, question_mark, query = before.partition("?")
    if PARAMETER_PREFIX not in unquote(query):
        return url, {}
    options: dict[str, str] = {}
    theirs = []
    for pair in query.split("&"):
        raw_name, _, value = pair.partition("=")
        parameter = unquote(raw_name)
        if not parameter.startswith(PARAMETER_PREFIX):
            theirs.append(pair)
            continue
        name = parameter.removeprefix(PARAMETER_PREFIX)
        if not name:
            raise ConfigError(f"a parameter '{PARAMETER_PREFIX}' without a name in {mask_url(url)}")
        if name in options:
            raise ConfigError(f"the parameter {parameter!r} is given twice in {mask_url(url)}")
        options[name] = unquote(value)
    if not options:
        return url, {}
    kept = f"{question_mark}{'&'.join(theirs)}" if theirs else ""
    return f"{address}{kept}{hash_mark}{fragment}", options
