"""Which databases, brokers and browsers are here: addresses from the environment, and one honest question to each.

Imports nothing but the standard library until a database is asked.
`python -m tests.services` prints what it finds; `python -m tests.services --all` fails if anything is missing.
"""

import os
import shutil
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

CONNECT_SECONDS = 3

DEFAULTS = {
    "COMMUNIQUE_TEST_POSTGRES": "postgres://postgres@127.0.0.1:5432/postgres",
    "COMMUNIQUE_TEST_MARIADB": "mysql://root@127.0.0.1:3306/test",
    "COMMUNIQUE_TEST_REDIS": "redis://127.0.0.1:6379/0",
    "COMMUNIQUE_TEST_RABBITMQ": "amqp://guest:guest@127.0.0.1:5672//",
    "COMMUNIQUE_TEST_CHROMIUM": "chromium",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A program the tests talk to. `ask` returns if it answers, and raises whatever keeps it from answering."""

    name: str
    variable: str
    ask: Callable[[str], object]

    @property
    def address(self) -> str:
        return address(self.variable)

    def trouble(self) -> str | None:
        """Why the service cannot be used, or None if it answers."""
        try:
            self.ask(self.address)
        except Exception as error:  # a probe of something that may be anything: every failure means "not here"
            return f"{type(error).__name__}: {str(error).strip() or 'no answer'}".splitlines()[0]
        return None


def address(variable: str, environ: Mapping[str, str] = os.environ) -> str:
    return environ.get(variable) or DEFAULTS[variable]


def ask_postgresql(url: str) -> None:
    import psycopg

    psycopg.connect(url, connect_timeout=CONNECT_SECONDS).close()


def ask_mariadb(url: str) -> None:
    import pymysql

    parts = urlsplit(url)
    pymysql.connect(
        host=parts.hostname,
        port=parts.port or 3306,
        user=unquote(parts.username or "root"),
        password=unquote(parts.password or ""),
        connect_timeout=CONNECT_SECONDS,
    ).close()


def ask_redis(url: str) -> None:
    parts = urlsplit(url)
    greeting = b"PING\r\n"
    if parts.password:
        names = (unquote(parts.username).encode(),) if parts.username else ()
        greeting = b" ".join([b"AUTH", *names, unquote(parts.password).encode()]) + b"\r\n" + greeting
    _exchange(parts, 6379, greeting, until=b"PONG")


def ask_rabbitmq(url: str) -> None:
    """Open the AMQP 0-9-1 handshake: a broker that is up answers with Connection.Start (class 10, method 10)."""
    _exchange(urlsplit(url), 5672, b"AMQP\x00\x00\x09\x01", until=b"\x00\x0a\x00\x0a")


def chromium(command: str | None = None) -> str:
    """The path of the system's browser, for `executable_path`."""
    command = command or address("COMMUNIQUE_TEST_CHROMIUM")
    found = shutil.which(command) or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        raise FileNotFoundError(f"no {command} on the PATH")
    return found


def _exchange(parts: SplitResult, port: int, greeting: bytes, *, until: bytes) -> None:
    with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or port), CONNECT_SECONDS) as peer:
        peer.sendall(greeting)
        answer = b""
        while until not in answer:
            chunk = peer.recv(4096)
            if not chunk:
                raise ConnectionError(f"unexpected answer {answer[:60]!r}")
            answer += chunk


SERVICES = {
    service.name: service
    for service in (
        Service(name="postgresql", variable="COMMUNIQUE_TEST_POSTGRES", ask=ask_postgresql),
        Service(name="mariadb", variable="COMMUNIQUE_TEST_MARIADB", ask=ask_mariadb),
        Service(name="redis", variable="COMMUNIQUE_TEST_REDIS", ask=ask_redis),
        Service(name="rabbitmq", variable="COMMUNIQUE_TEST_RABBITMQ", ask=ask_rabbitmq),
        Service(name="chromium", variable="COMMUNIQUE_TEST_CHROMIUM", ask=chromium),
    )
}


def main(arguments: list[str]) -> int:
    missing = 0
    for name, service in SERVICES.items():
        trouble = service.trouble()
        missing += trouble is not None
        sys.stdout.write(f"{name}\t{trouble or 'found'}\n")
    return int(bool(missing) and "--all" in arguments)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
