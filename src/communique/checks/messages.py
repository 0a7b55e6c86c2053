"""Messages: their payload can be stored, their channel exists, their templates are there."""

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error

from .. import conf, events, messages, payloads, rendering
from ..messages import Message


def check_messages(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    found = [*_payloads()]
    for message in messages.known().values():
        found += [*_channel(message), *_templates(message), *_recipients(message)]
    return found


def _payloads() -> Iterator[CheckMessage]:
    for cls in (*events.known().values(), *messages.known().values()):
        try:
            payloads.prepare(cls)
        except TypeError as error:
            yield Error(
                f"The fields of {cls.__qualname__} cannot be stored: {error}",
                hint="Annotate fields with types that a payload can hold; names must be importable when it is used.",
                obj=cls,
                id="communique.E004",
            )


def _channel(message: type[Message]) -> Iterator[CheckMessage]:
    if message.route not in rendering.TEMPLATES:
        yield Error(
            f"{message.__qualname__} goes by {message.route!r}, for which messages cannot be rendered.",
            hint=f"Choose one of {sorted(rendering.TEMPLATES)}.",
            obj=message,
            id="communique.E014",
        )
    if message.route not in conf.channels():
        yield Error(
            f"{message.__qualname__} goes by {message.route!r}, and there is no such channel.",
            hint=f"Add {message.route!r} to COMMUNIQUE['CHANNELS'], or choose one of {sorted(conf.channels())}.",
            obj=message,
            id="communique.E005",
        )


def _templates(message: type[Message]) -> Iterator[CheckMessage]:
    for name in rendering.missing_templates(message, message.route):
        yield Error(
            f"{message.__qualname__} needs the template {name!r}.",
            hint=f"Create templates/{name} in the app that defines the message.",
            obj=message,
            id="communique.E006",
        )


def _recipients(message: type[Message]) -> Iterator[CheckMessage]:
    if messages.events_of(message) and message.recipients is Message.recipients:
        yield Error(
            f"{message.__qualname__} is caused by events, and tells nobody.",
            hint="Define recipients(self): it returns a user, a Recipient, an iterable of these, or None.",
            obj=message,
            id="communique.E012",
        )
