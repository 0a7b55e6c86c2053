"""An SMTP server that takes every mail, keeps none and counts: fast enough not to be what a benchmark measures.

    python benchmarks/sink.py 2525     # until it is killed; port 0: a free one; prints the port it listens on
    python benchmarks/sink.py          # how many messages a second it takes from eight raw clients

It has a process of its own. Over any connection, ``XSTATS`` answers with the count and size of the messages and the
monotonic times at which the first and the last one arrived, and ``XRESET`` forgets them.
"""

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Self

END = b"\r\n.\r\n"


@dataclass(slots=True)
class Stats:
    """What has arrived since the last reset; ``first`` and ``last`` in seconds of time.monotonic()."""

    count: int = 0
    size: int = 0
    first: float = 0.0
    last: float = 0.0

    def add(self, size: int) -> None:
        self.last = time.monotonic()
        self.first = self.first or self.last
        self.count += 1
        self.size += size


stats = Stats()


class Session(asyncio.Protocol):
    """One connection. Commands may come in any number at once; their replies leave together."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.in_data = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        seen = max(0, len(self.buffer) - len(END))
        self.buffer += data
        replies = []
        while (end := self.buffer.find(END if self.in_data else b"\r\n", seen)) >= 0:
            if self.in_data:
                stats.add(end)
                replies.append(b"250 2.0.0 taken\r\n")
                self.in_data = False
                del self.buffer[: end + len(END)]
            else:
                replies.append(self.reply(bytes(self.buffer[:end])))
                del self.buffer[: end + 2]
            seen = 0
        self.transport.write(b"".join(replies))

    def reply(self, command: bytes) -> bytes:
        return REPLIES.get(command[:4].upper(), Session.unknown)(self)

    def ok(self) -> bytes:
        return b"250 2.0.0 ok\r\n"

    def ehlo(self) -> bytes:
        return b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n"

    def data(self) -> bytes:
        self.in_data = True
        return b"354 go on\r\n"

    def quit(self) -> bytes:
        asyncio.get_running_loop().call_soon(self.transport.close)
        return b"221 2.0.0 bye\r\n"

    def stats(self) -> bytes:
        return b"250 " + json.dumps(asdict(stats)).encode() + b"\r\n"

    def reset(self) -> bytes:
        global stats
        stats = Stats()
        return self.ok()

    def unknown(self) -> bytes:
        return b"502 5.5.1 no such command\r\n"


REPLIES: dict[bytes, Callable[[Session], bytes]] = {
    b"EHLO": Session.ehlo,
    b"HELO": Session.ok,
    b"MAIL": Session.ok,
    b"RCPT": Session.ok,
    b"RSET": Session.ok,
    b"NOOP": Session.ok,
    b"DATA": Session.data,
    b"QUIT": Session.quit,
    b"XSTA": Session.stats,
    b"XRES": Session.reset,
}


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Session, "127.0.0.1", port, backlog=512)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


class Sink:
    """A running sink, asked over a connection that stays open."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.file = socket.create_connection(("127.0.0.1", port)).makefile("rwb")
        self.file.readline()

    def stats(self) -> Stats:
        return Stats(**json.loads(self._ask(b"XSTATS\r\n")[4:]))

    def reset(self) -> None:
        self._ask(b"XRESET\r\n")

    def _ask(self, command: bytes) -> bytes:
        self.file.write(command)
        self.file.flush()
        return self.file.readline()

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Self]:
        """Start one on a free port, and end it afterwards."""
        command = [sys.executable, __file__, "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - this very file
            try:
                yield cls(int(process.stdout.readline()))
            finally:
                process.terminate()


def _flood(port: int, messages: int) -> None:
    """Send as a client that waits for every reply, with next to no work of its own."""
    mail = b"Subject: flood\r\n\r\n" + b"x" * 70 + b"\r\n" + (b"y" * 70 + b"\r\n") * 120 + b".\r\n"
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.recv(1000)
        for _ in range(messages):
            for part in (b"MAIL FROM:<a@b.example>\r\n", b"RCPT TO:<c@d.example>\r\n", b"DATA\r\n", mail):
                peer.sendall(part)
                peer.recv(1000)


def measure(clients: int = 8, messages: int = 2000) -> float:
    """Messages a second that the sink takes from raw clients on the same machine."""
    with Sink.running() as sink:
        threads = [threading.Thread(target=_flood, args=(sink.port, messages)) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        taken = sink.stats()
    if taken.count != clients * messages:
        raise RuntimeError(f"{taken.count} mails arrived instead of {clients * messages}")
    return taken.count / (taken.last - taken.first)


if __name__ == "__main__":
    if sys.argv[1:]:
        asyncio.run(serve(int(sys.argv[1])))
    else:
        sys.stdout.write(f"{measure():,.0f} messages/s\n")
