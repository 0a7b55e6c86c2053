"""From a mandatory communication that reached nobody to somebody who is told.

For now that is a log record at level ERROR of the logger ``communique.alerts``, with keys and reasons only.
"""

import logging
from uuid import UUID

from . import messages
from .exceptions import UnknownKey
from .reasons import Reason

logger = logging.getLogger("communique.alerts")


def unreached(message: str, reason: Reason, delivery: UUID | None = None) -> None:
    """A communication ended, or is held, without reaching its recipient; matters if its message is mandatory."""
    if _is_mandatory(message):
        told = {"message_key": message, "reason": reason.value, "delivery": str(delivery or "")}
        logger.error("mandatory %s did not reach its recipient: %s", message, reason.value, extra=told)


def quarantined(message: str, delivery: UUID) -> None:
    """A delivery was taken out because three senders died on it; somebody has to look, mandatory or not."""
    told = {"message_key": message, "reason": Reason.KILLED_SENDERS.value, "delivery": str(delivery)}
    logger.error("%s quarantined: three senders died preparing it", message, extra=told)


def _is_mandatory(message: str) -> bool:
    try:
        return messages.get(message).mandatory
    except UnknownKey:
        return False
