"""Email by way of Django's own SMTP backend, to a real server: what arrives, and what its answers mean."""

import time
from email.header import decode_header, make_header
from email.utils import getaddresses

import django
import pytest
from django.core.mail.backends.base import BaseEmailBackend
from django.test import override_settings

from communique import Accepted, Misconfigured, Refused, Retry, Unknown
from communique.backends import DjangoMailBackend
from communique.content import Email, Outgoing
from tests.smtp_server import PATIENCE, SMTPServer, port_where_nobody_listens, used_by_django

pytestmark = pytest.mark.once

KEY = "0190b6d1-7c3e-7abc-8def-001122334455"
SOON = 0.2  # a time-out, in seconds
FOR_EVER = 600.0


@pytest.fixture
def server():
    with SMTPServer() as server, server.used_by_django():
        yield server


@pytest.fixture
def backend(server):
    backend = DjangoMailBackend(timeout=PATIENCE)
    yield backend
    backend.close()


def outgoing(*, address="ada@customers.example", name="Ada", key=KEY, **content):
    email = Email(**{"subject": "Your order", "text": "Thank you.\n", **content})
    return Outgoing(key=key, channel="email", address=address, name=name, content=email)


def sent_by(path, **options):
    """Let Django send by another backend than SMTP."""
    if django.VERSION >= (6, 1):
        return override_settings(MAILERS={"default": {"BACKEND": path, "OPTIONS": options}})
    return override_settings(EMAIL_BACKEND=path)


def read(value):
    """The name and address in a header as a mail program shows them."""
    ((name, address),) = getaddresses([value])
    return str(make_header(decode_header(name))), address


class TestWhatArrives:
    def test_text_and_html_arrive_as_alternatives_of_each_other(self, server, backend):
        assert backend.send(outgoing(text="Grüße\n.\nbye\n", html="<p>Grüße</p>")) == Accepted("250")
        message = server.mail.message
        assert message.get_content_type() == "multipart/alternative"
        assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
        assert message.get_body(("plain",)).get_content().splitlines() == ["Grüße", ".", "bye"]
        assert message.get_body(("html",)).get_content().strip() == "<p>Grüße</p>"

    def test_text_alone_is_no_multipart(self, server, backend):
        backend.send(outgoing())
        assert server.mail.message.get_content_type() == "text/plain"

    def test_every_attempt_bears_the_same_message_id_at_the_domain_of_its_sender(self, server, backend):
        for _ in range(2):
            backend.send(outgoing(from_email='"Orders, Ltd" <orders@halyard.example>'))
        assert {mail.value_of("Message-ID") for mail in server.mails} == {f"<{KEY}@halyard.example>"}

    def test_without_a_sender_of_its_own_it_comes_from_the_project(self, server, backend):
        backend.send(outgoing())
        assert server.mail.value_of("From") == "Shop <shop@shop.example>"
        assert server.mail.sender == "shop@shop.example"
        assert server.mail.value_of("Message-ID") == f"<{KEY}@shop.example>"

    def test_a_sender_with_an_international_domain_makes_a_message_id_in_ascii(self, server, backend):
        backend.send(outgoing(from_email="shop@kaffee-köln.example"))
        assert server.mail.value_of("Message-ID") == f"<{KEY}@xn--kaffee-kln-lcb.example>"
        assert server.mail.sender == "shop@xn--kaffee-kln-lcb.example"

    def test_autoresponders_are_asked_to_be_silent(self, server, backend):
        backend.send(outgoing())
        assert server.mail.value_of("Auto-Submitted") == "auto-generated"

    def test_sender_reply_address_and_headers_are_those_of_the_message(self, server, backend):
        backend.send(
            outgoing(
                from_email='"Röst & Co." <orders@halyard.example>',
                reply_to=("help@halyard.example", "Büro <office@halyard.example>"),
                headers={"X-Campaign": "spring", "List-Id": "orders.halyard.example"},
            )
        )
        message = server.mail.message
        assert read(server.mail.value_of("From")) == ("Röst & Co.", "orders@halyard.example")
        assert [each.addr_spec for each in message["Reply-To"].addresses] == [
            "help@halyard.example",
            "office@halyard.example",
        ]
        assert (message["X-Campaign"], message["List-Id"]) == ("spring", "orders.halyard.example")

    def test_what_identifies_the_mail_cannot_be_overridden_and_comes_once(self, server, backend):
        backend.send(outgoing(headers={"message-id": "<mine@shop.example>", "auto-submitted": "no"}))
        assert server.mail.message.get_all("Message-ID") == [f"<{KEY}@shop.example>"]
        assert server.mail.message.get_all("Auto-Submitted") == ["auto-generated"]

    @pytest.mark.parametrize("subject", ["Grüße ✓", "Ihre Bestellung " * 12 + "✓", "x" * 200])
    def test_subjects_of_all_kinds_can_be_read(self, server, backend, subject):
        backend.send(outgoing(subject=subject))
        assert str(make_header(decode_header(server.mail.value_of("Subject")))) == subject

    @pytest.mark.parametrize(
        "name",
        [
            "Byron, Ada",
            "Ada Byron; Countess: Lovelace",
            'Ada "the Countess" Lovelace',
            "Ada\\Byron",
            "Zoë Ångström",
            "Ada, née Byron",
            "née (Byron)",
            'Zoë "Z" Ångström',
            "李小龙",
            "Ада Лавлейс, графиня Лавлейс, урождённая Байрон, и ещё довольно много слов подряд",
            "Ada <eve@evil.example>",
            "eve@evil.example",
            " ".join(["Ada"] * 40),
            "",
        ],
    )
    def test_a_name_of_any_kind_is_shown_and_there_is_one_recipient(self, server, backend, name):
        backend.send(outgoing(name=name))
        assert server.mail.recipients == ["ada@customers.example"]
        assert read(server.mail.value_of("To")) == (name, "ada@customers.example")

    @pytest.mark.parametrize("name", ["Ada\nLovelace", "Ada\r\nLovelace", "Ada\x00Lovelace\x0b", " Ada\u2028Lovelace"])
    def test_a_line_break_in_a_name_costs_nobody_their_mail_and_adds_no_header(self, server, backend, name):
        assert backend.send(outgoing(name=name)) == Accepted("250")
        assert read(server.mail.value_of("To")) == ("Ada Lovelace", "ada@customers.example")

    @pytest.mark.parametrize(
        "value",
        [
            "https://shop.example/u/" + "a1b2c3d4e5" * 18,
            f"<https://shop.example/u/{'a1b2c3d4e5' * 18}>, <mailto:unsubscribe@shop.example>",
            "-".join(["word"] * 16),
        ],
    )
    def test_a_long_word_in_a_header_arrives_in_one_piece_and_not_encoded(self, server, backend, value):
        backend.send(outgoing(headers={"List-Unsubscribe": value}))
        assert server.mail.value_of("List-Unsubscribe") == value

    def test_long_headers_of_shorter_words_are_folded(self, server, backend):
        value = " ".join(["acknowledgements"] * 20)
        backend.send(outgoing(headers={"X-Words": value}))
        lines = server.mail.lines_of("X-Words")
        assert max(map(len, lines)) <= 78
        assert " ".join("".join(lines).partition(":")[2].split()) == value

    @pytest.mark.parametrize("subject", ["Ihre Bestellung über Bücher " * 8, f"Bücher {'x' * 200}"])
    def test_what_has_to_be_encoded_is_folded(self, server, backend, subject):
        backend.send(outgoing(subject=subject))
        assert max(map(len, server.mail.lines_of("Subject"))) < 100  # Python does not count exactly

    def test_other_backends_of_django_are_used_as_they_are(self, mailoutbox):
        assert DjangoMailBackend().send(outgoing()) == Accepted("250")
        assert mailoutbox[0].to == ["Ada <ada@customers.example>"]


class TestTheConnection:
    def test_it_is_kept_between_mails(self, server, backend):
        assert [backend.send(outgoing()).kind for _ in range(3)] == ["accepted"] * 3
        assert (len(server.mails), server.connections) == (3, 1)

    def test_it_is_opened_anew_after_it_was_idle_for_too_long(self, server):
        backend = DjangoMailBackend(idle=0)
        backend.send(outgoing())
        backend.send(outgoing())
        backend.close()
        assert (len(server.mails), server.connections) == (2, 2)

    def test_it_is_opened_anew_after_any_error(self, server, backend):
        server.will("rcpt", "550 5.1.1 No such user")
        assert [backend.send(outgoing()).kind for _ in range(2)] == ["refused", "accepted"]
        assert server.connections == 2

    def test_it_is_opened_anew_after_the_server_dropped_it(self, server, backend):
        backend.send(outgoing())
        server.hang_up()
        assert backend.send(outgoing()) == Accepted("250")
        assert (len(server.mails), server.connections) == (2, 2)

    def test_it_is_opened_anew_after_it_was_closed(self, server, backend):
        backend.send(outgoing())
        backend.close()
        assert backend.send(outgoing()) == Accepted("250")
        assert server.connections == 2

    def test_a_server_that_is_gone_can_be_left(self, server, backend):
        backend.send(outgoing())
        server.hang_up()
        backend.close()

    def test_a_server_without_extensions_is_spoken_to(self, server, backend):
        server.will("ehlo", "502 5.5.1 Not implemented")
        assert backend.send(outgoing()) == Accepted("250")

    def test_time_is_limited_where_the_project_sets_no_limit(self, server):
        server.will("connect", seconds=FOR_EVER)
        started = time.monotonic()
        outcome = DjangoMailBackend(timeout=SOON).send(outgoing())
        assert time.monotonic() - started < PATIENCE
        assert (outcome.kind, outcome.scope) == ("retry", "backend")

    def test_the_limit_of_the_project_is_kept(self, server):
        server.will("connect", seconds=FOR_EVER)
        started = time.monotonic()
        with server.used_by_django(timeout=SOON):
            DjangoMailBackend(timeout=FOR_EVER).send(outgoing())
        assert time.monotonic() - started < PATIENCE


class TestWhatAnswersMean:
    """RFC 5321 section 4.2.1; the enhanced codes are those of RFC 3463."""

    @pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "dot"])
    @pytest.mark.parametrize(
        ("reply", "expected"),
        [
            ("451 4.7.1 Greylisted", Retry("451 4.7.1")),
            ("452 Out of storage", Retry("452")),
            ("421 4.3.2 Going down", Retry("421 4.3.2")),
            ("550 5.1.1 No such user", Refused("550 5.1.1")),
            ("554 No", Refused("554")),
            ("552-5.3.4 Too\r\n552 5.3.4 big", Refused("552 5.3.4")),
        ],
    )
    def test_class_4_is_temporary_and_class_5_is_final(self, server, backend, phase, reply, expected):
        server.will(phase, reply)
        assert backend.send(outgoing()) == expected
        assert backend.send(outgoing()) == Accepted("250")
        assert len(server.mails) == 1

    @pytest.mark.parametrize("phase", ["connect", "ehlo"])
    @pytest.mark.parametrize("reply", ["421 4.3.2 Later", "451 4.7.1 Later", "554 5.7.1 Not you", "550 5.7.1 Not you"])
    def test_a_server_that_does_not_want_to_talk_says_nothing_against_the_mail(self, server, backend, phase, reply):
        server.will(phase, reply, times=2)  # EHLO, and then HELO
        outcome = backend.send(outgoing())
        assert (outcome.kind, outcome.scope) == ("retry", "backend")
        server.troubles.clear()
        assert backend.send(outgoing()) == Accepted("250")

    def test_the_code_of_a_greeting_is_kept(self, server, backend):
        server.will("connect", "421 4.3.2 Later")
        assert backend.send(outgoing()).code == "421 4.3.2"

    def test_one_recipient_may_be_greylisted_while_others_are_not(self, server, backend):
        server.will("rcpt", "451 4.7.1 Greylisted", to="ada", times=2)
        kinds = [backend.send(outgoing(address=f"{local}@customers.example")).kind for local in ["ada", "bob"] * 3]
        assert kinds == ["retry", "accepted", "retry", "accepted", "accepted", "accepted"]

    def test_rejected_credentials_are_our_own_fault(self, server):
        backend = DjangoMailBackend()
        with server.used_by_django(username="shop", password="wrong"):
            server.will("auth", "535 5.7.8 Authentication credentials invalid", times=9)
            outcome = backend.send(outgoing())
            assert (outcome.kind, outcome.code, outcome.scope) == ("misconfigured", "535 5.7.8", "account")
            server.troubles.clear()
            assert backend.send(outgoing()) == Accepted("250")
        backend.close()

    def test_credentials_that_cannot_be_checked_now_are_tried_again(self, server):
        server.will("auth", "454 4.7.0 Temporary authentication failure", times=9)
        with server.used_by_django(username="shop", password="right"):
            outcome = DjangoMailBackend().send(outgoing())
        assert (outcome.kind, outcome.code, outcome.scope) == ("retry", "454 4.7.0", "backend")

    def test_nobody_listening_is_temporary(self):
        with used_by_django(port_where_nobody_listens()):
            outcome = DjangoMailBackend().send(outgoing())
        assert (outcome.kind, outcome.scope) == ("retry", "backend")

    @pytest.mark.parametrize("phase", ["connect", "ehlo"])
    def test_a_line_dropped_before_the_mail_is_temporary(self, server, backend, phase):
        server.will(phase, drop=True)
        outcome = backend.send(outgoing())
        assert (outcome.kind, outcome.scope) == ("retry", "backend")

    @pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "body", "dot"])
    def test_a_line_dropped_during_the_mail_leaves_it_unknown(self, server, backend, phase):
        server.will(phase, drop=True)
        assert backend.send(outgoing(text="long\n" * 100_000)).kind == "unknown"
        assert backend.send(outgoing()) == Accepted("250")

    @pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "dot"])
    def test_silence_during_the_mail_leaves_it_unknown(self, server, phase):
        backend = DjangoMailBackend(timeout=SOON)
        server.will(phase, seconds=FOR_EVER)
        assert backend.send(outgoing()).kind == "unknown"
        backend.close()

    @pytest.mark.parametrize("how", [{"drop": True}, {"seconds": FOR_EVER}])
    def test_a_mail_that_was_kept_and_not_acknowledged_is_unknown(self, server, how):
        backend = DjangoMailBackend(timeout=SOON)
        server.will("kept", **how)
        assert backend.send(outgoing()).kind == "unknown"
        assert len(server.mails) == 1
        backend.close()

    @pytest.mark.parametrize("phase", ["mail", "rcpt", "dot"])
    def test_an_answer_that_is_no_smtp_leaves_it_unknown(self, server, backend, phase):
        server.will(phase, "HTTP/1.1 400 Bad Request")
        assert backend.send(outgoing()) == Unknown("-1", detail="not an SMTP reply")

    def test_a_mailer_that_fails_in_silence_leaves_it_unknown(self):
        with sent_by("tests.test_email_backend.SilentMailer"):
            assert DjangoMailBackend().send(outgoing()).kind == "unknown"

    @pytest.mark.skipif(django.VERSION < (6, 1), reason="mailers came with Django 6.1")
    def test_a_mailer_that_does_not_exist_is_our_own_fault(self):
        outcome = DjangoMailBackend(mailer="nowhere").send(outgoing())
        assert isinstance(outcome, Misconfigured)
        assert outcome.scope == "backend"


class TestWhatIsNeverSent:
    @pytest.mark.parametrize("value", ["spring\r\nBcc: eve@evil.example", "spring\nX-More: 1", "spring\rX-More: 1"])
    def test_a_header_with_a_line_break_is_refused(self, server, backend, value):
        assert backend.send(outgoing(headers={"X-Campaign": value})).kind == "refused"
        assert server.mails == []

    @pytest.mark.parametrize(
        "content", [{"from_email": "a@b.example\nBcc: c@d.example"}, {"subject": "a\r\nBcc: c@d.example"}]
    )
    def test_nor_is_any_other_part_of_the_head(self, server, backend, content):
        assert backend.send(outgoing(**content)).kind == "refused"
        assert server.mails == []

    def test_after_a_refusal_the_next_mail_goes_through(self, server, backend):
        backend.send(outgoing(headers={"X-Campaign": "a\nb"}))
        assert backend.send(outgoing()) == Accepted("250")

    @pytest.mark.parametrize("phase", ["connect", "ehlo", "mail", "rcpt", "data", "dot"])
    @pytest.mark.parametrize("code", ["451 4.7.1", "550 5.1.1"])
    def test_what_the_server_says_of_the_address_is_not_repeated(self, server, backend, phase, code):
        server.will(phase, f"{code} <ada@customers.example>: secret-token", times=2)
        said = repr(backend.send(outgoing()))
        assert "customers" not in said
        assert "secret-token" not in said

    def test_a_refused_mail_does_not_repeat_what_is_wrong_with_it(self, server, backend):
        said = repr(backend.send(outgoing(headers={"X-To": "ada@customers.example\n"})))
        assert "customers" not in said


class SilentMailer(BaseEmailBackend):
    """Like Django's SMTP backend with fail_silently."""

    def send_messages(self, email_messages):
        return 0
