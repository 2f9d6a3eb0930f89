"""What one run of pytest knows of the suite: its targets, what they declare, what became of the cases."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daystore.abc import Capabilities
from daystore_compliance.case import Case
from daystore_compliance.certificate.contract import CURRENT, contract
from daystore_compliance.certificate.results import Results
from daystore_compliance.certificate.verdict import Verdict, judge
from daystore_compliance.certificate.waivers import Waiver
from daystore_compliance.clock import ManualClock
from daystore_compliance.plan import Plan
from daystore_compliance.probes import lies
from daystore_compliance.services.sharing import SharedServers
from daystore_compliance.target import Target

__all__ = ["Answers", "Session"]


@dataclass(frozen=True, slots=True)
class Answers:
    """What a target says of itself.

    Attributes:
        capabilities: What its adapter declares.
        lies: What of that it does not serve.
        service: Facts about the backend.
        module: Module of the adapter's class.
    """

    capabilities: Capabilities
    lies: list[str]
    service: Mapping[str, str]
    module: str


@dataclass
class Session:
    """One run.

    Attributes:
        targets: What is tried.
        plan: How hard.
        profiles: Only these; all of them if empty.
        cases: Only these; all of them if empty.
        waivers: By the id of their case.
        contract: The version that is certified.
        out: Where certificates go; ``None`` for none.
        results: What became of the cases, by the name of the target.
        started: When it began, in UTC.
        verdicts: The verdict on each target and what it rests on, once the run has ended.
        servers: What the targets need.
    """

    targets: list[Target]
    plan: Plan = field(default_factory=Plan)
    profiles: frozenset[str] = frozenset()
    cases: frozenset[str] = frozenset()
    waivers: Mapping[str, Waiver] = field(default_factory=dict)
    contract: str = CURRENT
    out: Path | None = None
    results: dict[str, Results] = field(default_factory=dict)
    started: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    verdicts: dict[str, tuple[Verdict, dict[str, Any]]] = field(default_factory=dict)
    servers: SharedServers = field(init=False)
    _answers: dict[str, Answers] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.servers = SharedServers(self.targets)

    def ask(self, target: Target) -> Answers:
        """Ask a target what it is, once.

        Raises:
            Exception: Whatever it raises; it cannot be tried then.
        """
        if target.name not in self._answers:
            with target.running():
                self._answers[target.name] = asyncio.run(_ask(target))
        return self._answers[target.name]

    def declared(self, target: Target) -> Capabilities:
        """Return what a target declares."""
        return self.ask(target).capabilities

    def judge(self, target: Target, registry: Mapping[str, Case]) -> Verdict:
        """Judge what has become of the cases of one target.

        Raises:
            LookupError: If there is no such version of the contract.
        """
        answers = self.ask(target)
        return judge(
            self.results.get(target.name, Results()),
            target,
            answers.capabilities,
            registry,
            contract(self.contract, registry),
            waivers=self.waivers,
            profiles=self.profiles,
            lies=answers.lies,
            today=self.started.date(),
        )

    def certify(self, target: Target, registry: Mapping[str, Case]) -> tuple[Verdict, dict[str, Any]]:
        """Judge one target, and write the certificate if it earned one.

        Returns:
            The verdict, and all that is known, in the form of a certificate.
        """
        from daystore_compliance.certificate.document import Run, document
        from daystore_compliance.certificate.files import write_files

        verdict, answers = self.judge(target, registry), self.ask(target)
        finished = dt.datetime.now(dt.UTC)
        run = Run(
            target, answers.module, answers.capabilities, answers.service, self.plan, self.started, finished
        )
        results = self.results.get(target.name, Results())
        asked = contract(self.contract, registry)
        content = document(run, verdict, results, registry, asked, self.waivers)
        if self.out is not None:
            write_files(self.out, content, certified=verdict.is_certified)
        return verdict, content


async def _ask(target: Target) -> Answers:
    adapter = await target.open("daystore-compliance", ManualClock())
    try:
        health = await adapter.health()
        told = await lies(adapter)
        service = {**health.detail, **target.facts}
        return Answers(adapter.capabilities, told, service, type(adapter).__module__)
    finally:
        await adapter.close()
