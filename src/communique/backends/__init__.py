"""How each provider is spoken to: values in, an outcome out."""

from .base import Backend, backend, close_all, names
from .email import DjangoMailBackend
from .memory import MemoryBackend

__all__ = ["Backend", "DjangoMailBackend", "MemoryBackend", "backend", "close_all", "names"]
