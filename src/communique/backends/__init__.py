"""How each provider is spoken to: values in, an outcome out."""

from ..content import Email, Outgoing
from .base import Backend, backend, close_all, names
from .email import DjangoMailBackend
from .memory import MemoryBackend

__all__ = ["Backend", "DjangoMailBackend", "Email", "MemoryBackend", "Outgoing", "backend", "close_all", "names"]
