"""Email through the project's own mailer: whatever Django is set up to send with, over a connection that is kept."""

import re
import smtplib
from contextlib import suppress
from email.errors import MessageError
from email.headerregistry import Address
from email.policy import SMTP, EmailPolicy
from selectors import EVENT_READ, DefaultSelector
from typing import Any

from django.conf import settings
from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend
from django.utils.encoding import punycode

from .. import clock
from ..content import Outgoing
from ..exceptions import where
from ..outcomes import Accepted, Misconfigured, Outcome, Refused, Retry, Unknown
from .base import Backend


class DjangoMailBackend(Backend):
    """Sends through ``EMAIL_BACKEND``, or on Django 6.1 and later through ``MAILERS[mailer]``.

    ``OPTIONS`` (all optional): ``mailer``, an alias of ``MAILERS``; ``timeout``, seconds for connecting and for each
    reply, where the project's mail settings have none (Django's default is to wait for ever); ``idle``, seconds
    after which a connection that was not used is opened anew, because servers drop idle ones.

    Errors: a reply of class 4 is ``Retry``, one of class 5 ``Refused`` (RFC 5321 section 4.2.1); no connection, or none
    that gets beyond the greetings, is ``Retry``; credentials that were rejected are ``Misconfigured``, as is a mailer
    that does not exist; a connection that broke while the mail was handed over is ``Unknown``.
    """

    def __init__(self, *, mailer: str = "default", timeout: float = 30.0, idle: float = 10.0) -> None:
        self.mailer = mailer
        self.timeout = timeout
        self.idle = idle
        self._connection: BaseEmailBackend | None = None
        self._used_at = 0.0

    def send(self, outgoing: Outgoing) -> Outcome:
        try:
            connection = self._open()
        except (OSError, smtplib.SMTPException) as error:
            return self._dropped(_unconnected(error))
        except ImproperlyConfigured as error:
            return self._dropped(Misconfigured(detail=where(error), scope="backend"))
        try:
            count = connection.send_messages([_mail(outgoing)])
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPResponseException) as error:
            return self._dropped(_answered(error))
        except (smtplib.SMTPException, OSError) as error:
            return self._dropped(Unknown(detail=where(error)))
        except (ValueError, MessageError) as error:
            # Django refuses to build a header or an address, before anything goes on the wire.
            return self._dropped(Refused(detail=where(error)))
        if count == 0:
            # A mailer told to fail silently.
            return self._dropped(Unknown(detail="the mailer says that it sent nothing"))
        self._used_at = clock.monotonic()
        return Accepted("250")

    def close(self) -> None:
        connection, self._connection = self._connection, None
        # A server that is gone already cannot be told goodbye.
        with suppress(OSError, smtplib.SMTPException):
            if connection is not None:
                connection.close()

    def _open(self) -> BaseEmailBackend:
        if self._connection is not None and (self._is_stale() or _hung_up(self._connection)):
            self.close()
        if self._connection is None:
            # Kept before it is open: one that was opened halfway is closed like any other.
            connection = self._connection = _mailer(self.mailer)
            if getattr(connection, "timeout", 0) is None:
                connection.timeout = self.timeout  # type: ignore[attr-defined] # the SMTP backend has one
            connection.open()
            if smtp := _smtp(connection):
                # Otherwise part of the first mail, whose trouble it is not.
                smtp.ehlo_or_helo_if_needed()
            self._used_at = clock.monotonic()
        return self._connection

    def _is_stale(self) -> bool:
        return clock.monotonic() - self._used_at > self.idle

    def _dropped(self, outcome: Outcome) -> Outcome:
        """After any trouble the state of the connection is anybody's guess: the next mail gets a new one."""
        self.close()
        return outcome


def _mailer(alias: str) -> BaseEmailBackend:
    # Django < 6.1 has no MAILERS, and from 6.1 on get_connection() is deprecated.
    mailers: Any = getattr(mail, "mailers", None)
    if mailers is not None:
        connection: BaseEmailBackend = mailers[alias]
        return connection
    return mail.get_connection()


def _smtp(connection: BaseEmailBackend) -> smtplib.SMTP | None:
    """The client in Django's SMTP backend; other backends have none, or one of another kind."""
    client = getattr(connection, "connection", None)
    return client if isinstance(client, smtplib.SMTP) else None


def _hung_up(connection: BaseEmailBackend) -> bool:
    """The server has spoken without being asked, or ended the connection: found out before a mail is half sent."""
    smtp = _smtp(connection)
    if smtp is None or smtp.sock is None:
        return False
    with DefaultSelector() as selector:
        selector.register(smtp.sock, EVENT_READ)
        return bool(selector.select(timeout=0))


class _Mail(EmailMultiAlternatives):
    def message(self, **kwargs: Any) -> Any:
        # Django < 6 knows no policy, and leaves long words whole by itself.
        if kwargs.get("policy") is SMTP:
            kwargs["policy"] = _POLICY
        return super().message(**kwargs)


class _LongWords(EmailPolicy):
    """Folds like email.policy.SMTP, which cuts a word that fills a line into encoded words (RFC 2047), a link in a
    header too: programs do not put it together again. A line may have 998 characters (RFC 5322 section 2.1.1)."""

    def fold_binary(self, name: str, value: str) -> bytes:
        is_long = value.isascii() and any(len(word) > 60 for word in value.split())
        return (_LONG_LINES if is_long else SMTP).fold_binary(name, value)


_LONG_LINES = SMTP.clone(max_line_length=998)
_POLICY = _LongWords(linesep=SMTP.linesep)


def _mail(outgoing: Outgoing) -> EmailMultiAlternatives:
    content = outgoing.content
    from_email = content.from_email or settings.DEFAULT_FROM_EMAIL
    own = {
        # From the delivery's uid: every attempt, by whatever provider, is the same mail to its reader.
        "Message-ID": f"<{outgoing.key}@{_domain(from_email)}>",
        "Auto-Submitted": "auto-generated",
    }
    taken = {name.lower() for name in own}
    message = _Mail(
        content.subject,
        content.text,
        from_email,
        [_mailbox(outgoing.name, outgoing.address)],
        reply_to=list(content.reply_to) or None,
        headers={name: value for name, value in content.headers.items() if name.lower() not in taken} | own,
    )
    if content.html:
        message.attach_alternative(content.html, "text/html")
    return message


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _mailbox(name: str, address: str) -> str:
    # A line break in somebody's name must not cost them their mail.
    one_line = " ".join(_CONTROL.sub(" ", name).split())
    # Not formataddr(): of what it encodes, Python's email policies make two addresses where the name has a comma.
    local, _, domain = address.rpartition("@")
    return str(Address(one_line, local, domain)) if one_line else address


def _domain(from_email: str) -> str:
    return punycode(from_email.rpartition("@")[2].rstrip("> ")) or "localhost"


def _unconnected(error: OSError | smtplib.SMTPException) -> Outcome:
    code = _full_code(*_reply(error)) if isinstance(error, smtplib.SMTPResponseException) else ""
    if isinstance(error, smtplib.SMTPAuthenticationError) and error.smtp_code >= 500:
        return Misconfigured(code, detail=where(error), scope="account")
    return Retry(code, detail=where(error), scope="backend")


def _answered(error: smtplib.SMTPRecipientsRefused | smtplib.SMTPResponseException) -> Outcome:
    code, text = _reply(error)
    if 400 <= code < 500:
        return Retry(_full_code(code, text))
    if 500 <= code < 600:
        return Refused(_full_code(code, text))
    return Unknown(str(code), detail="not an SMTP reply")


def _reply(error: smtplib.SMTPRecipientsRefused | smtplib.SMTPResponseException) -> tuple[int, bytes]:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        # One recipient per submission, so there is one reply.
        ((code, text),) = error.recipients.values()
        return code, text
    said: bytes | str = error.smtp_error
    return error.smtp_code, said if isinstance(said, bytes) else said.encode()


def _full_code(code: int, text: bytes) -> str:
    """Reply code and enhanced code (RFC 3463); the free text may repeat the address and is not kept."""
    first = text.split(maxsplit=1)[0].decode("ascii", "replace") if text.strip() else ""
    enhanced = first if first[:2] in ("4.", "5.") and first.replace(".", "").isdigit() else ""
    return f"{code} {enhanced}".strip()
