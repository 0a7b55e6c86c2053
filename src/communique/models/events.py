"""What happened, and what each subscriber made of it."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..states import Stage
from ..uids import uuid7


class EventRecord(models.Model):
    """One published event. Written in the publisher's transaction, expanded out of band."""

    uid = models.UUIDField(_("uid"), unique=True, default=uuid7, editable=False)
    key = models.CharField(_("event"), max_length=100)
    payload = models.JSONField(_("payload"))
    occurred_at = models.DateTimeField(_("occurred at"))
    # Nullable and unique: publishing an event under the same key again writes nothing, on every database.
    dedupe_key = models.CharField(_("dedupe key"), max_length=301, null=True, blank=True, unique=True)

    stage = models.CharField(_("stage"), max_length=11, choices=Stage, default=Stage.WAITING)
    # When a sender has to look at it: its time while waiting, the end of the lease while claimed, else never.
    due_at = models.DateTimeField(_("due at"), null=True, blank=True, db_index=True)
    lease_token = models.BigIntegerField(null=True, blank=True, editable=False)
    # Claims since the last one that came to an end.
    starts = models.PositiveSmallIntegerField(default=0, editable=False)

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")

    def __str__(self) -> str:
        return f"{self.key} {self.uid}"


class Reaction(models.Model):
    """What one subscriber has to do, or failed to do, about one event.

    Handlers always have one. A message has one only while its recipients could not be found: its communications
    tell the rest.
    """

    event = models.ForeignKey(EventRecord, models.CASCADE, related_name="reactions", db_index=False)
    subscriber = models.CharField(_("subscriber"), max_length=100)
    stage = models.CharField(_("stage"), max_length=11, choices=Stage, default=Stage.WAITING)
    reason = models.CharField(_("reason"), max_length=40, blank=True)
    detail = models.CharField(_("detail"), max_length=300, blank=True)
    tries = models.PositiveSmallIntegerField(_("tries"), default=0)
    since = models.DateTimeField(_("since"))
    due_at = models.DateTimeField(_("due at"), null=True, blank=True, db_index=True)
    lease_token = models.BigIntegerField(null=True, blank=True, editable=False)
    starts = models.PositiveSmallIntegerField(default=0, editable=False)

    class Meta:
        verbose_name = _("reaction")
        verbose_name_plural = _("reactions")
        constraints = [models.UniqueConstraint(fields=["event", "subscriber"], name="communique_reaction_once")]

    def __str__(self) -> str:
        return f"{self.subscriber}: {self.stage}"
