"""System checks: each one provoked by the mistake it is for, and silent about the shop."""

import re
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import django
import pytest
from django.conf import settings
from django.core.checks import ERROR, WARNING, run_checks
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import override_settings

import communique.checks
from communique import Event, Message, events, messages, subscribe
from shop.events import OrderPlaced

pytestmark = pytest.mark.once

MEMORY = {"BACKEND": "communique.backends.memory.MemoryBackend"}
SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
POSTGRESQL = {"ENGINE": "django.db.backends.postgresql", "NAME": "nowhere"}


@pytest.fixture(autouse=True)
def _forgotten():
    with events.isolated(), messages.isolated():
        yield


def found():
    return run_checks(tags=["communique"])


def only(**communique):
    """What is found when COMMUNIQUE is this; it has to be one thing."""
    with override_settings(COMMUNIQUE=communique):
        (one,) = found()
    return one


class Mistakes:
    """One method per check, each of which makes its mistake and returns what was found."""

    def e001(self):
        class First(Event):
            key = "tests.twice"

        class Second(Event):
            key = "tests.twice"

        return found()

    def e002(self):
        class Nameless(Event):
            pass

        return found()

    def e003(self):
        class Greeting(Message):
            key = "tests.shared"

        subscribe(OrderPlaced, key="tests.shared")(lambda event: None)
        return found()

    def e004(self):
        class Unstorable(Event):
            key = "tests.unstorable"
            what: pytest.MonkeyPatch

        return found()

    def e005(self):
        class ByPigeon(Message):
            key = "tests.by_pigeon"
            route = "pigeon"

        return found()

    def e006(self):
        class Unwritten(Message):
            key = "tests.unwritten"

        return found()

    def e007(self):
        with override_settings(COMMUNIQUE={"CHANELS": {}}):
            return found()

    def e008(self):
        with override_settings(COMMUNIQUE={"ENGINE": "steam"}):
            return found()

    def e009(self):
        with override_settings(COMMUNIQUE={"CHANNELS": {"email": {}, "pigeon": {}}}):
            return found()

    def e010(self):
        backends = {"new": {"BACKEND": "no_such_package.Backend"}}
        with override_settings(COMMUNIQUE={"CHANNELS": {"email": {"BACKENDS": backends}}}):
            return found()

    def e011(self):
        with override_settings(COMMUNIQUE=mailer("newsletters")):
            return found()

    def e012(self):
        class ToNobody(Message):
            key = "shop.order_receipt_for_nobody"
            on = OrderPlaced

        return found()

    def e013(self):
        with override_settings(COMMUNIQUE={"RETRY_DELAYS": ()}):
            return found()

    def e014(self):
        class ByPigeon(Message):
            key = "tests.by_pigeon"
            route = "pigeon"

        with override_settings(COMMUNIQUE={"CHANNELS": {"email": {}, "pigeon": {"BACKENDS": {"loft": MEMORY}}}}):
            return found()

    def w001(self):
        with override_settings(DEFAULT_FROM_EMAIL="webmaster@localhost"):
            return found()

    def w002(self):
        with databases(other=SQLITE):
            return found()

    def w003(self):
        with databases(other=POSTGRESQL), pytest.MonkeyPatch.context() as patch:
            patch.setattr(connections["other"], "Database", ModuleType("psycopg2"))
            return found()


@contextmanager
def databases(**more):
    """Let the project have more databases. Not by override_settings(), which warns of that; nobody connects here."""
    with pytest.MonkeyPatch.context() as patch:
        for alias, database in more.items():
            patch.setitem(settings.DATABASES, alias, {"OPTIONS": {}, "TIME_ZONE": None} | database)
        try:
            yield
        finally:
            for alias in more:
                del connections[alias]


def mailer(alias):
    backend = {"BACKEND": "communique.backends.DjangoMailBackend", "OPTIONS": {"mailer": alias}}
    return {"CHANNELS": {"email": {"BACKENDS": {"default": backend}}}}


IDS = sorted(name for name in vars(Mistakes) if not name.startswith("_"))


@pytest.mark.parametrize("name", IDS)
def test_a_mistake_is_found_and_its_fix_is_named(name):
    one = next(each for each in getattr(Mistakes(), name)() if each.id == f"communique.{name.upper()}")
    assert one.level == (ERROR if name.startswith("e") else WARNING)
    assert one.hint.endswith(".")


def test_every_check_is_provoked_here():
    sources = Path(communique.checks.__file__).parent.glob("*.py")
    written = {found for source in sources for found in re.findall(r'id="communique\.([EW]\d{3})"', source.read_text())}
    assert written == {name.upper() for name in IDS}


def test_the_shop_has_no_mistakes():
    assert found() == []


def test_an_empty_setting_and_a_missing_one_are_no_mistakes():
    with override_settings(COMMUNIQUE={}):
        assert found() == []
    with override_settings():
        del settings.COMMUNIQUE
        assert found() == []


def test_manage_py_check_refuses_to_go_on():
    with override_settings(COMMUNIQUE={"ENGINE": "steam"}), pytest.raises(CommandError, match=r"communique\.E008"):
        call_command("check", "--tag", "communique")


class TestRegistrations:
    def test_all_who_claim_a_key_are_named(self):
        (one,) = Mistakes().e001()
        assert "First" in one.msg
        assert "Second" in one.msg

    def test_handlers_that_share_a_key_are_named(self):
        def one(event):
            pass

        def other(event):
            pass

        subscribe(OrderPlaced, key="tests.twice")(one)
        subscribe(OrderPlaced, key="tests.twice")(other)
        (found_one,) = found()
        assert found_one.id == "communique.E001"
        assert "one and by " in found_one.msg
        assert found_one.msg.endswith("other.")

    def test_a_message_without_a_key_is_named(self):
        class Nameless(Message):
            pass

        (one,) = found()
        assert "Nameless" in one.msg
        assert "abstract = True" in one.hint

    def test_abstract_classes_need_no_key(self):
        class Base(Message):
            abstract = True

        assert found() == []


class TestMessages:
    def test_a_field_that_cannot_be_stored_is_named_without_being_used(self):
        (one,) = Mistakes().e004()
        assert "Unstorable" in one.msg
        assert "what" in one.msg

    def test_an_annotation_that_names_nothing_is_found(self):
        class Vague(Event):
            key = "tests.vague"
            what: "NoSuchThing"  # noqa: F821

        (one,) = found()
        assert one.id == "communique.E004"

    def test_the_channels_to_choose_from_are_named(self):
        one = next(each for each in Mistakes().e005() if each.id == "communique.E005")
        assert "'pigeon'" in one.msg
        assert "['email']" in one.hint

    def test_each_missing_template_is_named_with_its_path(self):
        assert [each.hint.split()[1] for each in Mistakes().e006()] == [
            "templates/tests/messages/unwritten/subject.txt",
            "templates/tests/messages/unwritten/email.txt",
        ]

    def test_a_message_that_is_only_sent_needs_no_recipients(self):
        class OnRequest(Message):
            key = "tests.on_request"

        assert {each.id for each in found()} == {"communique.E006"}


class TestSettings:
    def test_all_unknown_keys_are_named_at_once(self):
        one = only(CHANELS={}, TOPIC={}, BASE_URL="https://shop.example")
        assert one.msg == "COMMUNIQUE has keys that nothing reads: CHANELS, TOPIC."
        assert "CHANNELS" in one.hint

    def test_the_engines_to_choose_from_are_named(self):
        assert "worker, immediate" in only(ENGINE="steam").hint

    def test_a_channel_that_is_not_built_in_needs_a_backend(self):
        assert (
            only(CHANNELS={"email": {}, "pigeon": {}}).hint
            == "Add one to COMMUNIQUE['CHANNELS']['pigeon']['BACKENDS']."
        )

    @pytest.mark.parametrize(
        ("path", "named"),
        [
            ("no_such_package.Backend", "no module 'no_such_package'"),
            ("communique.backends.email.NoSuchBackend", "NoSuchBackend"),
            ("Backend", "module path"),
            ("", "module path"),
        ],
    )
    def test_a_backend_that_cannot_be_imported_says_why(self, path, named):
        one = only(CHANNELS={"email": {"BACKENDS": {"new": {"BACKEND": path}}}})
        assert one.id == "communique.E010"
        assert named in one.msg
        assert repr(path) in one.hint

    def test_a_backend_without_a_path_is_found(self):
        assert only(CHANNELS={"email": {"BACKENDS": {"new": {}}}}).id == "communique.E010"

    def test_the_mailers_to_choose_from_are_named(self):
        one = only(**mailer("newsletters"))
        assert "'newsletters'" in one.msg
        assert ("['default']" if django.VERSION >= (6, 1) else "Django 6.1") in one.hint

    def test_the_default_mailer_is_always_there(self):
        with override_settings(COMMUNIQUE=mailer("default")):
            assert found() == []

    @pytest.mark.parametrize("key", ["LEASE_SECONDS", "POLL_SECONDS"])
    @pytest.mark.parametrize("value", [0, -1, "60", None, True])
    def test_seconds_are_a_number_above_zero(self, key, value):
        one = only(**{key: value})
        assert one.id == "communique.E013"
        assert key in one.msg

    @pytest.mark.parametrize("value", [(), [], 60, "60", [60, 0], [60, -1], [60, "300"], None])
    def test_retry_delays_are_numbers_above_zero(self, value):
        assert only(RETRY_DELAYS=value).id == "communique.E013"

    @pytest.mark.parametrize("value", [[1], (0.5, 60)])
    def test_one_delay_is_enough(self, value):
        with override_settings(COMMUNIQUE={"RETRY_DELAYS": value}):
            assert found() == []

    def test_the_sqlite_database_is_named_and_others_are_not_asked(self):
        immediate = SQLITE | {"OPTIONS": {"transaction_mode": "immediate"}}
        with databases(good=immediate, bad=SQLITE, other=POSTGRESQL):
            (one,) = found()
        assert one.id == "communique.W002"
        assert "'bad'" in one.msg
