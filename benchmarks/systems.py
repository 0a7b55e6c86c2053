"""The systems that are compared: how each is filled with the same 2,000 mails, and how its users start its sender."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from django.db import connection, transaction
from django.template.loader import render_to_string

FOLDER = "host/messages/order_receipt"


class System(Protocol):
    """One way to get orders into mails."""

    name: str
    ends: bool  # its command ends by itself when nothing is left; else it is told to

    def environ(self) -> Mapping[str, str]: ...
    def command(self, processes: int) -> Sequence[str]: ...
    def fill(self) -> int: ...
    def settled(self) -> int: ...
    def orders(self) -> Sequence[Any]: ...
    def asking(self) -> Callable[[Any], Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Communique:
    """One published event per order; from it one message for one recipient. Expanding is part of the drain."""

    name: str = "communique"
    threads: int = 8
    ends: bool = False

    def environ(self) -> Mapping[str, str]:
        return {}

    def command(self, processes: int) -> Sequence[str]:
        return ["communique_worker", "--processes", str(processes), "--threads", str(self.threads)]

    def fill(self) -> int:
        _empty("communique_eventrecord")
        ask = self.asking()
        with transaction.atomic():
            return len([ask(order) for order in self.orders()])

    def orders(self) -> Sequence[Any]:
        from host.models import Order

        return Order.objects.all()

    def asking(self) -> Callable[[Any], Any]:
        from host.events import OrderPlaced

        from communique import publish

        return lambda order: publish(OrderPlaced(order=order, total=order.total))

    def settled(self) -> int:
        """Accepted, with its attempt closed and its content kept."""
        from communique.models import Content, Delivery

        sent = Delivery.objects.filter(state="sent", attempts__outcome="accepted", communication__verdict="reached")
        return min(sent.count(), Content.objects.count())


@dataclass(frozen=True, slots=True, kw_only=True)
class PostOffice:
    """django-post-office with the same templates.

    ``rendered_by``: "sender" renders while draining, as communique does; "caller" renders before the mail is queued, so
    that draining is spared it.
    ``whole``: its template row holds the templates themselves, as written in its admin; else it holds one tag that
    extends the file, which Django compiles only once.
    """

    name: str = "post_office"
    settings: Mapping[str, Any] = field(default_factory=dict)
    rendered_by: str = "sender"
    whole: bool = False
    ends: bool = True

    def environ(self) -> Mapping[str, str]:
        return {"BENCH_POST_OFFICE": json.dumps(self.settings)}

    def command(self, processes: int) -> Sequence[str]:
        return ["send_queued_mail", "--processes", str(processes)]

    def fill(self) -> int:
        from post_office import mail

        request = self._request()
        return len(mail.send_many([request(order) for order in self.orders()]))

    def orders(self) -> Sequence[Any]:
        from host.models import Order

        return Order.objects.select_related("customer").prefetch_related("lines")

    def asking(self) -> Callable[[Any], Any]:
        from post_office import mail

        request = self._request()
        return lambda order: mail.send(**request(order))

    def _request(self) -> Callable[[Any], dict[str, Any]]:
        """What mail.send() is given, as a function of the order."""
        _empty("post_office_email", "post_office_emailtemplate")
        one = self._rendered if self.rendered_by == "caller" else self._templated
        template = self._template()
        return lambda order: {"recipients": order.customer.email} | one(order, template)

    def _templated(self, order: Any, template: Any) -> dict[str, Any]:
        return {"template": template, "context": _context(order), "render_on_delivery": True}

    def _rendered(self, order: Any, template: Any) -> dict[str, Any]:
        context = _context(order)
        return {
            "subject": render_to_string(f"{FOLDER}/subject.txt", context).strip(),
            "message": render_to_string(f"{FOLDER}/email.txt", context),
            "html_message": render_to_string(f"{FOLDER}/email.html", context),
        }

    def _template(self) -> Any:
        from post_office.models import EmailTemplate

        text, html = (self._source(f"{FOLDER}/email.{kind}") for kind in ("txt", "html"))
        return EmailTemplate.objects.create(
            name="order_receipt",
            subject="Order {{ order.number }}: thank you, here is your receipt",
            content=text,
            html_content=html,
        )

    def _source(self, name: str) -> str:
        from ground import HERE

        return (HERE / "host/templates" / name).read_text() if self.whole else f'{{% extends "{name}" %}}'

    def settled(self) -> int:
        from post_office.models import STATUS, Email

        return Email.objects.filter(status=STATUS.sent).count()


def _context(order: Any) -> dict[str, Any]:
    """What the templates read of an order, as a sender that keeps its context as JSON needs it."""
    lines = [{"name": one.name, "quantity": one.quantity, "price": str(one.price)} for one in order.lines.all()]
    return {
        "order": {
            "number": order.number,
            "street": order.street,
            "town": order.town,
            "note": order.note,
            "customer": {"first_name": order.customer.first_name},
            "lines": {"all": lines},
        },
        "total": str(order.total),
    }


def _empty(*tables: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY CASCADE")
