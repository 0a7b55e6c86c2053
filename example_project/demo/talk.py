"""What the demo says, line by line."""

import sys


class CheckError(Exception):
    """The demo does not do what it should; says what."""


def say(line: str = "") -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def ok(line: str) -> None:
    say(f"ok  {line}")
