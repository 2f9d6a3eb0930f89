"""Everything that is installed, failed or switched off, as rows of one table."""

from __future__ import annotations

from dataclasses import dataclass

from daystore.hookspecs import AdapterSpec, SerializerSpec, Spec
from daystore.plugins.records import Source
from daystore.plugins.registry import Plugins

__all__ = ["Row", "report"]


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that a plugin brings, or a plugin that brings nothing.

    Attributes:
        name: By which it is chosen; for a plugin that failed, the name of its entry point.
        kind: ``adapter``, ``serializer`` …; ``plugin`` for one that failed or is switched off.
        distribution: Where it comes from.
        version: That distribution's version.
        schemes: URL schemes of an adapter.
        content_type: Of a serializer.
        capabilities: Flags that an adapter declares.
        summary: What it says of itself.
        status: ``ok``, ``failed`` or ``disabled``.
        reason: Of a failure, or of its being switched off.
    """

    name: str
    kind: str
    distribution: str
    version: str
    schemes: tuple[str, ...] = ()
    content_type: str = ""
    capabilities: tuple[str, ...] = ()
    summary: str = ""
    status: str = "ok"
    reason: str = ""

    @property
    def title(self) -> str:
        """The name, and where it comes from."""
        return f"{self.name} ({self.distribution} {self.version})" if self.distribution else self.name


def report(plugins: Plugins) -> list[Row]:
    """Return a row for everything, what works first. Nothing is imported for it."""
    rows = [
        _row(catalog.what, claim.spec, claim.source)
        for catalog in plugins.catalogs()
        for claim in catalog.claims.values()
    ]
    rows += [
        Row(f.plugin, "plugin", f.distribution, f.version, status="failed", reason=f.reason)
        for f in plugins.failures
    ]
    rows += [
        Row(s.plugin, "plugin", s.distribution, s.version, status="disabled", reason=reason)
        for s, reason in ((off.source, off.reason) for off in plugins.disabled)
    ]
    return rows


def _row(kind: str, spec: Spec, source: Source) -> Row:
    return Row(
        spec.name,
        kind,
        source.distribution,
        source.version,
        schemes=spec.schemes if isinstance(spec, AdapterSpec) else (),
        content_type=spec.content_type if isinstance(spec, SerializerSpec) else "",
        capabilities=spec.capabilities if isinstance(spec, AdapterSpec) else (),
        summary=getattr(spec, "summary", ""),
    )
