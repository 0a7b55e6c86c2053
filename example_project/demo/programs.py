"""Starts, watches and stops the programs of the demo: the site, a worker, the fake mail provider."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

HERE = Path(__file__).resolve().parent.parent
THREADS = 4
SECONDS_TO_START = 30
SECONDS_TO_STOP = 10


class StartError(Exception):
    """A program did not come up, or went down; says where its log is."""


class Programs:
    """The programs of the demo, each with its log, in one data folder. Leaving the context stops all of them."""

    def __init__(self, data: Path, *, site_port: int, environment: dict[str, str] | None = None) -> None:
        self.data = data
        self.mailbox = data / "mailbox"
        self.site_url = f"http://localhost:{site_port}"
        self.site_port = site_port
        self.smtp_port = free_port()
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "project.settings",
            "SHOP_DATA": str(data),
            "SHOP_URL": self.site_url,
            "SMTP_PORT": str(self.smtp_port),
            "PYTHONUNBUFFERED": "1",
            **(environment or {}),
        }
        self.mailbox.mkdir(parents=True, exist_ok=True)
        (data / "logs").mkdir(exist_ok=True)
        (data / ".gitignore").write_text("*\n")

    def __enter__(self) -> "Programs":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self.running):
            self.stop(name)

    def manage(self, *arguments: str) -> None:
        """Runs one of Django's commands to its end; raises StartError with its output if it fails."""
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, HERE / "manage.py", *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            raise StartError(f"manage.py {' '.join(arguments)} failed:\n{done.stdout}")

    def start_provider(self, seconds_per_mail: float = 0) -> None:
        provider = HERE / "fakes" / "smtp_provider.py"
        self._start(
            "provider", provider, self.mailbox, f"--port={self.smtp_port}", f"--seconds-per-mail={seconds_per_mail}"
        )
        self._wait("provider", lambda: answers(self.smtp_port))

    def start_site(self) -> None:
        self._start("site", HERE / "manage.py", "runserver", "--noreload", f"127.0.0.1:{self.site_port}")
        self._wait("site", lambda: serves(self.site_url))

    def start_worker(self) -> None:
        self._start("worker", HERE / "manage.py", "communique_worker", "--processes=1", f"--threads={THREADS}")

    def stop(self, name: str) -> None:
        """Asks the program to end and waits for it; ends it after ten seconds."""
        program = self.running.pop(name)
        if program.poll() is None:
            program.terminate()
        try:
            program.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            os.killpg(program.pid, signal.SIGKILL)
            program.wait()

    def kill(self, name: str) -> None:
        """`kill -9` for the program and all that it started."""
        program = self.running.pop(name)
        os.killpg(program.pid, signal.SIGKILL)
        program.wait()

    def raise_if_one_ended(self) -> None:
        for name, program in self.running.items():
            if program.poll() is not None:
                raise StartError(f"The {name} ended with code {program.returncode}. Its log:\n{self._end_of_log(name)}")

    def _start(self, name: str, *arguments: object) -> None:
        with (self.data / "logs" / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, *map(str, arguments)],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us; we tell the others
            )

    def _wait(self, name: str, ready: Callable[[], bool]) -> None:
        until = time.monotonic() + SECONDS_TO_START
        while not ready():
            self.raise_if_one_ended()
            if time.monotonic() > until:
                raise StartError(f"The {name} does not answer. Its log:\n{self._end_of_log(name)}")
            time.sleep(0.05)

    def _end_of_log(self, name: str) -> str:
        lines = (self.data / "logs" / f"{name}.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-30:])


def free_port(wanted: int = 0) -> int:
    """The wanted port, or any free one if that is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return free_port()
        port: int = probe.getsockname()[1]
        return port


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def serves(url: str) -> bool:
    try:
        urlopen(url, timeout=5).close()  # noqa: S310 - our own site
    except HTTPError:
        return True
    except (URLError, OSError):
        return False
    return True
