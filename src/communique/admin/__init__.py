"""From rows to pages for operators: who was told what, by which way, and if not, why. Nothing can be changed here."""

from .communications import CommunicationAdmin
from .events import EventAdmin

__all__ = ["CommunicationAdmin", "EventAdmin"]
