"""Turns what the host wants to say into classes: what, to whom, by which route, on which event."""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeAlias

from asgiref.sync import sync_to_async
from django.db.models import Model, Prefetch, prefetch_related_objects

from .events import Event, check_events, publisher
from .payloads import Payload, field_names, own_annotations, refuse_fields, require_key, required_names
from .registries import Registry

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

    from .publishing import Handle
    from .recipients import Recipient

    Addressee: TypeAlias = AbstractBaseUser | Recipient | str
    To: TypeAlias = Addressee | Iterable[Addressee] | None

PRIORITIES = ("urgent", "normal", "low")
ON_UNKNOWN = ("resend", "hold")

# Known to a later version. Set today they would be ignored, and a field of that name would be in the way tomorrow.
_LATER = (
    "attachments",
    "deadline",
    "dedupe",
    "digest",
    "proof",
    "route_for",
    "sensitive",
    "still_wanted",
    "throttle",
    "url",
)
_IN_TEMPLATES = dict.fromkeys(("links", "message", "recipient"), "templates find something else under this name")


class Message(Payload):
    """What to say to somebody: its fields, its options, and who is to be told.

    A message is found by its key, has its templates in ``templates/shop/messages/order_receipt/``, and is sent
    whenever one of the events in ``on`` is published, or by ``send()``::

        class OrderReceipt(Message):
            key = "shop.order_receipt"
            on = OrderPlaced
            topic = "orders"
            order: Order

            def recipients(self):
                return self.order.customer

            @classmethod
            def example(cls):
                return cls(order=examples.order())

    Options, set without annotation; all but ``key`` may be left out:

    ==============  ==============================  =================================================================
    ``key``         str, ``"shop.order_receipt"``   its identity in the database; never changed, never inherited
    ``on``          event class or tuple of them    events that cause it; a subclass of such an event does, too
    ``topic``       str, ``"orders"``               what recipients say yes or no to
    ``mandatory``   bool                            it has to arrive: if it does not, operators are told
    ``route``       str, ``"email"``                the channel
    ``priority``    "urgent", "normal" or "low"     which communications go first
    ``expires``     timedelta from the event        not sent later than this; None: retried as long as is usual
    ``on_unknown``  "resend" or "hold"              when nobody knows whether a provider accepted it: try again, and
                                                    risk two, or hold it, and risk none
    ``from_email``  str                             sender; None: the project's ``DEFAULT_FROM_EMAIL``
    ``reply_to``    list or tuple of mail addresses
    ``headers``     dict of str                     added to the mail
    ``load``        {field: lookups}                related rows to prefetch, once for a whole batch:
                                                    ``{"order": ("customer", "lines__product")}``
    ``abstract``    bool, never inherited           only passes its fields and options on
    ==============  ==============================  =================================================================

    A class body that sets an option to what it cannot be, or that annotates one, raises TypeError.
    """

    abstract = True
    on: ClassVar[type[Event] | tuple[type[Event], ...]] = ()
    topic: ClassVar[str] = ""
    mandatory: ClassVar[bool] = False
    route: ClassVar[str] = "email"
    priority: ClassVar[Literal["urgent", "normal", "low"]] = "normal"
    expires: ClassVar[timedelta | None] = None
    on_unknown: ClassVar[Literal["resend", "hold"]] = "resend"
    from_email: ClassVar[str | None] = None
    reply_to: ClassVar[Sequence[str]] = ()
    headers: ClassVar[Mapping[str, str]] = MappingProxyType({})
    load: ClassVar[Mapping[str, Sequence["str | Prefetch[Any]"]]] = MappingProxyType({})

    def __init_subclass__(cls, **kwargs: Any) -> None:
        _refuse_later(cls)
        refuse_fields(cls, _IN_TEMPLATES)
        super().__init_subclass__(**kwargs)
        _check_options(cls)
        if not cls.abstract:
            _check_fields(cls)
            _messages.add(cls.key, cls, cls)

    def recipients(self) -> "To":
        """Who is to be told: a user, a Recipient, a mail address, an iterable of these, or None for nobody.

        Asked out of band. A message without it must be sent with ``to=``.
        """
        return None

    @classmethod
    def from_event(cls, event: Any) -> Self:
        """Make the message that an event causes; by default, fields of the same name are copied.

        Raises TypeError if the event lacks a field that the message needs.
        """
        _check_event(cls, type(event))
        shared = set(field_names(type(event)))
        return cls(**{name: getattr(event, name) for name in field_names(cls) if name in shared})

    @classmethod
    def example(cls) -> Self:
        """A made-up instance for previews, the catalogue and tests; its model instances need no rows."""
        raise NotImplementedError(f"{cls.__qualname__} has no example: define the classmethod example()")

    @classmethod
    def template_dir(cls) -> str:
        """Where the templates are: ``"shop.order_receipt"`` has them in ``"shop/messages/order_receipt"``."""
        app, _, name = cls.key.partition(".")
        return f"{app}/messages/{name}"

    def send(
        self,
        *,
        to: "To" = None,
        delay: timedelta | None = None,
        at: datetime | None = None,
        using: str | None = None,
    ) -> "Handle":
        """Write one row in the current transaction; the message is sent after its commit, out of band.

        ``to`` is a user, a Recipient, a mail address, or an iterable of these; without it, ``recipients()`` is asked.
        It is sent not before ``delay`` has passed, or not before ``at``. ``using`` is a database alias::

            PasswordReset(customer=customer).send(to="ada@example.com", delay=timedelta(minutes=5))

        Raises TypeError if nobody can be told or the class has no key, UnsavedInstance if a model instance in a field
        has no row yet, InvalidAddress for a malformed mail address.
        """
        require_key(type(self))
        if to is None and type(self).recipients is Message.recipients:
            raise TypeError(f"{type(self).__qualname__} defines no recipients(): say send(to=...)")
        return publisher().send(self, to=to, delay=delay, at=at, using=using)

    async def asend(
        self,
        *,
        to: "To" = None,
        delay: timedelta | None = None,
        at: datetime | None = None,
        using: str | None = None,
    ) -> "Handle":
        """Like :meth:`send`, for async code.

        It commits on its own: Django has no async transactions, so it cannot join an ``atomic()`` block.
        """
        return await sync_to_async(self.send, thread_sensitive=True)(to=to, delay=delay, at=at, using=using)


_messages: Registry[type[Message]] = Registry("message")
get, known, duplicates, keyless = _messages.get, _messages.known, _messages.duplicates, _messages.keyless
isolated = _messages.isolated


def messages_on(event: type[Event]) -> tuple[type[Message], ...]:
    """The messages that an event of this class causes, by way of it or of a class it inherits from."""
    return tuple(message for message in known().values() if issubclass(event, events_of(message)))


def events_of(message: type[Message]) -> tuple[type[Event], ...]:
    """``on``, always as a tuple."""
    return message.on if isinstance(message.on, tuple) else (message.on,)


def prefetch(messages: Sequence[Message]) -> None:
    """Prefetch what the messages of a batch say they need in ``load``: once for each class and field."""
    batches: dict[type[Message], list[Message]] = {}
    for message in messages:
        batches.setdefault(type(message), []).append(message)
    for cls, batch in batches.items():
        for name, lookups in cls.load.items():
            _prefetch([getattr(message, name) for message in batch], lookups)


def _prefetch(values: Iterable[Any], lookups: Sequence["str | Prefetch[Any]"]) -> None:
    instances: dict[type, dict[int, Model]] = {}  # by class, as a union may hold several, and each only once
    for instance in _instances(values):
        instances.setdefault(instance._meta.model, {})[id(instance)] = instance
    for each in instances.values():
        prefetch_related_objects(list(each.values()), *lookups)


def _instances(values: Iterable[Any]) -> Iterator[Model]:
    for value in values:
        if isinstance(value, Model):
            yield value
        elif isinstance(value, Mapping):
            yield from _instances(value.values())
        elif isinstance(value, list | tuple | set | frozenset):
            yield from _instances(value)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_list_of_text(value: object) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_text, value))


def _is_headers(value: object) -> bool:
    return isinstance(value, Mapping) and all(_is_header(name, text) for name, text in value.items())


# Printable ASCII without a colon (RFC 5322 section 2.2); a line break would begin a header of somebody else's making.
_HEADER = re.compile(r"[!-9;-~]+")
_NOT_HEADERS = {"bcc", "cc", "from", "message-id", "reply-to", "subject", "to"}


def _is_header(name: object, text: object) -> bool:
    if not (isinstance(name, str) and isinstance(text, str)):
        return False
    return bool(_HEADER.fullmatch(name)) and name.lower() not in _NOT_HEADERS and text.isprintable()


def _is_load(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(lookups, list | tuple) for lookups in value.values())


_OPTIONS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "topic": (_is_text, 'the name of a topic, such as "orders"'),
    "mandatory": (lambda value: isinstance(value, bool), "True or False"),
    "route": (lambda value: _is_text(value) and bool(value), 'the name of a channel, such as "email"'),
    "priority": (lambda value: value in PRIORITIES, '"urgent", "normal" or "low"'),
    "expires": (lambda value: value is None or isinstance(value, timedelta), "a timedelta from the event, or None"),
    "on_unknown": (lambda value: value in ON_UNKNOWN, '"resend" or "hold"'),
    "from_email": (lambda value: value is None or _is_text(value), "a mail address, or None"),
    "reply_to": (_is_list_of_text, 'a list or tuple of mail addresses, such as ("help@shop.example",)'),
    "headers": (_is_headers, 'a dict of text, such as {"X-Campaign": "spring"}, without headers that are made here'),
    "load": (_is_load, 'a dict of lists or tuples of lookups, such as {"order": ("customer",)}'),
}


def _check_options(cls: type[Message]) -> None:
    check_events(events_of(cls), f"{cls.__qualname__}.on")
    for name, (fits, expected) in _OPTIONS.items():
        value = getattr(cls, name)
        if not fits(value):
            raise TypeError(f"{cls.__qualname__}.{name}: must be {expected}, not {value!r}")


def _check_fields(cls: type[Message]) -> None:
    for name in cls.load:
        if name not in field_names(cls):
            raise TypeError(f"{cls.__qualname__}.load: `{name}` is no field of {cls.__qualname__}; load names fields")
    if inspect.getattr_static(cls, "from_event") is vars(Message)["from_event"]:
        for event in events_of(cls):
            _check_event(cls, event)


def _check_event(cls: type[Message], event: type) -> None:
    if missing := sorted(required_names(cls) - set(field_names(event))):
        raise TypeError(
            f"{cls.__qualname__} needs {_quoted(missing)}, which {event.__qualname__} does not have: "
            f"give a default, or define from_event(cls, event)"
        )


def _refuse_later(cls: type[Message]) -> None:
    if later := [name for name in _LATER if name in vars(cls) or name in own_annotations(cls)]:
        raise TypeError(
            f"{cls.__qualname__}: {_quoted(later)} will be an option of messages and is not supported yet; "
            f"remove it, or call a field or helper something else"
        )


def _quoted(names: Iterable[str]) -> str:
    return " and ".join(f"`{name}`" for name in names)
