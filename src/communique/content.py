"""What goes on the wire: frozen values, one per kind of channel, and the envelope a backend is given."""

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Email:
    """A rendered mail: what the recipient reads, and the headers that the message class chose."""

    subject: str
    text: str
    html: str = ""
    from_email: str = ""
    reply_to: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


Content = Email


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One submission, as a backend sees it.

    ``key`` is the delivery's uid, the same for every attempt: use it as idempotency key or Message-ID.
    """

    key: str
    channel: str
    address: str
    content: Content
    name: str = ""
    message: str = ""
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """Content as it is stored: compressed bytes with the digest and size (bytes) of the plain form."""

    body: bytes
    digest: str
    size: int


def freeze(content: Content) -> Frozen:
    """Turn content into what every later attempt and provider will get."""
    plain = json.dumps(_plain(content), separators=(",", ":")).encode()
    # Level 1: measured at a third of the time of level 6 for a mail, and 5 % larger.
    return Frozen(body=zlib.compress(plain, 1), digest=hashlib.sha256(plain).hexdigest(), size=len(plain))


def thaw(body: bytes) -> Content:
    """Read stored content back.

    >>> mail = Email(subject="Hi", text="Hello")
    >>> thaw(freeze(mail).body) == mail
    True
    """
    values = json.loads(zlib.decompress(body))
    return Email(**values | {"reply_to": tuple(values["reply_to"])})


def _plain(content: Content) -> dict[str, object]:
    return {name: getattr(content, name) for name in content.__slots__} | {"headers": dict(content.headers)}
