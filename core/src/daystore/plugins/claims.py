"""Who may have which name. A name that two plugins claim belongs to neither: guessing would move data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from daystore.hookspecs import Spec
from daystore.plugins.environment import DENY
from daystore.plugins.records import CORE, Claim, PluginFailure

__all__ = ["Settlement", "settle"]

S = TypeVar("S", bound=Spec)


@dataclass(slots=True)
class Settlement(Generic[S]):
    """What became of the claims to the names of one kind.

    Attributes:
        owners: Each name that one plugin claims; and each that the core claims, whoever else does.
        contested: The message about each name that several plugins claim. Without an owner nobody gets it.
        failures: One for each plugin that does not get a name it claims.
    """

    owners: dict[str, Claim[S]] = field(default_factory=dict)
    contested: dict[str, str] = field(default_factory=dict)
    failures: list[PluginFailure] = field(default_factory=list)

    def drop_without(self, other: Settlement[S], name: Callable[[S], str]) -> None:
        """Take away names whose owner lost the name that it has in another settlement.

        An adapter that may not be called what it is called does not get its URL schemes either.
        """
        for own, claim in list(self.owners.items()):
            if other.owners.get(name(claim.spec)) is not claim:
                del self.owners[own]
                self.contested[own] = other.contested[name(claim.spec)]


def settle(what: str, claims: Iterable[Claim[S]], names: Callable[[S], Sequence[str]]) -> Settlement[S]:
    """Give each name to the one plugin that claims it.

    Args:
        what: The kind of name, for messages: ``"adapter"``, ``"URL scheme"`` …
        claims: What the plugins brought.
        names: Which names of that kind a spec claims.
    """
    claimants: dict[str, list[Claim[S]]] = defaultdict(list)
    for claim in claims:
        for name in dict.fromkeys(names(claim.spec)):
            claimants[name].append(claim)
    result: Settlement[S] = Settlement()
    for name, rivals in claimants.items():
        owner = next((claim for claim in rivals if claim.source.distribution == CORE), None)
        if len(rivals) == 1:
            owner = rivals[0]
        else:
            message = _message(what, name, rivals, owner)
            result.contested[name] = message
            losers = dict.fromkeys(claim.source for claim in rivals if claim is not owner)
            result.failures += [PluginFailure(s.plugin, s.distribution, s.version, message) for s in losers]
        if owner is not None:
            result.owners[name] = owner
    return result


def _message(what: str, name: str, rivals: Sequence[Claim[S]], owner: Claim[S] | None) -> str:
    parties = " and ".join(f"{claim.source} (plugin {claim.source.plugin!r})" for claim in rivals)
    if owner is not None:
        return f"the {what} {name!r} is claimed by {parties}; the core's own stays"
    return f"the {what} {name!r} is claimed by {parties}; uninstall one, or name one in {DENY}"
