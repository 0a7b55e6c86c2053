"""From leases that ran out to what can be done about them: their senders disappeared."""

from django.db import transaction

from .. import alerting, clock, messages, outbox
from ..exceptions import UnknownKey
from ..outbox import Claim, Result
from ..outcomes import Unknown
from .deciding import closing, tell

BATCH = 500


def recover_lost(using: str) -> int:
    """Queue again what was never opened, and call open attempts unknown; return how many deliveries."""
    now = clock.now(using)
    for claim in outbox.requeue_lost(using, now=now, limit=BATCH):
        alerting.quarantined(claim.message, claim.uid)
    disappeared = Result(outcome=Unknown(detail="the sender disappeared"))
    lost = outbox.lost(using, now=now, limit=BATCH)
    closings = [closing(claim, attempt, disappeared, now) for claim, attempt in lost if _is_known(claim)]
    if closings:
        with transaction.atomic(using=using):
            settled = outbox.settle(using, closings, now=now, ran_out=True)
        for one in closings:
            if one.pk in settled:
                tell(one)
    return len(closings)


def _is_known(claim: Claim) -> bool:
    # What to do about an unknown outcome is the message's to say, so its own release has to ask it.
    try:
        messages.get(claim.message)
    except UnknownKey:
        return False
    return True
