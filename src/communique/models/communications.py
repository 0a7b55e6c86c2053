"""Who was told what, over which channel, how often that was tried, and why."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..states import State, Verdict
from ..uids import uuid7
from .events import EventRecord


class Communication(models.Model):
    """One message for one recipient, whatever channels it takes."""

    uid = models.UUIDField(_("uid"), unique=True, default=uuid7, editable=False)
    event = models.ForeignKey(EventRecord, models.CASCADE, related_name="communications", db_index=False)
    message = models.CharField(_("message"), max_length=100)
    # Who it is ("user:42"), without an address; what is needed to load or address them is beside it.
    recipient_key = models.CharField(_("recipient key"), max_length=100, db_index=True)
    recipient = models.JSONField(_("recipient"))
    plan = models.JSONField(_("plan"))
    verdict = models.CharField(_("verdict"), max_length=11, choices=Verdict, default=Verdict.PENDING)
    reason = models.CharField(_("reason"), max_length=40, blank=True)
    created_at = models.DateTimeField(_("created at"))
    concluded_at = models.DateTimeField(_("concluded at"), null=True, blank=True)

    class Meta:
        verbose_name = _("communication")
        verbose_name_plural = _("communications")
        permissions = [("view_content", _("Can see what was sent"))]
        constraints = [
            models.UniqueConstraint(fields=["event", "message", "recipient_key"], name="communique_communication_once")
        ]

    def __str__(self) -> str:
        return f"{self.message} {self.uid}"


class Delivery(models.Model):
    """One leg to one address."""

    uid = models.UUIDField(_("uid"), unique=True, default=uuid7, editable=False)
    communication = models.ForeignKey(Communication, models.CASCADE, related_name="deliveries")
    leg = models.PositiveSmallIntegerField(_("leg"), default=0)
    channel = models.CharField(_("channel"), max_length=30)
    address = models.CharField(_("address"), max_length=320, db_index=True)
    state = models.CharField(_("state"), max_length=11, choices=State, default=State.QUEUED)
    # The last move's reason; every earlier one is in the attempts and steps.
    reason = models.CharField(_("reason"), max_length=40, blank=True)
    priority = models.PositiveSmallIntegerField(_("priority"), default=1)
    created_at = models.DateTimeField(_("created at"))
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    # When a sender has to look at it: its turn while queued, the end of the lease while claimed or sending, else
    # never. Settled rows leave the range that a claim reads, on databases without partial indexes too.
    due_at = models.DateTimeField(_("due at"), null=True, blank=True)
    lease_token = models.BigIntegerField(null=True, blank=True, editable=False)
    # Claims since the last one that came to an end.
    starts = models.PositiveSmallIntegerField(default=0, editable=False)
    tries = models.PositiveSmallIntegerField(_("tries"), default=0)
    unknowns = models.PositiveSmallIntegerField(default=0, editable=False)

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        indexes = [models.Index(fields=["state", "priority", "due_at"], name="communique_delivery_due")]

    def __str__(self) -> str:
        return f"{self.channel} {self.uid}"


class Attempt(models.Model):
    """One try of a delivery at a backend: opened before the call, closed once after it."""

    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="attempts", db_index=False)
    # The delivery's try; a try that never reached a backend is a step, so numbers may have gaps.
    number = models.PositiveSmallIntegerField(_("number"))
    backend = models.CharField(_("backend"), max_length=50)
    worker = models.CharField(_("worker"), max_length=100)
    opened_at = models.DateTimeField(_("opened at"))
    closed_at = models.DateTimeField(_("closed at"), null=True, blank=True)
    duration_ms = models.PositiveIntegerField(_("duration (ms)"), null=True, blank=True)
    # Empty while open.
    outcome = models.CharField(_("outcome"), max_length=13, blank=True)
    code = models.CharField(_("code"), max_length=40, blank=True)
    detail = models.CharField(_("detail"), max_length=300, blank=True)
    reference = models.CharField(_("provider reference"), max_length=200, blank=True)
    # The result came after somebody else had called the outcome unknown.
    late = models.BooleanField(_("late"), default=False)

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        constraints = [models.UniqueConstraint(fields=["delivery", "number"], name="communique_attempt_number")]

    def __str__(self) -> str:
        return f"{self.number}: {self.outcome or 'open'}"


class Step(models.Model):
    """One move that no attempt caused, with its reason and actor. Append-only."""

    communication = models.ForeignKey(Communication, models.CASCADE, related_name="steps")
    delivery = models.ForeignKey(Delivery, models.CASCADE, null=True, blank=True, related_name="steps")
    at = models.DateTimeField(_("at"))
    before = models.CharField(_("from"), max_length=11, choices=State, blank=True)
    after = models.CharField(_("to"), max_length=11, choices=State, blank=True)
    reason = models.CharField(_("reason"), max_length=40)
    # Who did it: a worker, an operator, the host project.
    actor = models.CharField(_("actor"), max_length=150, blank=True)
    detail = models.CharField(_("detail"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("step")
        verbose_name_plural = _("steps")

    def __str__(self) -> str:
        return f"{self.before} → {self.after}: {self.reason}"


class Content(models.Model):
    """What was put on the wire for one channel: frozen when its first attempt opened."""

    communication = models.ForeignKey(Communication, models.CASCADE, related_name="contents", db_index=False)
    channel = models.CharField(_("channel"), max_length=30)
    body = models.BinaryField()
    digest = models.CharField(_("SHA-256"), max_length=64)
    size = models.PositiveIntegerField(_("size (bytes)"))
    created_at = models.DateTimeField(_("created at"))

    class Meta:
        verbose_name = _("content")
        verbose_name_plural = _("contents")
        constraints = [models.UniqueConstraint(fields=["communication", "channel"], name="communique_content_once")]

    def __str__(self) -> str:
        return f"{self.channel} {self.digest[:12]}"
