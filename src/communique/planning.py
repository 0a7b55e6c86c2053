"""Which channel, to which address, and why not the others. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .reasons import Reason

# What a claim reads first. Gaps are left for nobody: a new class between two is a new number for all.
PRIORITIES: Mapping[str, int] = {"urgent": 0, "normal": 1, "low": 2}


@dataclass(frozen=True, slots=True)
class Leg:
    """One channel of the route, and the address to use."""

    channel: str
    address: str


@dataclass(frozen=True, slots=True)
class Skip:
    """A channel that is not tried, and why."""

    channel: str
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The legs in order, and what was skipped."""

    legs: tuple[Leg, ...] = ()
    skipped: tuple[Skip, ...] = ()

    def dump(self) -> dict[str, Any]:
        """What the communication keeps; addresses stay with the deliveries, where they can be erased."""
        return {
            "legs": [{"channel": leg.channel} for leg in self.legs],
            "skipped": [{"channel": skip.channel, "reason": skip.reason.value} for skip in self.skipped],
        }


def plan(route: str, addresses: Mapping[str, str | Reason]) -> Plan:
    """Plan one communication: ``addresses`` holds, by channel, an address or the reason why there is none.

    >>> plan("email", {"email": "ada@example.com"}).legs
    (Leg(channel='email', address='ada@example.com'),)
    """
    found = addresses.get(route, Reason.NO_ADDRESS)
    if isinstance(found, Reason):
        return Plan(skipped=(Skip(route, found),))
    return Plan(legs=(Leg(route, found),))
