"""Reads the mails that the fake provider wrote to its folder (see fakes/smtp_provider.py)."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cached_property
from pathlib import Path

NAME = re.compile(r"[0-9a-z-]{1,80}")


@dataclass(frozen=True)
class Mail:
    """One accepted mail: the envelope as the provider noted it, the content as it was handed over."""

    name: str
    received_at: datetime
    sender: str
    recipients: list[str]
    source: bytes

    @cached_property
    def parsed(self) -> EmailMessage:
        return message_from_bytes(self.source, _class=EmailMessage, policy=policy.default)

    @property
    def subject(self) -> str:
        return str(self.parsed.get("Subject", "")) or "(no subject)"

    @property
    def from_header(self) -> str:
        return str(self.parsed.get("From", self.sender))

    @property
    def from_name(self) -> str:
        header = self.parsed["From"]
        named = [address.display_name for address in getattr(header, "addresses", ()) if address.display_name]
        return named[0] if named else self.sender

    @property
    def to_header(self) -> str:
        return str(self.parsed.get("To", "")) or ", ".join(self.recipients)

    @property
    def headers(self) -> list[tuple[str, str]]:
        return [(name, str(value)) for name, value in self.parsed.items()]

    @property
    def delivery(self) -> str:
        """The uid of the delivery that this mail is, for a look at its story: the first half of its Message-ID."""
        return str(self.parsed.get("Message-ID", "")).strip("<> ").partition("@")[0]

    @property
    def text(self) -> str:
        return self._part("plain")

    @property
    def html(self) -> str:
        return self._part("html")

    def _part(self, kind: str) -> str:
        part = self.parsed.get_body(preferencelist=(kind,))
        return part.get_content() if part is not None else ""


def mails(folder: Path) -> list[Mail]:
    """All mails of the folder, newest first."""
    return sorted(_read(folder), key=lambda mail: (mail.received_at, mail.name), reverse=True)


def mail(folder: Path, name: str) -> Mail | None:
    """The mail of this name, or None."""
    if not NAME.fullmatch(name) or not (folder / f"{name}.json").is_file():
        return None
    return _load(folder / f"{name}.json")


def _read(folder: Path) -> Iterator[Mail]:
    yield from (_load(envelope) for envelope in folder.glob("*.json"))


def _load(envelope: Path) -> Mail:
    noted = json.loads(envelope.read_text())
    return Mail(
        name=envelope.stem,
        received_at=datetime.fromisoformat(noted["received_at"]),
        sender=noted["sender"],
        recipients=noted["recipients"],
        source=envelope.with_suffix(".eml").read_bytes(),
    )
