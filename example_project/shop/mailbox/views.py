"""The mailbox pages. A mail is foreign content: its HTML is only ever shown inside a frame that can do nothing."""

import re
from pathlib import Path

from django.conf import settings
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe

from shop.mailbox import store

# No scripts, no forms, nothing loaded from anywhere, no access to the shop's origin; a link opens a new, normal tab.
FRAME_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; frame-ancestors 'self'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox"
)
PER_PAGE = 50


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    return render(request, "shop/mailbox.html", {"page": _page(request)})


@require_safe
def mail(request: HttpRequest, name: str) -> HttpResponse:
    return render(request, "shop/mail.html", {"page": _page(request), "mail": _mail_or_404(name)})


@require_safe
@xframe_options_sameorigin
def html(request: HttpRequest, name: str) -> HttpResponse:
    """The HTML part alone, for the frame."""
    with_target = re.sub(r"(<head[^>]*>)", r'\1<base target="_blank">', _mail_or_404(name).html, count=1)
    return HttpResponse(with_target, headers={"Content-Security-Policy": FRAME_POLICY})


def _page(request: HttpRequest) -> object:
    return Paginator(store.mails(_folder()), PER_PAGE).get_page(request.GET.get("page"))


def _mail_or_404(name: str) -> store.Mail:
    found = store.mail(_folder(), name)
    if found is None:
        raise Http404("There is no such mail.")
    return found


def _folder() -> Path:
    folder: Path | None = getattr(settings, "SHOP_MAILBOX", None)
    if folder is None:
        raise Http404("This shop shows no mailbox.")
    return folder
