"""From stored events to the messages about them: in bulk, and one that cannot be read spoils no other."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from . import events, messages, payloads
from .events import Event, MessageRequested
from .exceptions import UnknownKey
from .messages import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a message is made from: an event's key and payload, and the class of the message."""

    event_key: str
    payload: Mapping[str, Any]
    message: type[Message]


def load(sources: Sequence[Source], *, using: str) -> list[Message | Exception]:
    """Make a message of each source; models and prefetches cost one query per class, whatever the batch.

    Where a message cannot be made, the error stands in its place.
    """
    given = payloads.load_many([_stored(source) for source in sources], using=using)
    made = [_message(source, one) for source, one in zip(sources, given, strict=True)]
    return _prefetched(made)


def _stored(source: Source) -> tuple[type[payloads.Payload], Mapping[str, Any]]:
    if source.event_key == MessageRequested.key:
        return source.message, source.payload["fields"]
    return events.get(source.event_key), source.payload


def _message(source: Source, given: payloads.Payload | Exception) -> Message | Exception:
    if not isinstance(given, Event):
        return cast("Message | Exception", given)
    try:
        return source.message.from_event(given)
    except Exception as error:
        return error


def _prefetched(made: list[Message | Exception]) -> list[Message | Exception]:
    groups: dict[type[Message], list[Message]] = defaultdict(list)
    for one in made:
        if isinstance(one, Message):
            groups[type(one)].append(one)
    failed = {message: error for message, group in groups.items() if (error := _prefetch(group))}
    return [failed.get(type(one), one) if isinstance(one, Message) else one for one in made]


def _prefetch(group: list[Message]) -> Exception | None:
    try:
        messages.prefetch(group)
    except Exception as error:
        return error
    return None


def is_known(event_key: str, payload: Mapping[str, Any]) -> bool:
    """This process has the classes that it takes to read the event."""
    try:
        if event_key == MessageRequested.key:
            messages.get(payload["message"])
        else:
            events.get(event_key)
    except UnknownKey:
        return False
    return True
