"""Retries: what an outcome means for its delivery, as tables; no row is needed for any of this."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from communique import (
    Accepted,
    Defunct,
    Misconfigured,
    OptedOut,
    Refused,
    Retry,
    Suspect,
    Throttled,
    Unknown,
    conf,
    outcomes,
)
from communique.reasons import Reason
from communique.retries import (
    LONGEST_WISH,
    MAX_UNKNOWN,
    GiveUp,
    History,
    Hold,
    Policy,
    Sent,
    TryAgain,
    again,
    backoff,
    decide,
)

pytestmark = pytest.mark.once

NOW = datetime(2026, 3, 14, 9, 26, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
DELAYS = (60, 300, 900)
RESEND = Policy(delays=DELAYS, horizon=3 * DAY)
HOLD = Policy(delays=DELAYS, horizon=3 * DAY, on_unknown="hold")


def first_try(**changes):
    """The history of a delivery whose first try has just ended."""
    return History(**{"tries": 1, "unknowns": 0, "since": NOW} | changes)


def decided(outcome, history=None, policy=RESEND, jitter=0.0):
    return decide(outcome, history or first_try(), policy, now=NOW, jitter=jitter)


IN_A_MINUTE = NOW + MINUTE

# Outcome, what it means where messages are rather sent twice, and where they are rather not sent.
DECISIONS = [
    (Accepted("250"), Sent(), Sent()),
    (Retry("451"), TryAgain(IN_A_MINUTE, Reason.TEMPORARY), TryAgain(IN_A_MINUTE, Reason.TEMPORARY)),
    (Throttled("429"), TryAgain(IN_A_MINUTE, Reason.THROTTLED), TryAgain(IN_A_MINUTE, Reason.THROTTLED)),
    (Misconfigured("535"), TryAgain(IN_A_MINUTE, Reason.MISCONFIGURED), TryAgain(IN_A_MINUTE, Reason.MISCONFIGURED)),
    (Unknown(), TryAgain(IN_A_MINUTE, Reason.OUTCOME_UNKNOWN), Hold()),
    (Refused("554"), GiveUp(Reason.REFUSED), GiveUp(Reason.REFUSED)),
    (Suspect("550"), GiveUp(Reason.SUSPECT), GiveUp(Reason.SUSPECT)),
    (Defunct("550 5.1.1"), GiveUp(Reason.DEFUNCT), GiveUp(Reason.DEFUNCT)),
    (OptedOut("blocked"), GiveUp(Reason.OPTED_OUT), GiveUp(Reason.OPTED_OUT)),
]


class TestDecisions:
    @pytest.mark.parametrize(("outcome", "resend", "hold"), DECISIONS)
    def test_an_outcome_and_the_policy_decide(self, outcome, resend, hold):
        assert decided(outcome, policy=RESEND) == resend
        assert decided(outcome, policy=HOLD) == hold

    def test_every_outcome_is_in_the_table(self):
        assert {type(outcome) for outcome, _, _ in DECISIONS} == set(outcomes.KINDS.values())

    @pytest.mark.parametrize("scope", ["recipient", "domain", "backend", "account"])
    def test_what_an_outcome_is_about_does_not_matter_here(self, scope):
        assert decided(Retry("451", scope=scope)) == TryAgain(IN_A_MINUTE, Reason.TEMPORARY)
        assert decided(Refused("554", scope=scope)) == GiveUp(Reason.REFUSED)

    @pytest.mark.parametrize("outcome", [Accepted(), Refused(), Defunct(), Suspect(), OptedOut()])
    def test_what_is_final_is_final_however_old_it_is(self, outcome):
        late = first_try(tries=99, unknowns=99, since=NOW - 99 * DAY, expires_at=NOW - DAY)
        assert decided(outcome, late) == decided(outcome)


class TestUnknownOutcomes:
    @pytest.mark.parametrize("unknowns", range(1, MAX_UNKNOWN))
    def test_are_sent_again_a_few_times(self, unknowns):
        assert isinstance(decided(Unknown(), first_try(unknowns=unknowns)), TryAgain)

    @pytest.mark.parametrize("unknowns", [MAX_UNKNOWN, MAX_UNKNOWN + 1])
    def test_are_left_to_a_person_after_that(self, unknowns):
        assert decided(Unknown(), first_try(unknowns=unknowns)) == Hold()

    def test_of_the_past_do_not_count_against_other_outcomes(self):
        assert isinstance(decided(Retry(), first_try(unknowns=MAX_UNKNOWN)), TryAgain)
        assert isinstance(decided(Retry(), first_try(unknowns=1), HOLD), TryAgain)


class TestBackoff:
    @pytest.mark.parametrize(("tries", "seconds"), [(1, 60), (2, 300), (3, 900), (4, 900), (100, 900)])
    def test_the_wait_grows_and_then_stays(self, tries, seconds):
        assert backoff(tries, DELAYS, 0.0) == timedelta(seconds=seconds)

    @pytest.mark.parametrize(("jitter", "seconds"), [(0.0, 60), (0.5, 63), (1.0, 66)])
    def test_chance_makes_it_up_to_a_tenth_longer(self, jitter, seconds):
        assert backoff(1, DELAYS, jitter) == timedelta(seconds=seconds)

    @given(tries=st.integers(1, 1000), jitter=st.floats(0, 1))
    def test_chance_never_makes_it_shorter_or_much_longer(self, tries, jitter):
        plain = backoff(tries, DELAYS, 0.0)
        assert plain <= backoff(tries, DELAYS, jitter) <= plain * 1.1 + timedelta(microseconds=1)

    def test_delays_may_be_fractions_of_a_second(self):
        assert backoff(1, [0.25], 0.0) == timedelta(milliseconds=250)

    def test_the_default_schedule_ends_within_the_default_horizon(self):
        assert timedelta(seconds=sum(conf.DEFAULTS["RETRY_DELAYS"])) < min(*conf.HORIZON.values(), conf.OTHER_HORIZON)


class TestWishes:
    """`Retry-After` and its kin."""

    @pytest.mark.parametrize("outcome", [Retry, Throttled, Misconfigured])
    @pytest.mark.parametrize(
        ("after", "wait"),
        [
            (None, MINUTE),
            (timedelta(), MINUTE),
            (timedelta(seconds=-5), MINUTE),
            (timedelta(seconds=59), MINUTE),
            (2 * MINUTE, 2 * MINUTE),
            (HOUR, HOUR),
            (DAY, LONGEST_WISH),
        ],
    )
    def test_a_longer_wait_is_granted_up_to_an_hour_and_a_shorter_one_never(self, outcome, after, wait):
        assert decided(outcome(after=after)).at == NOW + wait

    def test_an_hour_does_not_shorten_a_longer_schedule(self):
        slow = Policy(delays=[3 * 3600], horizon=3 * DAY)
        assert decided(Retry(after=DAY), policy=slow).at == NOW + 3 * HOUR


class TestEndings:
    def test_the_last_try_is_the_one_that_still_fits_the_horizon(self):
        fits = first_try(since=NOW - 3 * DAY + MINUTE)
        too_old = first_try(since=NOW - 3 * DAY + MINUTE - timedelta(microseconds=1))
        assert decided(Retry(), fits) == TryAgain(NOW + MINUTE, Reason.TEMPORARY)
        assert decided(Retry(), too_old) == GiveUp(Reason.GAVE_UP)

    @pytest.mark.parametrize("outcome", [Retry(), Throttled(), Misconfigured(), Unknown()])
    def test_whatever_it_waits_for_it_gives_up_in_the_end(self, outcome):
        assert decided(outcome, first_try(since=NOW - 3 * DAY)) == GiveUp(Reason.GAVE_UP)

    def test_a_wish_beyond_the_horizon_is_not_waited_for(self):
        assert decided(Throttled(after=HOUR), first_try(since=NOW - 3 * DAY + 30 * MINUTE)) == GiveUp(Reason.GAVE_UP)

    def test_what_expires_is_looked_at_when_it_expires_and_not_later(self):
        expires_at = NOW + timedelta(seconds=20)
        assert decided(Retry(), first_try(expires_at=expires_at)) == TryAgain(expires_at, Reason.TEMPORARY)

    def test_what_expires_after_the_horizon_is_tried_until_then(self):
        old = first_try(since=NOW - 30 * DAY, expires_at=NOW + DAY)
        assert decided(Retry(), old) == TryAgain(NOW + MINUTE, Reason.TEMPORARY)

    def test_what_expires_later_than_the_next_try_is_tried_on_schedule(self):
        assert decided(Retry(), first_try(expires_at=NOW + HOUR)).at == NOW + MINUTE

    def test_what_has_expired_meanwhile_is_due_at_once(self):
        assert decided(Retry(), first_try(expires_at=NOW - MINUTE)).at < NOW

    def test_the_reason_to_wait_is_the_callers(self):
        assert again(Reason.RENDERING_FAILED, first_try(), RESEND, now=NOW, jitter=0.0) == TryAgain(
            NOW + MINUTE, Reason.RENDERING_FAILED
        )


seconds = st.floats(0.001, 10 * 86400, allow_nan=False)
spans = st.builds(timedelta, seconds=seconds)


@given(
    outcome=st.builds(Retry, after=st.none() | spans)
    | st.builds(Throttled, after=st.none() | spans)
    | st.just(Unknown()),
    tries=st.integers(1, 50),
    unknowns=st.integers(0, 10),
    age=spans,
    left=st.none() | spans,
    delays=st.lists(seconds, min_size=1, max_size=6),
    horizon=spans,
    jitter=st.floats(0, 1),
)
def test_a_next_try_is_never_in_the_past_and_never_too_late(
    outcome, tries, unknowns, age, left, delays, horizon, jitter
):
    expires_at = left and NOW + left
    history = History(tries=tries, unknowns=unknowns, since=NOW - age, expires_at=expires_at)
    decision = decided(outcome, history, Policy(delays=delays, horizon=horizon), jitter)
    longest = max(timedelta(seconds=max(delays) * 1.1), LONGEST_WISH) + timedelta(microseconds=1)
    match decision:
        case TryAgain(at=at):
            assert NOW <= at <= min(NOW + longest, expires_at or history.since + horizon)
        case GiveUp():
            assert expires_at is None
            assert NOW + longest > history.since + horizon
        case _:
            assert decision == Hold()
            assert unknowns >= MAX_UNKNOWN
