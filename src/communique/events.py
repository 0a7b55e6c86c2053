"""Turns what happens in the host's domain into typed values, and says who wants to hear of each."""

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from asgiref.sync import sync_to_async
from django import db
from django.dispatch import Signal

from .exceptions import NotReady, where
from .payloads import Payload, require_key
from .registries import Registry, check_key

if TYPE_CHECKING:
    from .messages import Message, To
    from .publishing import Handle

logger = logging.getLogger(__name__)

E = TypeVar("E", bound="Event")
A = TypeVar("A", bound="Event")
B = TypeVar("B", bound="Event")
C = TypeVar("C", bound="Event")
Handler = Callable[[E], None]


class Event(Payload):
    """Something that happened in the host's domain, named in the past tense: a typed, immutable value.

    ``key`` is its identity in the database, written by hand and never changed, so that the class may be renamed::

        class OrderPlaced(Event):
            key = "shop.order_placed"
            order: Order
            total: Decimal

        publish(OrderPlaced(order=order, total=order.total))

    What a field may hold, and which errors tell what it may not, is said at :class:`Payload`.
    """

    abstract = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.abstract:
            _events.add(cls.key, cls, cls)


_events: Registry[type[Event]] = Registry("event")
get, known, duplicates, keyless = _events.get, _events.known, _events.duplicates, _events.keyless


class MessageRequested(Event):
    """Somebody called ``message.send()``: the built-in event behind a message that no event of the host caused.

    ``message`` is the key of the message, ``fields`` its dumped payload, ``to`` the dumped recipients, or None to
    ask the message itself for them.
    """

    key = "communique.message_requested"

    message: str
    fields: dict[str, Any]
    to: dict[str, Any] | list[Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A function that wants to hear of events."""

    key: str
    events: tuple[type[Event], ...]
    function: Callable[[Any], None]
    inline: bool = False


_subscriptions: Registry[Subscription] = Registry("subscription")
subscription, known_subscriptions = _subscriptions.get, _subscriptions.known
duplicate_subscriptions = _subscriptions.duplicates


def subscriptions_to(event: type[Event]) -> tuple[Subscription, ...]:
    """Everybody who wants to hear of events of this class, by way of it or of a class it inherits from."""
    return tuple(each for each in _subscriptions.known().values() if issubclass(event, each.events))


@overload
def subscribe(event: type[E], *, key: str, inline: bool = False) -> Callable[[Handler[E]], Handler[E]]: ...
@overload
def subscribe(
    event: tuple[type[A], type[B]], *, key: str, inline: bool = False
) -> Callable[[Handler[A | B]], Handler[A | B]]: ...
@overload
def subscribe(
    event: tuple[type[A], type[B], type[C]], *, key: str, inline: bool = False
) -> Callable[[Handler[A | B | C]], Handler[A | B | C]]: ...
@overload
def subscribe(event: tuple[type[E], ...], *, key: str, inline: bool = False) -> Callable[[Handler[E]], Handler[E]]: ...
def subscribe(event: Any, *, key: str, inline: bool = False) -> Callable[[Handler[Any]], Handler[Any]]:
    """Have a function called for every event of a class, of its subclasses, or of several classes.

    It runs out of band after commit, on its own: if it raises, it is tried again, and nobody else is held up. It may
    run more than once for one event. With ``inline=True`` it runs in the caller's thread right after commit and only
    once; its exceptions are logged. ``key`` is its identity in the database, written by hand::

        @subscribe(OrderPlaced, key="shop.update_stats")
        def update_stats(event: OrderPlaced) -> None: ...

    Raises TypeError for what is no event class, for an async function and for a malformed key.
    """
    place = f"subscribe(..., key={key!r})"
    events = event if isinstance(event, tuple) else (event,)
    check_key(key, place)
    check_events(events, place)

    def decorate(function: Handler[Any]) -> Handler[Any]:
        if inspect.iscoroutinefunction(function):
            raise TypeError(f"{place}: an async function would not be awaited; wrap it in async_to_sync()")
        _subscriptions.add(key, Subscription(key=key, events=events, function=function, inline=inline), function)
        return function

    return decorate


def check_events(events: tuple[object, ...], place: str) -> None:
    """Raise TypeError unless all of these are event classes."""
    for event in events:
        if not (isinstance(event, type) and issubclass(event, Event)):
            raise TypeError(f"{place}: must be a subclass of Event, or a tuple of such classes, not {event!r}")


class Publisher(Protocol):
    """What writes an event or a direct message to the outbox, in the caller's transaction."""

    def publish(self, event: Event, *, dedupe: str | None, using: str | None) -> "Handle": ...

    def send(
        self, message: "Message", *, to: "To", delay: timedelta | None, at: datetime | None, using: str | None
    ) -> "Handle": ...


_publisher: Publisher | None = None


def install_publisher(publisher: Publisher) -> None:
    """Called once, when Django's apps are ready: the words know nothing of the layers above them."""
    global _publisher
    _publisher = publisher


def publisher() -> Publisher:
    """Raises NotReady, a RuntimeError."""
    if _publisher is None:
        raise NotReady("communique is not ready: add 'communique' to INSTALLED_APPS, and call django.setup() first")
    return _publisher


def publish(event: Event, *, dedupe: str | None = None, using: str | None = None) -> "Handle":
    """Write one row in the current transaction; everything else happens after its commit, out of band.

    A rollback takes the event with it. ``dedupe`` is a text: publishing under it again does nothing. ``using`` is a
    database alias::

        with transaction.atomic():
            order.save()
            publish(OrderPlaced(order=order, total=order.total))

    Raises TypeError for what is no event or has no key, UnsavedInstance if a model instance in it has no row yet.
    """
    _check_event(event)
    return publisher().publish(event, dedupe=dedupe, using=using)


def _check_event(event: object) -> None:
    if not isinstance(event, Event):
        what = f"the class {event.__qualname__}" if isinstance(event, type) else f"a {type(event).__qualname__}"
        raise TypeError(f"publish() takes an event such as OrderPlaced(...), not {what}; a message is sent by .send()")
    require_key(type(event))


async def apublish(event: Event, *, dedupe: str | None = None, using: str | None = None) -> "Handle":
    """Like :func:`publish`, for async code.

    It commits on its own: Django has no async transactions, so it cannot join an ``atomic()`` block. Where the event
    must share the fate of other rows, put both in one function and call that with ``sync_to_async``.
    """
    return await sync_to_async(publish, thread_sensitive=True)(event, dedupe=dedupe, using=using)


def from_signal(signal: Signal, event: type[E], build: Callable[..., Mapping[str, Any] | None]) -> None:
    """Publish an event whenever a Django signal is sent.

    ``build`` gets the signal's arguments and returns the event's fields, or None for no event::

        from_signal(user_logged_in, UserLoggedIn, lambda sender, user, **kw: {"user": user})

    A signal is a courtesy: if the event cannot be built, that is logged and whoever sent the signal notices nothing.
    """
    check_events((event,), "from_signal()")
    require_key(event)

    def receive(sender: Any, **arguments: Any) -> None:
        try:
            fields = build(sender=sender, **arguments)
            if fields is not None:
                publish(event(**fields))
        except db.Error:  # a transaction that a failed query has broken must not go on as if nothing had happened
            raise
        except Exception as error:
            logger.error("no %s was published for a signal: %s", event.key, where(error))

    signal.connect(receive, weak=False, dispatch_uid=("communique", event.key, build))


@contextmanager
def isolated() -> Iterator[None]:
    """Forget on leaving whatever events and subscriptions were defined inside: for tests."""
    with _events.isolated(), _subscriptions.isolated():
        yield
