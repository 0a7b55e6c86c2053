"""Email through the project's own mailer: whatever Django is set up to send with, over a connection that is kept."""

import smtplib
from contextlib import suppress
from email.utils import formataddr
from typing import Any

from django.conf import settings
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend

from .. import clock
from ..content import Outgoing
from ..exceptions import where
from ..outcomes import Accepted, Outcome, Refused, Retry, Unknown
from .base import Backend


class DjangoMailBackend(Backend):
    """Sends through ``EMAIL_BACKEND``, or on Django 6.1 and later through ``MAILERS[mailer]``.

    ``OPTIONS`` (all optional): ``mailer``, an alias of ``MAILERS``; ``timeout``, seconds for connecting and for each
    reply, where the project's mail settings have none (Django's default is to wait for ever); ``idle``, seconds
    after which a connection that was not used is opened anew, because servers drop idle ones.

    Errors: a reply of class 4 is ``Retry``, one of class 5 ``Refused`` (RFC 5321 section 4.2.1); no connection is
    ``Retry``; a connection that broke while the mail was handed over is ``Unknown``.
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
            return self._dropped(Retry(_code(error), detail=where(error), scope="backend"))
        try:
            connection.send_messages([_mail(outgoing)])
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPResponseException) as error:
            return self._dropped(_answered(error))
        except (smtplib.SMTPException, OSError) as error:
            return self._dropped(Unknown(detail=where(error)))
        except ValueError as error:
            # Django refuses to build a header or an address, before anything goes on the wire.
            return self._dropped(Refused(detail=where(error)))
        self._used_at = clock.monotonic()
        return Accepted("250")

    def close(self) -> None:
        connection, self._connection = self._connection, None
        # A server that is gone already cannot be told goodbye.
        with suppress(OSError, smtplib.SMTPException):
            if connection is not None:
                connection.close()

    def _open(self) -> BaseEmailBackend:
        if self._connection is not None and clock.monotonic() - self._used_at > self.idle:
            self.close()
        if self._connection is None:
            connection = _mailer(self.mailer)
            if getattr(connection, "timeout", 0) is None:
                connection.timeout = self.timeout  # type: ignore[attr-defined] # the SMTP backend has one
            connection.open()
            self._connection = connection
            self._used_at = clock.monotonic()
        return self._connection

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


def _mail(outgoing: Outgoing) -> EmailMultiAlternatives:
    content = outgoing.content
    from_email = content.from_email or settings.DEFAULT_FROM_EMAIL
    message = EmailMultiAlternatives(
        content.subject,
        content.text,
        from_email,
        [formataddr((outgoing.name, outgoing.address)) if outgoing.name else outgoing.address],
        reply_to=list(content.reply_to) or None,
        headers={
            **content.headers,
            # From the delivery's uid: every attempt, by whatever provider, is the same mail to its reader.
            "Message-ID": f"<{outgoing.key}@{_domain(from_email)}>",
            "Auto-Submitted": "auto-generated",
        },
    )
    if content.html:
        message.attach_alternative(content.html, "text/html")
    return message


def _domain(from_email: str) -> str:
    return from_email.rpartition("@")[2].rstrip("> ") or "localhost"


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


def _code(error: Exception) -> str:
    return str(error.smtp_code) if isinstance(error, smtplib.SMTPResponseException) else ""
