"""What to tell somebody who names an adapter that is not there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from daystore.config.spelling import nearest
from daystore.plugins.environment import normalized
from daystore.plugins.records import DisabledPlugin, PluginFailure

__all__ = ["unknown_adapter_message"]

_OFFICIAL = {
    "mariadb": "daystore-sql",
    "mongo": "daystore-mongo",
    "mongodb": "daystore-mongo",
    "mysql": "daystore-sql",
    "postgres": "daystore-sql",
    "postgresql": "daystore-sql",
    "redis": "daystore-redis",
    "rediss": "daystore-redis",
    "s3": "daystore-s3",
    "sql": "daystore-sql",
    "sqlite": "daystore-sql",
}
"""Names and URL schemes of the backends that the project publishes, and the distribution of each."""


def unknown_adapter_message(
    what: str,
    name: str,
    *,
    installed: Iterable[str],
    distributions: Iterable[str],
    failures: Sequence[PluginFailure],
    disabled: Sequence[DisabledPlugin],
) -> str:
    """Return what is installed, what failed and why, what was meant, and what to install.

    Args:
        what: What was looked up: ``"adapter"`` or ``"URL scheme"``.
        name: What was asked for.
        installed: The names that would have worked.
        distributions: The distributions whose plugins were loaded.
        failures: Plugins that could not be loaded.
        disabled: Plugins that the environment switched off.
    """
    known = sorted(set(installed))
    base = name.partition("+")[0]
    parts = [f"no plugin brings the {what} {name!r}"]
    distribution = _OFFICIAL.get(name, _OFFICIAL.get(base))
    if distribution is None and (match := nearest(name, {*known, *_OFFICIAL})):
        parts.append(f"did you mean {match!r}?")
        distribution = None if match in known else _OFFICIAL[match]
    if distribution is not None:
        parts += _about_official(distribution, distributions, failures, disabled)
    parts.append(f"installed: {', '.join(known)}")
    parts += [f"failed to load: {failure}" for failure in failures]
    parts += [f"{off.source}: {off.reason}" for off in disabled]
    return "; ".join(parts)


def _about_official(
    distribution: str,
    loaded: Iterable[str],
    failures: Sequence[PluginFailure],
    disabled: Sequence[DisabledPlugin],
) -> list[str]:
    """Say what to do for a distribution of the project; one that failed or is off is told of anyway."""
    present = {failure.distribution for failure in failures} | {off.source.distribution for off in disabled}
    if distribution in map(normalized, present):
        return []
    if distribution in map(normalized, loaded):
        return [f"the installed {distribution} does not know it: pip install --upgrade {distribution}"]
    return [f"install it: pip install {distribution}"]
