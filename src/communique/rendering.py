"""From a message and its recipient to content: the template convention, in the recipient's language and time zone."""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.template import Context, Engine, TemplateDoesNotExist
from django.template import engines as template_engines
from django.template.backends.django import DjangoTemplates
from django.utils import timezone, translation
from django.utils.functional import cached_property

from .content import Content, Email
from .messages import Message
from .payloads import field_names
from .recipients import Recipient

# By channel: the templates it needs, and those it uses when they are there.
TEMPLATES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "email": (("subject.txt", "email.txt"), ("email.html",)),
}


def render(message: Message, recipient: Recipient, channel: str) -> Content:
    """Render everything that one channel needs.

    Raises ``TemplateDoesNotExist`` for a missing template, and whatever the host's templates and properties raise.
    """
    if channel not in TEMPLATES:
        raise TemplateDoesNotExist(f"messages cannot be rendered for the channel {channel!r}")
    context = _context(message, recipient)
    folder = message.template_dir()
    with _for_reader(recipient):
        return Email(
            subject=_one_line(_text(f"{folder}/subject.txt", context)),
            text=_text(f"{folder}/email.txt", context).strip() + "\n",
            html=_html(f"{folder}/email.html", context),
            from_email=message.from_email or "",
            reply_to=_listed(message.reply_to),
            headers=dict(message.headers),
        )


def missing_templates(message: type[Message], channel: str) -> list[str]:
    """Names of the templates that a channel needs and nobody has written."""
    required, _ = TEMPLATES.get(channel, ((), ()))
    names = [f"{message.template_dir()}/{name}" for name in required]
    return [name for name in names if not _exists(name)]


def _exists(name: str) -> bool:
    try:
        engine().get_template(name)
    except TemplateDoesNotExist:
        return False
    return True


def engine() -> Engine:
    """The project's first Django template engine; messages are Django templates even where pages are not."""
    for candidate in template_engines.all():
        if isinstance(candidate, DjangoTemplates):
            return candidate.engine
    raise TemplateDoesNotExist("communique needs a DjangoTemplates entry in TEMPLATES")


def _text(name: str, context: Mapping[str, Any]) -> str:
    # No HTML escaping in text: O'Brien stays O'Brien.
    return engine().get_template(name).render(Context(context, autoescape=False))


def _html(name: str, context: Mapping[str, Any]) -> str:
    try:
        template = engine().get_template(name)
    except TemplateDoesNotExist as missing:
        # Only the message's own template may be missing; one that it includes may not.
        if missing.args[0] != name:
            raise
        return ""
    return template.render(Context(context))


def _context(message: Message, recipient: Recipient) -> dict[str, Any]:
    cls: type = type(message)
    fields = {name: getattr(message, name) for name in field_names(cls)}
    # Templates call what is callable, so a property costs nothing where it is not used.
    computed = {name: _computed(message, name) for name in _properties(cls)}
    return {**computed, **fields, "message": message, "recipient": recipient}


def _computed(message: Message, name: str) -> Callable[[], Any]:
    @cache
    def compute() -> Any:
        # No partial() of getattr: it has no signature, for want of which Django hides a property's TypeError.
        return getattr(message, name)

    return compute


_COMPUTED = (property, functools.cached_property, cached_property)


@cache
def _properties(message: type) -> tuple[str, ...]:
    own = {name for base in message.__mro__ for name, value in vars(base).items() if isinstance(value, _COMPUTED)}
    return tuple(sorted(name for name in own if not name.startswith("_")))


def _for_reader(recipient: Recipient) -> AbstractContextManager[Any]:
    stack = ExitStack()
    stack.enter_context(translation.override(recipient.language or settings.LANGUAGE_CODE))
    zone = _zone(recipient.timezone) if recipient.timezone else timezone.get_default_timezone()
    stack.enter_context(timezone.override(zone))
    return stack


@cache
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        # A profile with a nonsense time zone must not cost anybody their mail.
        return None


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _one_line(subject: str) -> str:
    """A subject is one header line: white space collapses, control characters go."""
    return _CONTROL.sub("", " ".join(subject.split()))


def _listed(value: Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
