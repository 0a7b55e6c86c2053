"""Time-ordered public identifiers (UUIDv7, RFC 9562 section 5.7); the standard library has them from Python 3.14."""

import os
import time
from uuid import UUID


def uuid7() -> UUID:
    """Make an identifier whose order is the order of creation, to the millisecond.

    >>> uuid7().version
    7
    """
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & (1 << 48) - 1) << 80 | random
    value = value & ~(0xF << 76) | 0x7 << 76
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)
