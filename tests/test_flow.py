"""The one way through: published, expanded, sent, settled."""

import pytest
from django.db import transaction

from communique import Refused, Retry, Unknown, publish
from communique.models import Attempt, Communication, Delivery, EventRecord
from shop.communications import OrderReceipt, PasswordReset
from shop.events import OrderPlaced


def test_published_event_becomes_a_mail(communique, order):
    publish(OrderPlaced(order=order, total=order.total))
    communique.run()
    mail = communique.assert_sent(OrderReceipt, to=order.customer, channel="email", contains=order.number, times=1)
    assert mail.content.html
    assert Communication.objects.get().verdict == "reached"
    assert Delivery.objects.get().state == "sent"
    assert Attempt.objects.get().outcome == "accepted"
    assert EventRecord.objects.get().stage == "done"


@pytest.mark.django_db(transaction=True)
def test_rolled_back_event_leaves_nothing(communique, order):
    class Oops(Exception):
        pass

    with pytest.raises(Oops), transaction.atomic():
        publish(OrderPlaced(order=order, total=order.total))
        raise Oops
    communique.run()
    assert not EventRecord.objects.exists()
    communique.assert_not_sent()


def test_temporary_failure_is_tried_again_later(communique, order):
    communique.answer("email", Retry("451"))
    publish(OrderPlaced(order=order, total=order.total))
    communique.run()
    communique.assert_sent(OrderReceipt, times=1)
    communique.travel(minutes=2)
    communique.run()
    communique.assert_sent(OrderReceipt, times=2)
    assert Delivery.objects.get().tries == 2


def test_refused_mail_is_not_tried_again(communique, order):
    communique.answer("email", Refused("554"))
    publish(OrderPlaced(order=order, total=order.total))
    communique.run()
    communique.travel(days=4)
    communique.run()
    communique.assert_sent(OrderReceipt, times=1)
    assert Communication.objects.get().verdict == "unreachable"


def test_unknown_outcome_is_sent_again_with_the_same_key_and_content(communique, order):
    communique.answer("email", Unknown())
    publish(OrderPlaced(order=order, total=order.total))
    communique.run()
    communique.travel(minutes=2)
    communique.run()
    first, second = communique.sent
    assert (first.key, first.content) == (second.key, second.content)


def test_direct_message_reaches_the_given_user(communique, customer):
    handle = PasswordReset(customer=customer).send(to=customer)
    communique.run()
    communique.assert_sent(PasswordReset, to=customer)
    assert [c.verdict for c in handle.communications()] == ["reached"]
