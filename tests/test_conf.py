"""Settings: what an empty COMMUNIQUE means, and what a key that is set means."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.test import override_settings

from communique import backends, conf
from communique.backends import DjangoMailBackend, MemoryBackend
from communique.exceptions import BackendNotFound

pytestmark = pytest.mark.once

MEMORY = {"BACKEND": "communique.backends.memory.MemoryBackend"}


def given(**communique):
    return override_settings(COMMUNIQUE=communique)


class TestDefaults:
    def test_a_project_without_the_setting_has_all_defaults(self):
        with override_settings():
            del settings.COMMUNIQUE
            assert conf.given() == {}
            assert {key: conf.get(key) for key in conf.DEFAULTS} == conf.DEFAULTS

    def test_every_key_is_optional(self):
        with given(BASE_URL="https://shop.example"):
            assert conf.get("BASE_URL") == "https://shop.example"
            assert conf.get("ENGINE") == "worker"

    def test_an_empty_setting_sends_email_by_the_mail_settings_of_the_project(self):
        with given():
            assert list(conf.channels()) == ["email"]
            assert backends.names("email") == ["default"]
            assert isinstance(backends.backend("email", "default"), DjangoMailBackend)

    def test_a_worker_is_what_runs_the_outbox(self):
        with given():
            assert conf.lease() == timedelta(minutes=1)
            assert conf.poll_seconds() == 1.0
            assert list(conf.retry_delays()) == [60, 300, 900, 3600, 10800]


class TestKeys:
    def test_a_key_that_is_set_wins(self):
        with given(LEASE_SECONDS=5, POLL_SECONDS=0.25, RETRY_DELAYS=[1, 2]):
            assert conf.lease() == timedelta(seconds=5)
            assert conf.poll_seconds() == 0.25
            assert conf.retry_delays() == [1, 2]

    def test_a_callable_is_asked_each_time(self):
        answers = iter(["https://a.example", "https://b.example"])
        with given(BASE_URL=lambda: next(answers)):
            assert [conf.get("BASE_URL"), conf.get("BASE_URL")] == ["https://a.example", "https://b.example"]

    def test_what_nobody_knows_cannot_be_asked_for(self):
        with given(), pytest.raises(KeyError, match="CHANELS"):
            conf.get("CHANELS")

    def test_mail_is_tried_for_three_days_and_everything_else_for_one(self):
        assert conf.horizon("email") == timedelta(days=3)
        assert conf.horizon("sms") == conf.horizon("pigeon") == timedelta(days=1)


class TestChannels:
    def test_an_empty_entry_has_the_default_backend(self):
        with given(CHANNELS={"email": {}, "pigeon": {}}):
            assert list(conf.backends_of("email")) == ["default"]
            assert conf.backends_of("pigeon") == {}

    def test_backends_that_are_set_replace_the_default_and_keep_their_order(self):
        with given(CHANNELS={"email": {"BACKENDS": {"second": MEMORY, "first": MEMORY}}}):
            assert backends.names("email") == ["second", "first"]

    def test_a_channel_that_is_not_there_has_no_backends(self):
        with given(CHANNELS={"pigeon": {}}):
            assert list(conf.channels()) == ["pigeon"]
            assert conf.backends_of("sms") == {}


class TestBackends:
    def test_an_instance_is_kept_for_its_thread(self):
        with given(CHANNELS={"email": {"BACKENDS": {"memory": MEMORY}}}):
            assert isinstance(backends.backend("email", "memory"), MemoryBackend)
            assert backends.backend("email", "memory") is backends.backend("email", "memory")

    def test_options_are_its_keywords_and_other_options_are_another_instance(self):
        mail = {"BACKEND": "communique.backends.email.DjangoMailBackend"}
        with given(CHANNELS={"email": {"BACKENDS": {"mail": mail | {"OPTIONS": {"timeout": 5}}}}}):
            before = backends.backend("email", "mail")
        with given(CHANNELS={"email": {"BACKENDS": {"mail": mail | {"OPTIONS": {"timeout": 6}}}}}):
            after = backends.backend("email", "mail")
        assert (before.timeout, after.timeout) == (5, 6)

    def test_an_option_that_is_callable_is_asked(self):
        mail = {"BACKEND": "communique.backends.email.DjangoMailBackend", "OPTIONS": {"timeout": lambda: 7}}
        with given(CHANNELS={"email": {"BACKENDS": {"mail": mail}}}):
            assert backends.backend("email", "mail").timeout == 7

    @pytest.mark.parametrize(("channel", "name"), [("email", "nobody"), ("pigeon", "default")])
    def test_one_that_is_not_configured_is_named_with_its_place(self, channel, name):
        with given(), pytest.raises(BackendNotFound, match=rf"'{name}' in COMMUNIQUE\['CHANNELS'\]\['{channel}'\]"):
            backends.backend(channel, name)
