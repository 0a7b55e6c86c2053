"""The nine things a backend may say about one attempt, as values.

A backend returns exactly one of these. ``code`` is what the provider answered ("550 5.1.1", "429"), ``detail`` a
short text for operators without addresses or bodies, ``scope`` what the answer is about.
"""

from dataclasses import dataclass, fields
from datetime import timedelta
from typing import ClassVar, Literal

Scope = Literal["recipient", "domain", "backend", "account"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Base of the nine outcomes; backends return a subclass.

    >>> Retry("451 4.7.1", detail="greylisted").kind
    'retry'
    """

    kind: ClassVar[str]

    code: str = ""
    detail: str = ""
    scope: Scope = "recipient"

    def __post_init__(self) -> None:
        # At the call site: what a backend gets wrong here would otherwise surface where nobody knows the backend.
        if not (isinstance(self.code, str) and isinstance(self.detail, str)):
            raise TypeError(f"{type(self).__name__}: code and detail are texts")
        after = getattr(self, "after", None)
        if not (after is None or isinstance(after, timedelta)):
            raise TypeError(f"{type(self).__name__}: after is a timedelta, or None")

    def __str__(self) -> str:
        return " ".join(filter(None, (self.kind, self.code)))


@dataclass(frozen=True, slots=True)
class Accepted(Outcome):
    """The provider took responsibility; ``reference`` is its own identifier. Not yet "delivered"."""

    kind: ClassVar[str] = "accepted"

    reference: str = ""


@dataclass(frozen=True, slots=True)
class Retry(Outcome):
    """Temporary, and surely nothing was accepted; ``after`` is the earliest time the provider asked for."""

    kind: ClassVar[str] = "retry"

    after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Throttled(Outcome):
    """Rate limited, nothing was accepted; ``scope`` says who was too fast."""

    kind: ClassVar[str] = "throttled"

    after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Refused(Outcome):
    """Permanent for this message; says nothing against the address."""

    kind: ClassVar[str] = "refused"


@dataclass(frozen=True, slots=True)
class Suspect(Outcome):
    """Permanent for this message, and a strike against the address."""

    kind: ClassVar[str] = "suspect"


@dataclass(frozen=True, slots=True)
class Defunct(Outcome):
    """The address is dead."""

    kind: ClassVar[str] = "defunct"


@dataclass(frozen=True, slots=True)
class OptedOut(Outcome):
    """The recipient refused to be contacted at this address."""

    kind: ClassVar[str] = "opted_out"


@dataclass(frozen=True, slots=True)
class Misconfigured(Outcome):
    """Our credentials, sender identity or settings are wrong; the message and the address are fine."""

    kind: ClassVar[str] = "misconfigured"

    after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Unknown(Outcome):
    """The provider may or may not have accepted: bytes went out and no answer was understood."""

    kind: ClassVar[str] = "unknown"


KINDS: dict[str, type[Outcome]] = {
    outcome.kind: outcome
    for outcome in (Accepted, Retry, Throttled, Refused, Suspect, Defunct, OptedOut, Misconfigured, Unknown)
}

_LIMITS = {"code": 40, "detail": 300, "reference": 200}


def clipped(outcome: Outcome) -> dict[str, str]:
    """The texts of an outcome, cut to what an attempt row holds: providers answer at any length."""
    return {f.name: str(getattr(outcome, f.name))[: _LIMITS[f.name]] for f in fields(outcome) if f.name in _LIMITS}
