"""What was sent, for those who may read it: a page with its parts, and the HTML by itself in a sandbox."""

import re
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from .. import content
from ..models import Content
from .readonly import may_read

# What a mail says was written by anybody: it runs nothing, loads nothing (no tracking pixel learns that an operator
# looks), and has the origin of nobody.
SANDBOX = {
    "Content-Security-Policy": "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Frame-Options": "SAMEORIGIN",
}

_DOCTYPE = re.compile(r"\s*<!doctype[^>]*>", re.IGNORECASE)


class ContentPages(admin.ModelAdmin):  # type: ignore[type-arg]  # generic for type checkers only
    """The two views of what one channel was given."""

    def content_view(self, request: HttpRequest, pk: int, channel: str) -> HttpResponse:
        """Subject, headers and text, with a frame for the HTML."""
        row = self._readable(request, pk, channel)
        context = self.admin_site.each_context(request) | {
            "title": _("What was sent by %(channel)s") % {"channel": channel},
            "opts": self.opts,
            "original": row.communication,
            "media": self.media,
            # What the page of a row has in any theme, whose template this one extends.
            "add": False,
            "change": True,
            "is_popup": False,
            "has_view_permission": True,
            "row": row,
            "content": content.thaw(bytes(row.body)),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "communique/admin/content.html", context)

    def html_view(self, request: HttpRequest, pk: int, channel: str) -> HttpResponse:
        """The HTML as it was sent, for a sandboxed frame."""
        html = getattr(content.thaw(bytes(self._readable(request, pk, channel).body)), "html", "")
        if not html:
            raise Http404
        return HttpResponse(_without_navigation(html), headers=SANDBOX)

    def _readable(self, request: HttpRequest, pk: int, channel: str) -> Any:
        if not (self.has_view_permission(request) and may_read(request)):
            raise PermissionDenied
        frozen = Content.objects.select_related("communication")
        return get_object_or_404(frozen, communication=pk, channel=channel)


def _without_navigation(html: str) -> str:
    """Let links open windows of their own, which the sandbox forbids: a click must not spend somebody's link."""
    doctype = _DOCTYPE.match(html)
    start = doctype.end() if doctype else 0  # before a doctype it would change how the mail is laid out
    return f'{html[:start]}<base target="_blank">{html[start:]}'
