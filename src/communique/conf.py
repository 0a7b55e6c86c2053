"""The host project's ``COMMUNIQUE`` setting, with the defaults that make every key optional."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings

DEFAULTS: Mapping[str, Any] = {
    "CHANNELS": {"email": {}},
    # What runs the outbox: "worker" (communique_worker), or "immediate" (in the publishing process, after commit).
    "ENGINE": "worker",
    "BASE_URL": "",
    # Seconds between tries; the last one repeats until the delivery expires or its horizon is reached.
    "RETRY_DELAYS": (60, 300, 900, 3600, 10800),
    # Seconds a claim holds without a heartbeat; a heartbeat comes every third of it.
    "LEASE_SECONDS": 60,
    # Seconds an idle worker sleeps when no wake-up reaches it.
    "POLL_SECONDS": 1,
}

# What an empty channel entry means: the project's own mail settings.
DEFAULT_BACKENDS: Mapping[str, Mapping[str, Any]] = {
    "email": {"default": {"BACKEND": "communique.backends.email.DjangoMailBackend"}},
}

# Longest time a delivery without `expires` is retried.
HORIZON: Mapping[str, timedelta] = {"email": timedelta(hours=72)}
OTHER_HORIZON = timedelta(hours=24)
# Longest time a handler, or a message whose recipients cannot be found, is tried again.
HANDLER_HORIZON = timedelta(hours=72)


def given() -> Mapping[str, Any]:
    """What the host project wrote."""
    written: Mapping[str, Any] = getattr(settings, "COMMUNIQUE", {})
    return written


def get(name: str) -> Any:
    """One key of ``COMMUNIQUE``, or its default; callables (secrets from a vault) are called."""
    value = given().get(name, DEFAULTS[name])
    return value() if callable(value) else value


def channels() -> Mapping[str, Mapping[str, Any]]:
    """The configured channels by name."""
    configured: Mapping[str, Mapping[str, Any]] = get("CHANNELS")
    return configured


def backends_of(channel: str) -> Mapping[str, Mapping[str, Any]]:
    """The backends of a channel by name, in the order in which they are tried."""
    entry = channels().get(channel, {})
    backends: Mapping[str, Mapping[str, Any]] = entry.get("BACKENDS") or DEFAULT_BACKENDS.get(channel, {})
    return backends


def retry_delays() -> Sequence[float]:
    delays: Sequence[float] = get("RETRY_DELAYS")
    return delays


def horizon(channel: str) -> timedelta:
    return HORIZON.get(channel, OTHER_HORIZON)


def lease() -> timedelta:
    return timedelta(seconds=get("LEASE_SECONDS"))


def poll_seconds() -> float:
    return float(get("POLL_SECONDS"))
