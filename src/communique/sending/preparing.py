"""From leased deliveries to messages that can be rendered, and from those to content: loaded in bulk."""

from collections.abc import Sequence
from dataclasses import dataclass

from .. import content, loading, messages, recipients, rendering
from ..content import Content
from ..exceptions import SubjectDeleted, UnknownKey, where
from ..loading import Source
from ..messages import Message
from ..outbox import Claim
from ..reasons import Reason
from ..recipients import Recipient
from ..states import State, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A claimed delivery whose content is frozen already, or can be rendered."""

    claim: Claim
    recipient: Recipient
    source: Message | Content


@dataclass(frozen=True, slots=True, kw_only=True)
class Setback:
    """A claimed delivery that cannot be opened: it ends (``after``), or it is put back.

    ``tried``: the try counts, and the next one waits as after a temporary failure.
    """

    claim: Claim
    reason: Reason
    after: State | None = None
    tried: bool = False
    detail: str = ""


def prepare(using: str, claims: Sequence[Claim]) -> list[Ready | Setback]:
    """Load a batch: recipients and models in one query per class, whatever its size."""
    possible = [claim for claim in claims if _is_known(claim) and claim.verdict != Verdict.CANCELLED]
    people = recipients.load_many([claim.recipient for claim in possible], using=using)
    sources = _sources(using, possible)
    made = {claim.pk: _ready(claim, who, what) for claim, who, what in zip(possible, people, sources, strict=True)}
    return [made.get(claim.pk) or _impossible(claim) for claim in claims]


def _is_known(claim: Claim) -> bool:
    try:
        messages.get(claim.message)
    except UnknownKey:
        return False
    return loading.is_known(claim.event_key, claim.payload)


def _impossible(claim: Claim) -> Setback:
    if claim.verdict == Verdict.CANCELLED:
        return Setback(claim=claim, after=State.CANCELLED, reason=Reason.CANCELLED)
    return Setback(claim=claim, reason=Reason.UNKNOWN_KEY)


def _sources(using: str, claims: Sequence[Claim]) -> list[Message | Content | Exception]:
    fresh = [claim for claim in claims if claim.content is None]
    wanted = [Source(event_key=one.event_key, payload=one.payload, message=messages.get(one.message)) for one in fresh]
    loaded = dict(zip((claim.pk for claim in fresh), loading.load(wanted, using=using), strict=True))
    return [loaded[one.pk] if one.content is None else content.thaw(one.content) for one in claims]


def _ready(claim: Claim, who: Recipient | Exception, what: Message | Content | Exception) -> Ready | Setback:
    if isinstance(who, SubjectDeleted) or isinstance(what, SubjectDeleted):
        return Setback(claim=claim, after=State.FAILED, reason=Reason.SUBJECT_DELETED)
    if isinstance(who, Exception):
        return Setback(claim=claim, reason=Reason.INVALID_PAYLOAD, tried=True, detail=where(who))
    if isinstance(what, Exception):
        return Setback(claim=claim, reason=Reason.INVALID_PAYLOAD, tried=True, detail=where(what))
    return Ready(claim=claim, recipient=who, source=what)


def render(ready: Ready) -> Content | Setback:
    """The frozen content, or a first rendering; whatever host code raises is this message's own trouble."""
    if not isinstance(ready.source, Message):
        return ready.source
    try:
        return rendering.render(ready.source, ready.recipient, ready.claim.channel)
    except Exception as error:
        return Setback(claim=ready.claim, reason=Reason.RENDERING_FAILED, tried=True, detail=where(error))
