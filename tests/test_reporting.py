"""The story of a communication: what an operator reads about real histories."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from communique import Message, Recipient, Retry, Throttled, Unknown, clock, conf, messages, outbox, outcomes, publish
from communique.expanding import expand_due
from communique.models import Communication, Delivery
from communique.reasons import Reason
from communique.reporting import story, words
from communique.sending import Sender, recover_lost
from communique.sending.attempting import attempt
from communique.states import Stage, State, Verdict
from shop.communications import PasswordReset
from shop.events import OrderPaid, OrderPlaced


def place(order):
    publish(OrderPlaced(order=order, total=order.total))


def told():
    return story(Communication.objects.get())


def said():
    """The sentences, with durations and sizes of this run made equal in every run."""
    text = re.sub(r", \d+(\.\d)? m?s\.", ", 1 ms.", str(told()))
    return re.sub(r"\([\d.]+\s(KB|bytes)\)", "(1 KB)", text).splitlines()


def at(moment):
    return f"{timezone.localtime(moment):%H:%M}"


class Slow:
    """Calls its backend when the test says so: a provider that takes its time."""

    threads = 1

    def __init__(self):
        self.calls = []
        self.results = {}

    def submit(self, call):
        self.calls.append(call)

    def answer(self):
        self.results = {call.delivery: attempt(call) for call in self.calls}

    def finished(self, timeout):
        results, self.results = self.results, {}
        return results


def test_a_mail_accepted_at_once_is_told_from_event_to_verdict(communique, order):
    place(order)
    communique.run()
    assert said() == [
        'The event "shop.order_placed" was published.',
        "Planned for Ada Lovelace: by email.",
        "The content for email was rendered and frozen (1 KB).",
        'Try 1 by "memory": the provider accepted it (250), 1 ms.',
        "Verdict: reached. A provider accepted it. Whether it was delivered is not known.",
        "Nothing will be tried again.",
    ]


def test_what_was_accepted_is_never_called_delivered(communique, order):
    place(order)
    communique.run()
    (delivery,) = told().deliveries
    assert delivery.state == "sent"
    assert "delivered" not in re.sub("Whether it was delivered is not known", "", str(told()))


def test_a_temporary_failure_says_when_the_next_try_is(communique, order):
    communique.answer("email", Retry("451 4.7.1", detail="greylisted"))
    place(order)
    communique.run()
    assert said()[-2:] == [
        'Try 1 by "memory": the provider answered with a temporary failure (451 4.7.1), 1 ms.',
        f"Next try at {at(Delivery.objects.get().due_at)}.",
    ]
    assert [moment.detail for moment in told().moments if moment.kind == "attempt"] == ["greylisted"]
    assert told().reason == "There is no verdict yet."


def test_a_retried_mail_tells_every_try_with_its_worker(communique, order):
    communique.answer("email", Retry("451"), Throttled("421"))
    place(order)
    for _ in range(3):
        communique.run()
        communique.travel(minutes=10)
    tries = [moment for moment in told().moments if moment.kind == "attempt"]
    assert [moment.said[:6] for moment in tries] == ["Try 1 ", "Try 2 ", "Try 3 "]
    assert [moment.tone for moment in tries] == ["open", "open", "good"]
    assert all(moment.actor for moment in tries)
    assert told().deliveries[0].tries == 3


def test_a_next_try_on_another_day_says_which_day():
    now = datetime(2026, 1, 1, 23, 59, tzinfo=UTC)
    assert words.clock_time(now + timedelta(minutes=2), now) == "2026-01-02 00:01"


def test_an_unknown_outcome_is_told_and_so_is_the_resend(communique, order):
    communique.answer("email", Unknown(detail="timed out"))
    place(order)
    communique.run()
    assert told().upcoming[0].said.startswith("Next try at")
    communique.travel(minutes=2)
    communique.run()
    assert said()[3:5] == [
        'Try 1 by "memory": nobody knows whether the provider accepted it, 1 ms.',
        'Try 2 by "memory": the provider accepted it (250), 1 ms.',
    ]


def test_an_unknown_outcome_that_is_held_says_that_nothing_is_tried_again(communique, order):
    communique.answer("email", Unknown())
    publish(OrderPaid(order=order))
    communique.run()
    assert said()[-1] == "It is held: nothing will be tried again, unless an answer still comes late."
    assert told().verdict_word == "pending"


def test_a_late_acceptance_tells_who_was_lost_and_what_came_of_it(communique, order):
    place(order)
    expand_due("default")
    slow = Slow()
    sender = Sender(using="default", executor=slow)
    sender.turn()
    assert said()[-1] == "A sender is trying it at this moment."
    communique.travel(minutes=2)
    assert told().upcoming[0].said.startswith("The sender that tries it has been silent since")
    recover_lost("default")
    slow.answer()
    sender.turn()
    assert said()[3:] == [
        'Try 1 by "memory": the provider accepted it (250), 1 ms.'
        " The answer came late: by then its outcome counted as unknown.",
        "The sender disappeared while an attempt was open. It was queued again.",
        "An attempt that was thought lost turned out to have been accepted. It counts as sent.",
        "Verdict: reached. An attempt that was thought lost turned out to have been accepted."
        " Whether it was delivered is not known.",
        "Nothing will be tried again.",
    ]


def test_a_mail_that_kills_its_senders_is_told_as_quarantined(communique, order):
    place(order)
    expand_due("default")
    while Delivery.objects.filter(state=State.QUEUED).exists():
        outbox.claim("default", limit=1, now=clock.now("default"), lease=conf.lease(), priorities=[1])
        assert said()[-1] == "A sender has claimed it and is about to try."
        communique.travel(minutes=2)
        assert said()[-1] == "The sender that claimed it has gone silent: it will be queued again."
        recover_lost("default")
    assert said()[2] == "The sender that had claimed it disappeared before it tried. It was queued again."
    assert said()[-3:] == [
        f"{Reason.KILLED_SENDERS.label} It was quarantined.",
        f"Verdict: unreachable. {Reason.KILLED_SENDERS.label}",
        "It is quarantined: nothing will be tried again before somebody has found out what it does.",
    ]


def test_an_expired_mail_says_so_once(communique, customer):
    communique.answer("email", Retry("451"), Retry("451"), Retry("451"))
    PasswordReset(customer=customer).send(to=customer)
    communique.run()
    communique.travel(minutes=20)
    communique.run()
    communique.travel(minutes=36)
    communique.run()
    due = Delivery.objects.get().due_at
    assert said()[-1] == f"It expires at {at(due)}, before it would be tried again."
    communique.travel(hours=1)
    communique.run()
    assert said()[0] == "The message was asked for by send()."
    assert said()[-3:] == [
        "It expired before it could be sent.",
        "Verdict: expired.",
        "Nothing will be tried again.",
    ]


def test_a_cancelled_mail_names_who_cancelled_it(communique, customer):
    communique.answer("email", Retry("451"))
    handle = PasswordReset(customer=customer).send(to=customer)
    communique.run()
    handle.cancel()
    assert said()[-3:] == ["It was cancelled.", "Verdict: cancelled.", "Nothing will be tried again."]
    assert [moment.actor for moment in told().moments if moment.kind == "step"] == ["host"]


def test_what_is_cancelled_while_it_is_tried_is_not_promised_another_try(communique, customer):
    handle = PasswordReset(customer=customer).send(to=customer)
    expand_due("default")
    communique.answer("email", Retry("451"))
    slow = Slow()
    sender = Sender(using="default", executor=slow)
    sender.turn()
    handle.cancel()
    slow.answer()
    sender.turn()
    assert said()[-1] == "It was cancelled: it ends without another try."


def test_a_recipient_without_an_address_is_told_with_the_channel_that_was_skipped(communique, order):
    type(order.customer).objects.update(email="")
    place(order)
    communique.run()
    assert said() == [
        'The event "shop.order_placed" was published.',
        "Planned for Ada Lovelace: there is no way to reach them.",
        "Not by email: The recipient has no address on this channel.",
        "Verdict: unreachable. The recipient has no address on this channel.",
        "Nothing will be tried again.",
    ]
    assert told().deliveries == ()


def test_a_mail_that_cannot_be_rendered_says_where_it_failed(communique):
    with messages.isolated():

        class Untold(Message):
            key = "shop.untold"

        Untold().send(to="ada@shop.example")
        communique.run()
        assert said()[2:] == [
            "The message could not be rendered. It was queued again.",
            f"Next try at {at(Delivery.objects.get().due_at)}.",
        ]
        assert told().moments[-1].detail.startswith("TemplateDoesNotExist")
        communique.travel(days=4)
        communique.run()
    assert said()[-3:] == [
        "The message could not be rendered. It was given up.",
        "Verdict: unreachable. The message could not be rendered.",
        "Nothing will be tried again.",
    ]


def test_a_deleted_user_is_still_told_of(communique, customer):
    PasswordReset(customer=customer).send(to=customer)
    expand_due("default")
    key = f"user:{customer.pk}"
    customer.delete()
    communique.run()
    assert told().recipient == f"somebody who has been deleted ({key})"
    assert "What it was about has been deleted. It was given up." in said()


def test_what_nobody_takes_asks_for_a_worker(communique, order):
    place(order)
    expand_due("default")
    assert said()[-1] == "It is due: the next sender that is free takes it."
    communique.travel(minutes=5)
    assert said()[-1].endswith("and nobody has taken it: is a communique_worker running?")


def test_what_waits_for_a_later_release_says_why(communique):
    with messages.isolated():

        class Newer(Message):
            key = "shop.newer"

        Newer().send(to="ada@shop.example")
        expand_due("default")
    communique.run()
    assert said()[-1].startswith(f"{Reason.UNKNOWN_KEY.label} First try at ")


def test_a_message_for_two_people_is_two_stories(communique, customer):
    press = Recipient(email="press@shop.example", name="The Press")
    PasswordReset(customer=customer).send(to=[customer, press])
    communique.run()
    assert [story(one).recipient for one in Communication.objects.order_by("pk")] == ["Ada Lovelace", "The Press"]


def test_a_story_takes_the_same_queries_however_much_happened(communique, order, django_assert_num_queries):
    communique.answer("email", *[Retry("451")] * 12)
    place(order)
    communique.run()
    with django_assert_num_queries(8):
        told()
    for _ in range(12):
        communique.travel(hours=4)
        communique.run()
    with django_assert_num_queries(8):
        assert told().deliveries[0].tries == 13


def test_times_are_those_of_who_asks(communique, order):
    communique.answer("email", Retry("451"))
    place(order)
    communique.run()
    with timezone.override("Asia/Kolkata"):
        assert said()[-1] == f"Next try at {at(Delivery.objects.get().due_at)}."
        here = said()[-1]
    assert said()[-1] != here


@pytest.mark.once
@pytest.mark.parametrize("outcome", outcomes.KINDS.values())
def test_every_outcome_has_words(outcome):
    said = words.answer(outcome.kind, "554")
    assert said != f"{outcome.kind} (554)"
    assert said.endswith(" (554)")


@pytest.mark.once
@pytest.mark.parametrize("choices", [Stage, State, Verdict, Reason])
def test_a_code_of_a_later_release_is_its_own_word(choices):
    assert words.label(choices, "unheard_of") == "unheard_of"
    assert words.tone("unheard_of") == "quiet"


@pytest.mark.once
@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-1, "0 ms"),  # clocks disagree
        (0.003, "3 ms"),
        (0.24, "0.2 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (93900, "1 d 2 h"),
    ],
)
def test_durations_are_read_at_a_glance(seconds, expected):
    assert words.lasted(timedelta(seconds=seconds)) == expected
