"""The worker: one process that expands, handles, sends and recovers, and is woken by commits."""

import threading
import time

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction

from communique import publish, wakeups
from communique.backends import memory
from communique.engines.worker import Worker
from communique.models import Communication, Delivery, Reaction
from communique.outcomes import Accepted
from shop.communications import OrderReceipt
from shop.events import OrderPlaced

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def running(communique):
    """A worker in a thread of its own, stopped after the test."""
    worker = Worker(using="default", threads=4)
    thread = threading.Thread(target=worker.run)
    thread.start()
    yield worker
    worker.stop()
    thread.join(20)
    assert not thread.is_alive()


def until(condition, seconds=15.0):
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it did not come to pass"
        time.sleep(0.02)


def test_once_does_all_that_is_due_and_ends(communique, order):
    for _ in range(20):
        publish(OrderPlaced(order=order, total=order.total))
    Worker(using="default", threads=4).run_once()
    communique.assert_sent(OrderReceipt, times=20)
    assert Reaction.objects.filter(subscriber="shop.update_stats", stage="done").count() == 20
    assert set(Delivery.objects.values_list("state", flat=True)) == {"sent"}


def test_once_with_nothing_due_ends_at_once(communique):
    Worker(using="default", threads=1).run_once()
    communique.assert_not_sent()


def test_only_the_asked_channels_are_sent(communique, order):
    publish(OrderPlaced(order=order, total=order.total))
    Worker(using="default", threads=1, channels=["sms"]).run_once()
    communique.assert_not_sent()
    assert Delivery.objects.get().state == "queued"


def test_a_running_worker_sends_what_is_published(running, communique, order):
    with transaction.atomic():
        handle = publish(OrderPlaced(order=order, total=order.total))
    assert [one.verdict for one in handle.wait(timeout=15)] == ["reached"]


def test_a_stop_lets_open_attempts_finish_and_claims_nothing_more(communique, order, monkeypatch):
    gate = threading.Event()

    def slow(self, outgoing):
        gate.wait(15)
        return Accepted("250")

    monkeypatch.setattr(memory.MemoryBackend, "send", slow)
    for _ in range(6):
        publish(OrderPlaced(order=order, total=order.total))
    worker = Worker(using="default", threads=2)
    thread = threading.Thread(target=worker.run)
    thread.start()
    until(lambda: Delivery.objects.filter(state="sending").count() == 2)
    worker.stop()
    worker.stop()
    gate.set()
    thread.join(20)
    assert not thread.is_alive()
    assert sorted(Delivery.objects.values_list("state", flat=True)) == ["queued"] * 4 + ["sent"] * 2


def test_a_step_that_raises_is_logged_and_repeated(running, communique, order, monkeypatch, caplog):
    calls = []
    original = Worker.__dict__["_recover"]

    def flaky(self):
        calls.append(1)
        if len(calls) < 3:
            raise ValueError("ada@shop.example")
        original(self)

    monkeypatch.setattr(Worker, "_recover", flaky)
    publish(OrderPlaced(order=order, total=order.total))
    until(lambda: Communication.objects.filter(verdict="reached").exists())
    assert "take_in failed" in caplog.text
    assert "ada@shop.example" not in caplog.text


def test_the_command_refuses_what_makes_no_sense():
    with pytest.raises(CommandError, match="at least 1"):
        call_command("communique_worker", "--threads", "0")
    with pytest.raises(CommandError, match="carrier_pigeon"):
        call_command("communique_worker", "--channels", "email,carrier_pigeon")


@pytest.mark.needs_postgresql
class TestWakeUps:
    @pytest.fixture(autouse=True)
    def _audible(self, monkeypatch):
        monkeypatch.setattr(wakeups, "_muted", False)
        yield
        # The bell gives up its connection when there was nothing to ring for.
        until(lambda: all(bell._thread is None for bell in wakeups._bells.values()))

    def test_a_commit_ends_a_sleep(self, order):
        listener = wakeups.listener("default", threading.Event())
        listener.wait(0.01)
        publish(OrderPlaced(order=order, total=order.total))
        started = time.monotonic()
        listener.wait(15)
        listener.close()
        assert time.monotonic() - started < 10

    def test_a_rollback_wakes_nobody(self, order):
        listener = wakeups.listener("default", threading.Event())
        listener.wait(0.01)
        with transaction.atomic():
            publish(OrderPlaced(order=order, total=order.total))
            transaction.set_rollback(True)
        started = time.monotonic()
        listener.wait(0.3)
        listener.close()
        assert time.monotonic() - started >= 0.25

    def test_a_burst_of_commits_is_a_handful_of_wake_ups(self, order):
        heard = connections.create_connection("default")
        with heard.cursor() as cursor:
            cursor.execute("LISTEN communique")
        started = time.monotonic()
        for _ in range(200):
            publish(OrderPlaced(order=order, total=order.total))
        lasted = time.monotonic() - started
        notes = list(heard.connection.notifies(timeout=0.5))
        heard.close()
        assert 1 <= len(notes) <= lasted * 20 + 2

    def test_a_listener_whose_connection_was_cut_listens_again(self, order):
        listener = wakeups.listener("default", threading.Event())
        listener.wait(0.01)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND query LIKE 'LISTEN%%'"
            )
        listener.wait(0.05)
        listener.wait(0.01)
        publish(OrderPlaced(order=order, total=order.total))
        started = time.monotonic()
        listener.wait(15)
        listener.close()
        assert time.monotonic() - started < 10
