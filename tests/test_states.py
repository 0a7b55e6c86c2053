"""The states of a delivery: every function makes the moves that the table lists for it, and no others."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from communique import outbox
from communique.content import Email, freeze
from communique.models import Attempt, Communication, Delivery, EventRecord
from communique.outbox import Claim, Closing, Ending, Opening, Result
from communique.outcomes import Accepted, Refused, Retry, Unknown
from communique.reasons import Reason
from communique.retries import GiveUp, Hold, Sent, TryAgain
from communique.states import MAX_STARTS, MOVES, State, Verdict, exhaustive

NOW = timezone.now()
LEASE = timedelta(seconds=60)
TOKEN = 4711


class Case:
    """One delivery in a given state, leased by us, with our attempt open or already called unknown."""

    def __init__(self, state: State, *, starts: int = 1, ran_out: bool = False) -> None:
        event = EventRecord.objects.create(key="shop.order_placed", payload={}, occurred_at=NOW)
        self.communication = Communication.objects.create(
            event=event, message="shop.order_receipt", recipient_key="user:1", recipient={}, plan={}, created_at=NOW
        )
        self.delivery = Delivery.objects.create(
            communication=self.communication,
            channel="email",
            address="ada@shop.example",
            state=state,
            created_at=NOW,
            due_at=NOW - LEASE if ran_out or state is State.QUEUED else NOW + LEASE,
            lease_token=TOKEN,
            starts=starts,
        )
        outcome = "" if state is State.SENDING else "unknown"
        closed = None if state is State.SENDING else NOW
        self.attempt = Attempt.objects.create(
            delivery=self.delivery,
            number=1,
            backend="default",
            worker="w",
            opened_at=NOW,
            outcome=outcome,
            closed_at=closed,
        )
        [self.claim] = outbox.claims.read("default", Delivery.objects.filter(pk=self.delivery.pk))

    def closing(self, outcome, decision) -> Closing:
        return Closing(claim=self.claim, attempt=self.attempt.pk, result=Result(outcome=outcome), decision=decision)

    @property
    def state(self) -> State:
        return State(Delivery.objects.get(pk=self.delivery.pk).state)


def opening(claim: Claim) -> Opening:
    # The try after the one that is on record.
    fresh = Claim(**{name: getattr(claim, name) for name in Claim.__slots__} | {"tries": 1})
    return Opening(claim=fresh, backend="default", frozen=freeze(Email(subject="s", text="t")))


def settle(case: Case, outcome, decision, **how) -> None:
    outbox.settle("default", [case.closing(outcome, decision)], now=NOW, **how)


LATER = TryAgain(NOW, Reason.TEMPORARY)
AT = {"now": NOW}

# Every way to call each function; `settle_late` is what `settle` does when the lease is somebody else's.
VERBS: dict[str, list[Callable[[Case], object]]] = {
    "claim": [lambda case: outbox.claim("default", limit=9, lease=LEASE, priorities=[0, 1, 2], **AT)],
    "put_back": [
        lambda case: outbox.put_back("default", [case.claim], due_at=NOW, reason=Reason.SHUTDOWN, **AT),
        lambda case: outbox.put_back("default", [case.claim], due_at=NOW, reason=Reason.SHUTDOWN, tried=True, **AT),
    ],
    "requeue_lost": [lambda case: outbox.requeue_lost("default", limit=9, **AT)],
    "end": [
        lambda case, after=after: outbox.end(
            "default", [Ending(claim=case.claim, after=after, reason=Reason.EXPIRED)], **AT
        )
        for after in (State.EXPIRED, State.FAILED, State.CANCELLED)
    ],
    "open": [lambda case: outbox.open("default", [opening(case.claim)], worker="w", lease=LEASE, **AT)],
    "settle": [
        lambda case: settle(case, Accepted(), Sent()),
        lambda case: settle(case, Retry(), LATER),
        lambda case: settle(case, Refused(), GiveUp(Reason.REFUSED)),
        lambda case: settle(case, Unknown(), Hold()),
        lambda case: settle(case, Unknown(), LATER, ran_out=True),
    ],
    "cancel": [lambda case: outbox.cancel("default", [case.communication.pk], **AT)],
}


def observed(verb: Callable[[Case], object], **how) -> set[tuple[State, State]]:
    moves = set()
    for before in State:
        case = Case(before, **how)
        verb(case)
        if case.state is not before:
            moves.add((before, case.state))
        EventRecord.objects.all().delete()
    return moves


@pytest.mark.django_db
@pytest.mark.parametrize("name", sorted(VERBS))
def test_a_verb_makes_exactly_the_moves_that_the_table_lists(name):
    seen: set[tuple[State, State]] = set()
    for verb in VERBS[name]:
        for ran_out in (False, True):
            for starts in (1, MAX_STARTS + 1):
                seen |= observed(verb, starts=starts, ran_out=ran_out)
    # A result is late where the attempt was called unknown before: everywhere but in `sending`.
    late = {move for move in seen if name == "settle" and move[0] is not State.SENDING}
    assert seen - late == MOVES[name]
    if name == "settle":
        assert late == MOVES["settle_late"]


def test_every_move_has_a_verb_that_is_fired():
    assert VERBS.keys() | {"settle_late"} == MOVES.keys()


@pytest.mark.django_db
@pytest.mark.parametrize("name", sorted(VERBS.keys() - {"claim", "requeue_lost", "cancel"}))
def test_without_the_lease_nothing_moves_but_a_late_acceptance(name):
    for verb in VERBS[name]:
        for before in State:
            case = Case(before)
            Delivery.objects.update(lease_token=TOKEN + 1)
            verb(case)
            late = name == "settle" and (before, case.state) in MOVES["settle_late"]
            assert case.state is before or late
            EventRecord.objects.all().delete()


@pytest.mark.django_db
def test_a_lease_that_was_renewed_is_not_taken_for_lost():
    case = Case(State.SENDING, ran_out=True)
    outbox.renew("default", {TOKEN: [case.delivery.pk]}, now=NOW, lease=LEASE)
    settle(case, Unknown(), LATER, ran_out=True)
    assert case.state is State.SENDING


@pytest.mark.django_db
def test_settling_twice_changes_nothing_the_second_time():
    case = Case(State.SENDING)
    for _ in range(2):
        settle(case, Unknown(), LATER)
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.unknowns) == ("queued", 1)
    assert (Attempt.objects.get().outcome, Attempt.objects.get().late) == ("unknown", False)


@pytest.mark.django_db
def test_an_acceptance_after_a_cancel_is_the_truth():
    case = Case(State.SENDING)
    outbox.cancel("default", [case.communication.pk], now=NOW)
    settle(case, Accepted(), Sent())
    assert Communication.objects.get().verdict == Verdict.REACHED


@pytest.mark.once
class TestExhaustiveModel:
    def test_every_interleaving_keeps_the_promises_and_makes_the_listed_moves(self):
        resend, hold = exhaustive.explore("resend"), exhaustive.explore("hold")
        assert (resend.broken, hold.broken) == ([], [])
        assert (resend.stuck, hold.stuck) == (0, 0)
        for name, moves in MOVES.items():
            assert resend.moves.get(name, frozenset()) | hold.moves.get(name, frozenset()) == moves

    def test_it_notices_when_settling_forgets_the_lease(self, monkeypatch):
        monkeypatch.setattr(exhaustive, "is_open_under", lambda world, me: world.state is State.SENDING)
        assert exhaustive.explore("resend").broken
