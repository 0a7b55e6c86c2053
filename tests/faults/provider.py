"""A mail provider in a process of its own, whose ledger is the only truth about what was sent.

    python provider.py FOLDER

It prints its port. A mail is in FOLDER/ledger.jsonl, and on the disk, before its 250 is written. What goes wrong is in
FOLDER/script.json, which may change at any time: the fields of `Script`.
"""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from asyncio import StreamReader, StreamWriter
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

BIGGEST_MAIL = 2**22
FOR_EVER = 3600.0
_MESSAGE_ID = re.compile(rb"^message-id:\s*<([^>]+)>", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What the provider does to mails; the counts are of all mails since it was started."""

    # Between keeping a mail and answering that it is kept.
    seconds: float = 0
    # While this is set, mails are kept and not answered.
    silent: bool = False
    # So many are answered with 451 when their recipient is named.
    refused: int = 0
    # So many lose their connection after the first line of their content.
    dropped: int = 0
    # So many are kept and never answered.
    unanswered: int = 0
    # The process that is killed once a mail is kept, just before that is answered.
    kill: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One mail that was accepted."""

    message_id: str
    to: str
    at: float
    size: int

    @property
    def delivery(self) -> str:
        return self.message_id.partition("@")[0]


class Server:
    """Talks SMTP with any number of clients; has no extensions, so that all of them say the same."""

    def __init__(self, folder: Path) -> None:
        self.script = folder / "script.json"
        self.ledger = os.open(folder / "ledger.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.done: Counter[str] = Counter()

    async def converse(self, reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            writer.write(b"220 provider\r\n")
            recipients: list[str] = []
            while line := await reader.readline():
                match line.split()[0].upper():
                    case b"RCPT":
                        writer.write(self._rcpt(line, recipients))
                    case b"DATA":
                        writer.write(await self._data(reader, writer, recipients))
                        recipients = []
                    case b"QUIT":
                        writer.write(b"221 bye\r\n")
                        break
                    case _:
                        writer.write(b"250 ok\r\n")
        writer.close()

    def _rcpt(self, line: bytes, recipients: list[str]) -> bytes:
        if self._is_due("refused"):
            return b"451 4.7.1 try again later\r\n"
        recipients.append(line.decode().partition("<")[2].partition(">")[0])
        return b"250 ok\r\n"

    async def _data(self, reader: StreamReader, writer: StreamWriter, recipients: list[str]) -> bytes:
        writer.write(b"354 go on\r\n")
        if self._is_due("dropped"):
            await reader.readline()
            writer.transport.abort()
            raise ConnectionAbortedError
        mail = await reader.readuntil(b"\r\n.\r\n")
        for recipient in recipients:
            self._keep(mail, recipient)
        script = self._read()
        if script.kill:
            os.kill(script.kill, signal.SIGKILL)
        await asyncio.sleep(FOR_EVER if self._is_due("unanswered") else script.seconds)
        while self._read().silent:
            await asyncio.sleep(0.02)
        return b"250 kept\r\n"

    def _keep(self, mail: bytes, recipient: str) -> None:
        found = _MESSAGE_ID.search(mail)
        message_id = found[1].decode() if found else ""
        entry = Entry(message_id=message_id, to=recipient, at=time.time(), size=len(mail))
        os.write(self.ledger, json.dumps(asdict(entry)).encode() + b"\n")
        os.fsync(self.ledger)

    def _is_due(self, fault: str) -> bool:
        """The script has this fault for more mails than had it."""
        due: bool = self.done[fault] < getattr(self._read(), fault)
        self.done[fault] += due
        return due

    def _read(self) -> Script:
        return Script(**json.loads(self.script.read_text()))


async def serve(folder: Path) -> None:
    server = await asyncio.start_server(Server(folder).converse, "127.0.0.1", 0, limit=BIGGEST_MAIL, backlog=200)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


class Provider:
    """The provider as a test sees it: its script, and its ledger."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.follow(Script())
        command = [sys.executable, __file__, str(folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            self._process.kill()

    def follow(self, script: Script) -> None:
        """Do this from now on."""
        new = self.folder / "script.new"
        new.write_text(json.dumps(asdict(script)))
        new.replace(self.folder / "script.json")

    def ledger(self, to: str | None = None) -> list[Entry]:
        """All that was accepted, or what was accepted for one recipient."""
        whole, _, _ = (self.folder / "ledger.jsonl").read_text().rpartition("\n")
        entries = [Entry(**json.loads(line)) for line in whole.splitlines()]
        return [entry for entry in entries if to in (None, entry.to)]


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
