"""``daystore doctor``: does everything that is installed and configured work?"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from daystore.cli.output import print_json, print_line, print_table
from daystore.config import is_configured, load
from daystore.config.secrets import mask_text, mask_url
from daystore.errors import ConfigError, DaystoreError
from daystore.plugins import Plugins
from daystore.plugins.report import report

if TYPE_CHECKING:
    from daystore.abc import Health, StorageAdapter

__all__ = ["doctor"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        check: What was looked at.
        name: Which one.
        ok: Whether it works.
        detail: Facts, or what is wrong.
        milliseconds: How long it took; ``None`` where that says nothing.
    """

    check: str
    name: str
    ok: bool
    detail: str
    milliseconds: float | None = None


async def doctor(
    *,
    file: Path | None = None,
    url: str | None = None,
    limit: Annotated[float, Parameter(name="--timeout")] = 10.0,
    json: bool = False,
) -> int:
    """Check plugins and backends, one by one.

    Opening a backend creates what it lacks, such as the file of a database. Ends with 1 if anything is wrong.

    Args:
        file: The configuration to read, instead of the one that is found.
        url: A backend to check, instead of those that are configured.
        limit: Seconds that a backend or a health check may take.
        json: Print JSON instead of a table.
    """
    plugins = Plugins.load(strict=False)
    findings = [*_check_plugins(plugins), *_check_drivers(plugins)]
    backends: dict[str, Callable[[], StorageAdapter]] = {}
    if url is not None:
        backends[mask_url(url)] = partial(plugins.open_adapter, url)
    elif file is not None or is_configured(os.environ):
        finding, backends = _check_configuration(file, plugins)
        findings.append(finding)
    findings += [await _check_backend(name, make, limit) for name, make in backends.items()]
    findings += [await _check_health(name, plugins, limit) for name in plugins.health_checks]
    if json:
        print_json([asdict(finding) for finding in findings])
    else:
        _print(findings)
    return 0 if all(finding.ok for finding in findings) else 1


def _check_plugins(plugins: Plugins) -> Iterator[Finding]:
    for row in report(plugins):
        if row.status != "ok":
            yield Finding("plugin", row.title, row.status == "disabled", row.reason)


def _check_drivers(plugins: Plugins) -> Iterator[Finding]:
    """Import each adapter with its driver: installed is not yet importable."""
    for name in plugins.adapters:
        try:
            plugins.adapter_class(name)
        except ConfigError as error:
            yield Finding("driver", name, False, str(error))
        else:
            yield Finding("driver", name, True, "can be imported")


def _check_configuration(
    file: Path | None, plugins: Plugins
) -> tuple[Finding, dict[str, Callable[[], StorageAdapter]]]:
    try:
        config = load(file, plugins=plugins)
    except ConfigError as error:
        return Finding("configuration", str(file or ""), False, str(error)), {}
    backends = config.storage.backends.items()
    makers: dict[str, Callable[[], StorageAdapter]]
    makers = {name: partial(backend.make_adapter, plugins) for name, backend in backends}
    return Finding("configuration", config.source, True, "no mistake found"), makers


async def _check_backend(name: str, make: Callable[[], StorageAdapter], limit: float) -> Finding:
    async def ask() -> Health:
        async with make() as adapter:
            return await adapter.health()

    return await _check("backend", name, ask, limit)


async def _check_health(name: str, plugins: Plugins, limit: float) -> Finding:
    async def ask() -> Health:
        return await plugins.health_check(name)()

    return await _check("health check", name, ask, limit)


async def _check(check: str, name: str, ask: Callable[[], Awaitable[Health]], limit: float) -> Finding:
    """Ask for a health. Whatever goes wrong is a finding, so that the other checks go on."""
    started = time.perf_counter()
    try:
        async with asyncio.timeout(limit):
            health = await ask()
        ok = health.ok
        detail = ", ".join(f"{key} {value}" for key, value in health.detail.items()) or "healthy"
    except DaystoreError as error:
        ok, detail = False, f"{type(error).__name__}: {error}"
    except TimeoutError:
        ok, detail = False, f"no answer within {limit:g} s"
    except Exception as error:  # noqa: BLE001 - a driver or a plugin's own check can raise anything
        ok, detail = False, f"unexpected {type(error).__name__}: {error}"
    return Finding(check, name, ok, mask_text(detail), round((time.perf_counter() - started) * 1000, 1))


def _print(findings: Sequence[Finding]) -> None:
    columns = ("check", "name", "result", "ms", "detail")
    rows = [
        (f.check, f.name, "ok" if f.ok else "FAILED", _took(f), f.detail if f.ok else "see below")
        for f in findings
    ]
    print_table(columns, rows, wrapped={"detail"})
    print_line()
    for finding in findings:
        if not finding.ok:
            print_line(f"{finding.check} {finding.name}: {finding.detail}")
    if not any(finding.check in {"configuration", "backend"} for finding in findings):
        print_line("No configuration was found, so no backend was opened: name one with --file or --url.")
    failed = sum(not finding.ok for finding in findings)
    print_line(f"{failed} of {len(findings)} checks failed." if failed else "Everything works.")


def _took(finding: Finding) -> str:
    return "" if finding.milliseconds is None else f"{finding.milliseconds:g}"
