"""The certificate as JSON: facts alone, sorted, without anything secret."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import platform
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any, Final

from daystore.abc import Capabilities
from daystore_compliance.case import Case
from daystore_compliance.certificate.contract import Contract
from daystore_compliance.certificate.profiles import PROFILES
from daystore_compliance.certificate.results import Results
from daystore_compliance.certificate.verdict import Verdict
from daystore_compliance.certificate.waivers import Waiver
from daystore_compliance.masking import choice, masked
from daystore_compliance.plan import Plan
from daystore_compliance.target import Target

__all__ = ["SCHEMA", "Run", "document", "to_json"]

SCHEMA: Final = "daystore-certificate/1"
_REQUIREMENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Run:
    """What was run, and against what.

    Attributes:
        target: What was tried.
        module: Module of its adapter's class, by which the distribution is found.
        capabilities: What the adapter declares.
        service: What the backend says of itself.
        plan: How hard was tried.
        started: When, in UTC.
        finished: When, in UTC.
    """

    target: Target
    module: str
    capabilities: Capabilities
    service: Mapping[str, str]
    plan: Plan
    started: dt.datetime
    finished: dt.datetime


def document(
    run: Run,
    verdict: Verdict,
    results: Results,
    registry: Mapping[str, Case],
    contract: Contract,
    waivers: Mapping[str, Waiver],
) -> dict[str, Any]:
    """Write everything down that the verdict rests on."""
    return {
        "schema": SCHEMA,
        "name": run.target.name,
        "verdict": verdict.words,
        "certified": verdict.certified,
        "gaps": verdict.gaps,
        "reasons": verdict.reasons,
        "remarks": verdict.remarks,
        "contract": {
            "version": contract.version,
            "requirements_sha256": contract.requirements_sha256,
        },
        "suite": {**_distribution("daystore-compliance"), "mutants_killed": _killed()},
        "adapter": _adapter(run.module),
        "capabilities": list(run.capabilities.names()),
        "consistency": sorted(run.capabilities.consistency),
        "limits": asdict(run.capabilities.limits),
        "service": _service(run),
        "env": {
            "python": platform.python_version(),
            "implementation": platform.python_implementation(),
            "system": f"{platform.system()} {platform.machine()}",
            "dependencies": _dependencies(run.module),
        },
        "level": run.plan.level,
        "seed": run.plan.seed,
        "profiles": {name: tally.to_dict() for name, tally in verdict.profiles.items()},
        "cases": [
            _case(registry[case_id], outcome, results) for case_id, outcome in verdict.outcomes.items()
        ],
        "not_scored": [f"{case_id}: added after the contract" for case_id in verdict.not_scored],
        "waivers": [_waiver(waiver) for _, waiver in sorted(waivers.items())],
        "started": _instant(run.started),
        "finished": _instant(run.finished),
        "reproduce": _command(run, verdict, contract),
    }


def to_json(certificate: Mapping[str, Any]) -> str:
    """Write a certificate as text, keys sorted."""
    return json.dumps(certificate, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _case(case: Case, outcome: str, results: Results) -> dict[str, Any]:
    found = results.of(case.id)
    told: dict[str, Any] = {"id": case.id, "level": str(case.level), "outcome": outcome}
    if found:
        told["ms"] = round(sum(result.seconds for result in found) * 1000)
        told["runs"] = len(found)
    if reasons := [result.reason for result in found if result.reason]:
        told["reason"] = reasons[0]
    return told


def _waiver(waiver: Waiver) -> dict[str, str]:
    return {
        "case": waiver.case,
        "reason": waiver.reason,
        "issue": waiver.issue,
        "expires": waiver.expires.isoformat(),
    }


def _instant(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="seconds")


def _service(run: Run) -> dict[str, str]:
    facts = {name: masked(str(fact), run.target) for name, fact in sorted(run.service.items())}
    return {"kind": run.target.kind, **facts}


def _command(run: Run, verdict: Verdict, contract: Contract) -> str:
    narrowed = (
        "" if verdict.profiles.keys() == PROFILES.keys() else f" --profile {','.join(verdict.profiles)}"
    )
    return (
        f"daystore certify {choice(run.target, 'URL')} --contract {contract.version}{narrowed} "
        f"--level {run.plan.level} --seed {run.plan.seed}"
    )


def _adapter(module: str) -> dict[str, Any]:
    name = _owner(module)
    if name is None:
        return {"distribution": None, "module": module}
    return {**_distribution(name), "contract_range": _needs(name, "daystore") or "the same distribution"}


def _owner(module: str) -> str | None:
    """Return the distribution that a module came with."""
    package = module.partition(".")[0]
    likely = package.replace("_", "-")
    if _version(likely) is not None and _holds(likely, package):
        return likely
    # Half a second: it reads all that is installed.
    owners = metadata.packages_distributions().get(package, [])
    return next((name for name in (*owners, likely) if _version(name) is not None), None)


def _holds(name: str, package: str) -> bool:
    """Tell whether a package came with a distribution; an editable one does not say, so its name has to do."""
    found = metadata.distribution(name)
    origin = json.loads(found.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        return True
    return f"\n{package}/" in "\n" + (found.read_text("RECORD") or "")


def _distribution(name: str) -> dict[str, str]:
    found = metadata.distribution(name)
    record = found.read_text("RECORD") or ""
    return {
        "distribution": name,
        "version": found.version,
        "record_sha256": hashlib.sha256(record.encode()).hexdigest(),
    }


def _needs(name: str, other: str) -> str | None:
    """Return what one distribution requires of another, without the place that it may be taken from."""
    for requirement in metadata.requires(name) or []:
        found = _REQUIREMENT.match(requirement)
        if found and found.group().lower() == other:
            wanted, at, _ = requirement.partition(";")[0].partition("@")
            return f"{wanted.strip()}, from a place of its own" if at else wanted.strip()
    return None


def _dependencies(module: str) -> dict[str, str]:
    """Return the versions of what the adapter stands on."""
    name = _owner(module)
    wanted = {"daystore", "daystore-compliance", "hypothesis", "pytest"}
    for requirement in metadata.requires(name) or [] if name else []:
        found = _REQUIREMENT.match(requirement)
        if found and "extra ==" not in requirement:
            wanted.add(found.group().lower())
    return {one: version for one in sorted(wanted) if (version := _version(one)) is not None}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _killed() -> str:
    from daystore_compliance.selftest.matrix import read_matrix

    found = read_matrix()
    return f"{sum(bool(row) for row in found.values())}/{len(found)}"
