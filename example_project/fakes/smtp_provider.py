"""A mail provider that never mails anyone: it accepts over SMTP and keeps what it accepted in a folder.

    python smtp_provider.py FOLDER [--port 8025] [--seconds-per-mail 0]

Once it has answered 250, the mail is on the disk: `<name>.eml` holds it as it came, `<name>.json` the envelope and the
time. Like a real provider it does not look for duplicates. It follows a script by local part:

    greylist@...   answers 451 the first two times it is asked about the address, then accepts
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

GREYLISTED_TIMES = 2
OK = "250 OK"
GREYLISTED = "451 4.7.1 Greylisted, please try again later"


class Provider:
    """Answers the commands of all connections."""

    def __init__(self, folder: Path, seconds_per_mail: float) -> None:
        self.folder = folder
        self.seconds_per_mail = seconds_per_mail
        self.asked: Counter[str] = Counter()
        self.serial = count(1)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.asked[address] += 1
        if address.startswith("greylist@") and self.asked[address] <= GREYLISTED_TIMES:
            return GREYLISTED
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return OK

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        received_at = datetime.now(UTC)
        name = f"{received_at:%Y%m%d-%H%M%S-%f}-{next(self.serial)}"
        noted: dict[str, object] = {
            "received_at": received_at.isoformat(),
            "sender": envelope.mail_from,
            "recipients": envelope.rcpt_tos,
        }
        await asyncio.to_thread(self._keep, name, envelope.original_content or b"", noted)
        # The slow part comes when the mail is accepted and nobody knows it yet: whoever is killed now sends it twice.
        await asyncio.sleep(self.seconds_per_mail)
        return f"250 2.0.0 OK queued as {name}"

    def _keep(self, name: str, content: bytes, noted: dict[str, object]) -> None:
        """Writes the mail, then its envelope: a mail whose envelope is there is complete."""
        write_durably(self.folder / f"{name}.eml", content)
        write_durably(self.folder / f"{name}.json", json.dumps(noted).encode())


def write_durably(path: Path, content: bytes) -> None:
    """Writes a file that is whole or not there at all, whatever dies when; returns once it is on the disk."""
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


async def serve(folder: Path, port: int, seconds_per_mail: float) -> None:
    """Accepts mail until the process is told to end."""
    folder.mkdir(parents=True, exist_ok=True)
    provider = Provider(folder, seconds_per_mail)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, ended.set)
    smtp = partial(SMTP, provider, enable_SMTPUTF8=True, ident="fake provider", loop=loop)
    server = await loop.create_server(smtp, host="127.0.0.1", port=port)
    await ended.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="A mail provider that keeps every mail in a folder.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=8025)
    parser.add_argument("--seconds-per-mail", type=float, default=0.0, help="how long it takes to accept one mail")
    options = parser.parse_args()
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(options.folder, options.port, options.seconds_per_mail))


if __name__ == "__main__":
    main()
