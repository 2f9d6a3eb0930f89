"""What a run says at its end."""

from __future__ import annotations

from collections.abc import Iterator

from daystore_compliance.case import obstacle
from daystore_compliance.certificate.files import file_of
from daystore_compliance.certificate.rendering import summary
from daystore_compliance.certificate.results import Results
from daystore_compliance.session import Session
from daystore_compliance.suite import load
from daystore_compliance.target import Target

__all__ = ["lines"]


def lines(session: Session, target: Target) -> Iterator[str]:
    """Tell of one target how many cases passed, which were not run and why, and the verdict."""
    results = session.results.get(target.name, Results())
    outcomes = [result.outcome for result in results]
    yield f"{target.name}: {outcomes.count('passed')} of {len(outcomes)} passed"
    for case_id, made in sorted(load().items()):
        if why := obstacle(made, target, session.declared(target)):
            yield f"  not run: {case_id} ({why})"
    if target.name not in session.verdicts or session.out is None:
        return
    verdict, content = session.verdicts[target.name]
    yield summary(content)
    yield from (f"  not certified for {gap}" for gap in verdict.gaps)
    yield from (f"  {remark}" for remark in verdict.remarks)
    file = file_of(session.out, target.name, certified=verdict.is_certified)
    if verdict.is_certified:
        yield f"certificate: {file}"
        return
    yield from (f"no certificate: {reason}" for reason in verdict.reasons)
    yield f"what was found: {file}"
    if (old := file_of(session.out, target.name, certified=True)).exists():
        yield f"{old} is of an earlier run, and stays as it was"
