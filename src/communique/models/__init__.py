"""The tables. Written only by the writers (`eventlog`, `outbox`), read by anybody."""

from .communications import Attempt, Communication, Content, Delivery, Step
from .events import EventRecord, Reaction

__all__ = ["Attempt", "Communication", "Content", "Delivery", "EventRecord", "Reaction", "Step"]
