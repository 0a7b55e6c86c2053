"""A real SMTP server in a thread, whose misbehaviour is scripted, and which tells what it accepted and who called."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import partial
from typing import Any, Literal, Self

import django
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from django.test import override_settings

# When something may happen. "body": after the first line of the content; "dot": its end is there, and it is not kept;
# "kept": it is kept, and not answered yet.
Phase = Literal["connect", "ehlo", "auth", "mail", "rcpt", "data", "body", "dot", "kept"]
SMTP_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
PATIENCE = 10.0


@dataclass(slots=True, kw_only=True)
class Trouble:
    """One thing that goes wrong, ``times`` over; without ``to`` it meets anybody."""

    at: Phase
    reply: str = ""
    to: str = ""
    seconds: float = 0
    drop: bool = False
    times: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One mail that was accepted, or at least kept."""

    sender: str
    recipients: list[str]
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.raw, policy=policy.default)

    def lines_of(self, header: str) -> list[str]:
        """A header as it came, line by line."""
        head, _, _ = self.raw.decode().partition("\r\n\r\n")
        lines = head.split("\r\n")
        first = next(i for i, line in enumerate(lines) if line.lower().startswith(f"{header.lower()}:"))
        more = next((i for i, line in enumerate(lines[first + 1 :], first + 1) if line[:1] not in (" ", "\t")), None)
        return lines[first:more]

    def value_of(self, header: str) -> str:
        """A header unfolded (RFC 5322 section 2.2.3) and not decoded: what a program sees that knows no RFC 2047."""
        return "".join(self.lines_of(header)).partition(":")[2].strip()


class SMTPServer(Controller):
    """Listens on a free port of 127.0.0.1 from the start of the ``with`` block to its end.

    >>> with SMTPServer() as server, server.used_by_django():                   # doctest: +SKIP
    ...     server.will("rcpt", "451 4.7.1 Greylisted", to="ada")
    """

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self.connections = 0
        self.troubles: list[Trouble] = []
        self.conversations: set[_Conversation] = set()
        self._socket = socket.create_server(("127.0.0.1", 0))
        super().__init__(
            None,
            hostname="127.0.0.1",
            port=self._socket.getsockname()[1],
            auth_require_tls=False,
            authenticator=lambda *_: AuthResult(success=True),
        )

    def __enter__(self) -> Self:
        self.start()
        self._eventually(lambda: not self.conversations)  # aiosmtpd calls once, to see whether anybody answers
        self.connections = 0
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self.hang_up()
            self.stop()
        self._socket.close()

    def will(self, at: Phase, reply: str = "", **how: Any) -> None:
        """Meet the next client that gets as far as ``at`` with a reply, a delay (``seconds``) or a dropped line."""
        self.troubles.append(Trouble(at=at, reply=reply, **how))

    def hang_up(self) -> None:
        """Drop every connection that is open now, without a word."""
        for conversation in tuple(self.conversations):
            self.loop.call_soon_threadsafe(conversation.drop)
        self._eventually(lambda: not self.conversations)

    @property
    def mail(self) -> Mail:
        """The one mail that came."""
        (only,) = self.mails
        return only

    @contextmanager
    def used_by_django(self, **options: Any) -> Iterator[None]:
        """Let the project send by this server; ``options`` such as ``timeout`` are those of Django's SMTP backend."""
        with used_by_django(self.port, **options):
            yield

    def trouble(self, at: Phase, recipients: list[str]) -> Trouble | None:
        """What goes wrong now, taken off the script."""
        local_parts = {address.rpartition("@")[0] for address in recipients}
        due = (one for one in self.troubles if one.at == at and one.times and (not one.to or one.to in local_parts))
        found = next(due, None)
        if found is not None:
            found.times -= 1
        return found

    def factory(self) -> SMTP:
        return _Conversation(self, loop=self.loop, **self.SMTP_kwargs)

    def _create_server(self) -> Any:
        return self.loop.create_server(self._factory_invoker, sock=self._socket)

    def _eventually(self, true: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < until, "the SMTP server is stuck"
            time.sleep(0.001)


@dataclass
class _Handler:
    """Keeps mails."""

    conversation: "_Conversation" = field(repr=False)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if reply := await self.conversation.troubled("dot", envelope.rcpt_tos):
            return reply
        mail = Mail(sender=envelope.mail_from, recipients=list(envelope.rcpt_tos), raw=envelope.original_content)
        self.conversation.provider.mails.append(mail)
        return await self.conversation.troubled("kept", envelope.rcpt_tos) or "250 2.0.0 OK"


class _Conversation(SMTP):
    """One connection; every command may meet trouble before it is understood."""

    def __init__(self, provider: SMTPServer, **options: Any) -> None:
        self.provider = provider
        super().__init__(_Handler(self), **options)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The lines of an answer are packets of their own: do not wait 40 ms for the acknowledgement of the first.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.provider.connections += 1
        self.provider.conversations.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.provider.conversations.discard(self)

    def drop(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    async def troubled(self, at: Phase, recipients: list[str]) -> str:
        """The reply that the script wants, or nothing; a dropped connection ends the conversation here."""
        trouble = self.provider.trouble(at, recipients)
        if trouble is None:
            return ""
        await asyncio.sleep(trouble.seconds)
        if trouble.drop:
            self.drop()
            raise asyncio.CancelledError
        return trouble.reply

    async def _handle_client(self) -> None:
        if reply := await self.troubled("connect", []):
            await self.push(reply)
            self.transport.close()
        else:
            await super()._handle_client()

    async def _unless(self, at: Phase, recipients: list[str], go_on: Callable[[], Any]) -> None:
        if reply := await self.troubled(at, recipients):
            await self.push(reply)
            if reply.startswith("421"):
                self.transport.close()
        else:
            await go_on()

    async def smtp_EHLO(self, hostname: str) -> None:
        await self._unless("ehlo", [], partial(super().smtp_EHLO, hostname))

    async def smtp_HELO(self, hostname: str) -> None:
        await self._unless("ehlo", [], partial(super().smtp_HELO, hostname))

    async def smtp_AUTH(self, arg: str) -> None:
        await self._unless("auth", [], partial(super().smtp_AUTH, arg))

    async def smtp_MAIL(self, arg: str | None) -> None:
        await self._unless("mail", [], partial(super().smtp_MAIL, arg))

    async def smtp_RCPT(self, arg: str | None) -> None:
        address = (arg or "").partition("<")[2].partition(">")[0]
        await self._unless("rcpt", [address], partial(super().smtp_RCPT, arg))

    async def smtp_DATA(self, arg: str) -> None:
        recipients = self.envelope.rcpt_tos
        await self._unless("data", recipients, partial(self._receive, arg, recipients))

    async def _receive(self, arg: str, recipients: list[str]) -> None:
        # Read by nobody else yet: the client says nothing before it has the 354 of super().smtp_DATA().
        trouble = self.provider.trouble("body", recipients)
        if trouble is None:
            await super().smtp_DATA(arg)
            return
        await self.push("354 go on")
        await self._reader.readline()
        await asyncio.sleep(trouble.seconds)
        self.drop()
        raise asyncio.CancelledError


@contextmanager
def used_by_django(port: int, **options: Any) -> Iterator[None]:
    """Let Django send by the SMTP server on a port of this machine; pytest-django has set it to keep mail in memory."""
    options = {"host": "127.0.0.1", "port": port, **options}
    if django.VERSION >= (6, 1):
        changed = override_settings(MAILERS={"default": {"BACKEND": SMTP_BACKEND, "OPTIONS": options}})
    else:
        names = {"timeout": "EMAIL_TIMEOUT", "username": "EMAIL_HOST_USER", "password": "EMAIL_HOST_PASSWORD"}
        names |= {"host": "EMAIL_HOST", "port": "EMAIL_PORT"}
        settings = {"EMAIL_TIMEOUT": None} | {names[option]: value for option, value in options.items()}
        changed = override_settings(EMAIL_BACKEND=SMTP_BACKEND, **settings)
    with changed:
        yield


def port_where_nobody_listens() -> int:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port: int = closed.getsockname()[1]
    return port
