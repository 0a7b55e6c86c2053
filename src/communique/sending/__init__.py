"""From a due delivery to a settled one: claim, prepare, open, attempt, decide, settle."""

from .executors import Inline, Pool
from .recovering import recover_lost
from .sender import Sender

__all__ = ["Inline", "Pool", "Sender", "recover_lost"]
