"""Why something was skipped, postponed or ended: one enumerated value each, with a sentence for operators."""

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Reason(TextChoices):
    """Every reason that a step, a plan or a verdict may carry."""

    NO_ADDRESS = "no_address", _("The recipient has no address on this channel.")
    MALFORMED_ADDRESS = "malformed_address", _("The recipient's address on this channel is malformed.")
    ACCEPTED = "accepted", _("A provider accepted it.")
    ACCEPTED_LATE = "accepted_late", _("An attempt that was thought lost turned out to have been accepted.")
    TEMPORARY = "temporary", _("The provider answered with a temporary failure.")
    THROTTLED = "throttled", _("The provider asked us to slow down.")
    MISCONFIGURED = "misconfigured", _("The provider refused our configuration; the message waits.")
    REFUSED = "refused", _("The provider refused the message for good.")
    SUSPECT = "suspect", _("The provider refused the message, and the address is suspicious.")
    DEFUNCT = "defunct", _("The provider says that the address is dead.")
    OPTED_OUT = "opted_out", _("The recipient does not want to be contacted at this address.")
    OUTCOME_UNKNOWN = "outcome_unknown", _("The provider may or may not have accepted it.")
    GAVE_UP = "gave_up", _("It was tried for as long as allowed, without success.")
    EXPIRED = "expired", _("It expired before it could be sent.")
    CANCELLED = "cancelled", _("It was cancelled.")
    LEASE_LOST = "lease_lost", _("The sender that had claimed it disappeared before it tried.")
    SENDER_LOST = "sender_lost", _("The sender disappeared while an attempt was open.")
    KILLED_SENDERS = "killed_senders", _("Three senders in a row died while they had nothing but it in hand.")
    RENDERING_FAILED = "rendering_failed", _("The message could not be rendered.")
    SUBJECT_DELETED = "subject_deleted", _("What it was about has been deleted.")
    INVALID_PAYLOAD = "invalid_payload", _("The stored event cannot be read by the code that is running.")
    UNKNOWN_KEY = "unknown_key", _("This sender does not know the message yet; it waits for one that does.")
    SHUTDOWN = "shutdown", _("The sender was shut down before it tried.")
    HANDLER_FAILED = "handler_failed", _("The handler raised an exception.")
    EXPANSION_FAILED = "expansion_failed", _("Finding the recipients raised an exception.")
