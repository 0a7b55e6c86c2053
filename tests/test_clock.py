"""The clock: the database's, in UTC whatever its session thinks, and movable for tests."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from communique import clock, publish
from communique.models import EventRecord
from shop.communications import PasswordReset
from shop.events import OrderPlaced
from tests.settings import DATABASE

SLACK = timedelta(minutes=1)  # what the database's machine may be ahead of ours, or behind
HOUR = timedelta(hours=1)


def now():
    return clock.now("default")


def inserted(**how):
    """The time that a row gets from the database."""
    row = EventRecord.objects.create(key="tests.tick", payload={}, occurred_at=clock.in_insert(**how))
    row.refresh_from_db()
    return row.occurred_at


@pytest.mark.django_db
class TestNow:
    def test_it_is_the_time_in_utc(self):
        assert now().tzinfo is UTC
        assert abs(now() - datetime.now(UTC)) < SLACK

    def test_it_costs_one_query(self, django_assert_num_queries):
        with django_assert_num_queries(1):
            now()

    def test_it_passes_within_a_transaction(self):
        with transaction.atomic():
            before = now()
            time.sleep(0.01)
            assert before < now()

    def test_it_tells_parts_of_a_second(self):
        moments = set()
        for _ in range(5):
            moments.add(now().microsecond)
            time.sleep(0.002)
        assert len(moments) > 1


@pytest.mark.django_db
class TestInserts:
    def test_a_row_gets_the_time_of_the_database(self):
        before = now()
        assert before - SLACK / 60 <= inserted() <= now() + SLACK / 60

    @pytest.mark.parametrize("after", [HOUR, -HOUR, timedelta(days=400), timedelta(milliseconds=1500)])
    def test_or_a_time_that_is_so_far_from_it(self, after):
        assert abs(inserted(after=after) - now() - after) < SLACK / 12

    def test_it_costs_no_query_of_its_own(self, django_assert_num_queries):
        with django_assert_num_queries(1):
            EventRecord.objects.create(key="tests.tick", payload={}, occurred_at=clock.in_insert(after=HOUR))

    def test_it_travels_too(self):
        with clock.shifted(HOUR):
            assert abs(inserted() - now()) < SLACK / 12
            assert abs(inserted(after=HOUR) - now() - HOUR) < SLACK / 12

    def test_a_row_of_now_is_due_now(self, communique, order):
        publish(OrderPlaced(order=order, total=order.total))
        assert EventRecord.objects.filter(due_at__lte=now() + SLACK / 60).exists()
        assert communique.run()


@pytest.fixture
def far_away(db):
    """A session in another time zone, which is what a server in another time zone gives to Django on MySQL."""
    set_zone = {"postgresql": "SET TIME ZONE {}", "mysql": "SET time_zone = {}"}[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(set_zone.format("'+05:00'"))
    yield
    with connection.cursor() as cursor:
        cursor.execute(set_zone.format({"postgresql": "'UTC'", "mysql": "DEFAULT"}[connection.vendor]))


@pytest.mark.skipif(DATABASE == "sqlite", reason="SQLite has no time zone of its own")
class TestAServerInAnotherTimeZone:
    def test_tells_the_same_time(self, far_away):
        assert abs(now() - datetime.now(UTC)) < SLACK

    @pytest.mark.parametrize("after", [timedelta(), HOUR])
    def test_writes_the_same_time(self, far_away, after):
        assert abs(inserted(after=after) - now() - after) < SLACK / 12

    def test_delays_nothing(self, communique, customer, far_away):
        PasswordReset(customer=customer).send(to=customer)
        communique.run()
        communique.assert_sent(PasswordReset)


@pytest.mark.django_db
class TestTravelling:
    def test_travels_add_up(self):
        before = now()
        clock.travel(2 * HOUR)
        clock.travel(-HOUR)
        assert abs(now() - before - HOUR) < SLACK
        clock.travel(-HOUR)
        assert abs(now() - before) < SLACK

    def test_a_shift_ends_with_its_block(self):
        before = now()
        with clock.shifted(HOUR), clock.shifted(HOUR):
            assert abs(now() - before - 2 * HOUR) < SLACK
        assert abs(now() - before) < SLACK

    def test_a_shift_ends_with_an_error_too(self):
        before = now()
        with pytest.raises(ZeroDivisionError), clock.shifted(-HOUR):
            assert abs(now() - before + HOUR) < SLACK
            raise ZeroDivisionError
        assert abs(now() - before) < SLACK


@pytest.mark.once
def test_durations_are_measured_by_a_clock_that_nobody_sets():
    with clock.shifted(HOUR):
        before = clock.monotonic()
    assert 0 <= clock.monotonic() - before < 60
