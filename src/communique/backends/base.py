"""What every backend is, and which ones a channel has."""

import threading
from typing import Any

from django.utils.module_loading import import_string

from .. import conf
from ..content import Outgoing
from ..exceptions import BackendNotFound
from ..outcomes import Outcome


class Backend:
    """One provider of one channel.

    >>> from communique.backends import Backend
    >>> from communique.outcomes import Accepted
    >>> class Pigeon(Backend):
    ...     def send(self, outgoing):
    ...         return Accepted(reference="ring 7")

    Made with the ``OPTIONS`` of its settings entry as keywords; those that are callable are called first (secrets from
    a vault). An instance is used by one thread at a time and kept
    for its life, so a connection may stay open between sends. It never touches the database.
    """

    def send(self, outgoing: Outgoing) -> Outcome:
        """Hand one message to the provider and say how it went.

        Return an outcome for everything a provider can be expected to do, time-outs included. Whatever is raised is a
        bug: the outcome is ``Unknown``, and it is shown. Always use a time-out of your own.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Let go of what is kept between sends; called when the thread ends."""


_mine = threading.local()


def names(channel: str) -> list[str]:
    """The names of a channel's backends, in the order in which they are tried."""
    return list(conf.backends_of(channel))


def backend(channel: str, name: str) -> Backend:
    """This thread's instance of a configured backend.

    Raises :class:`BackendNotFound` when the channel or the name is not configured.
    """
    try:
        entry = conf.backends_of(channel)[name]
    except KeyError:
        raise BackendNotFound(f"no backend {name!r} in COMMUNIQUE['CHANNELS'][{channel!r}]['BACKENDS']") from None
    instances = _instances()
    # The settings entry is part of the key, so that a test's override_settings() takes effect.
    key = (channel, name, entry["BACKEND"], repr(entry.get("OPTIONS")))
    if key not in instances:
        options = {name: value() if callable(value) else value for name, value in entry.get("OPTIONS", {}).items()}
        instances[key] = import_string(entry["BACKEND"])(**options)
    found: Backend = instances[key]
    return found


def close_all() -> None:
    """Close this thread's backends."""
    for instance in _instances().values():
        instance.close()


def _instances() -> dict[Any, Backend]:
    if not hasattr(_mine, "instances"):
        _mine.instances = {}
    instances: dict[Any, Backend] = _mine.instances
    return instances
