"""Who a message is for: a user of the host project, or somebody who is none."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import idna
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator

from .exceptions import CommuniqueError, InvalidAddress, InvalidPayload, SubjectDeleted

if TYPE_CHECKING:
    # Not at run time: it is a model, and host apps import communique before the app registry is ready.
    from django.contrib.auth.base_user import AbstractBaseUser


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """Somebody to be told, by every address known of them.

    Use it for people who are no users; a user is turned into one by :meth:`of`.

    >>> Recipient(email="ada@example.com", name="Ada").address("email")
    'ada@example.com'

    ``language`` is a Django language code, ``timezone`` an IANA name. Raises :class:`InvalidAddress` for a
    malformed ``email``.
    """

    email: str = ""
    phone: str = ""
    name: str = ""
    language: str = ""
    timezone: str = ""
    user: "AbstractBaseUser | None" = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.user is None:
            if not (self.email or self.phone):
                raise InvalidAddress("Recipient() needs at least one address: email=... or phone=...")
            if self.email:
                object.__setattr__(self, "email", normalise_email(self.email))

    @classmethod
    def of(cls, value: object) -> "Recipient":
        """Accept what ``recipients()`` and ``to=`` may give: a user, a Recipient, a literal mail address."""
        if isinstance(value, Recipient):
            return value
        if isinstance(value, str):
            return cls(email=value)
        if isinstance(value, get_user_model()):
            return cls._of_user(value)
        raise TypeError(f"a recipient is a user, a Recipient or a mail address, not {type(value).__name__}")

    @classmethod
    def _of_user(cls, user: "AbstractBaseUser") -> "Recipient":
        return cls(
            email=getattr(user, user.get_email_field_name(), "") or "",
            phone=str(getattr(user, "phone", "") or ""),
            name=_name_of(user),
            language=getattr(user, "language", "") or "",
            timezone=str(getattr(user, "timezone", "") or ""),
            user=user,
        )

    @property
    def key(self) -> str:
        """Who this is, for "one communication per event, message and recipient"; carries no address."""
        if self.user is not None:
            return f"user:{self.user.pk}"
        addresses = f"{self.email.lower()}\n{self.phone}"
        return "address:" + hashlib.sha256(addresses.encode()).hexdigest()[:32]

    def address(self, channel: str) -> str:
        """The address on a channel, or an empty string."""
        match channel:
            case "email":
                return self.email
            case "sms":
                return self.phone
        return ""

    def dump(self) -> dict[str, Any]:
        """What is stored: a user by primary key, anybody else by value."""
        if self.user is not None:
            return {"user": str(self.user.pk)}
        return {name: getattr(self, name) for name in _STORED if getattr(self, name)}


_STORED = ("email", "phone", "name", "language", "timezone")


def all_of(given: object) -> list[Recipient]:
    """Accept what ``recipients()`` may return: None, one recipient, or an iterable of them; no one twice."""
    if given is None:
        return []
    if isinstance(given, str) or not isinstance(given, Iterable):
        given = [given]
    unique = {recipient.key: recipient for recipient in map(Recipient.of, given)}
    return list(unique.values())


def load_many(dumps: Sequence[Mapping[str, Any]], *, using: str) -> list[Recipient | CommuniqueError]:
    """Read stored recipients back, all users in one query; one that cannot be read comes back as the error.

    That is SubjectDeleted for a user who is gone, InvalidPayload for an address that was stored by other rules.
    """
    pks = {dump["user"] for dump in dumps if "user" in dump}
    users = {str(pk): user for pk, user in _users(pks, using).items()} if pks else {}
    return [_load(dump, users) for dump in dumps]


def _users(pks: Iterable[str], using: str) -> "Mapping[Any, AbstractBaseUser]":
    user = get_user_model()
    readable = []
    for pk in pks:
        # A key of the user model that the project had before is nobody's now.
        with suppress(ValidationError, ValueError):
            readable.append(user._meta.pk.to_python(pk))
    # The base manager: a default manager that hides inactive people must not turn them into deleted ones.
    return user._base_manager.using(using).in_bulk(readable)


def _load(dump: Mapping[str, Any], users: "Mapping[str, AbstractBaseUser]") -> Recipient | CommuniqueError:
    if "user" in dump:
        user = users.get(dump["user"])
        return Recipient.of(user) if user else SubjectDeleted("the user has been deleted")
    try:
        # What a later release stores besides is for that release.
        return Recipient(**{name: dump[name] for name in _STORED if name in dump})
    except InvalidAddress as error:
        return InvalidPayload(f"stored recipient: {error}")


def _name_of(user: "AbstractBaseUser") -> str:
    full_name = getattr(user, "get_full_name", str)()
    return str(full_name or user.get_username())


_CONTROL = re.compile(r"[\x00-\x20\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_validate = EmailValidator()


def normalise_email(address: str) -> str:
    """Check a mail address and write its domain as the A-label of IDNA 2008 (RFC 5891).

    The local part stays as given (RFC 5321 section 2.4). Django alone would map ``faß.example`` to another
    domain, and put a non-ASCII local part on the wire as an address that belongs to nobody.

    >>> normalise_email("ada@faß.example")
    'ada@xn--fa-hia.example'

    Raises :class:`InvalidAddress`, which never repeats the address.
    """
    local, at, domain = address.rpartition("@")
    if _CONTROL.search(address) or not at:
        raise InvalidAddress("malformed mail address")
    if not local.isascii():
        raise InvalidAddress("mail addresses with non-ASCII characters before the @ are not supported")
    try:
        normal = f"{local}@{domain if domain.isascii() else idna.encode(domain, uts46=True).decode()}"
        _validate(normal)
    except (ValidationError, idna.IDNAError):
        raise InvalidAddress("malformed mail address") from None
    return normal
