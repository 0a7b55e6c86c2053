"""Rendering: the template convention, for a reader with a language and a time zone."""

from collections import Counter
from datetime import UTC, datetime

import pytest
from django.template import TemplateDoesNotExist
from django.test import override_settings
from django.utils import timezone, translation
from hypothesis import given
from hypothesis import strategies as st

from communique import Message, Recipient, messages, rendering
from communique.content import Email
from communique.rendering import render
from shop.communications import NewSignIn

pytestmark = pytest.mark.once

ADA = Recipient(email="ada@shop.example", name="Ada")
OTHER_ENGINE = {"BACKEND": "tests.test_rendering.OtherEngine"}
AT = datetime(2026, 3, 14, 23, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _forgotten():
    with messages.isolated():
        yield


@pytest.fixture
def note():
    """A message with a text and a time."""

    class Note(Message):
        key = "tests.note"
        priority = "urgent"

        text: str = ""
        at: datetime = AT

    return Note


def rendered(message, recipient=ADA, **files):
    """Render a message whose templates these are; without a word of it they are empty."""
    written = {"subject_txt": "", "email_txt": ""} | files
    with templates({f"tests/messages/note/{_file(name)}": text for name, text in written.items()}):
        return render(message, recipient, "email")


def templates(files, *engines):
    """These files are all templates there are; ``engines`` come before the one that has them."""
    loader = ("django.template.loaders.locmem.Loader", files)
    engine = {"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": {"loaders": [loader]}}
    return override_settings(TEMPLATES=[*engines, engine])


def _file(name):
    return ".".join(name.rsplit("_", 1))


class TestTheConvention:
    def test_each_part_has_its_file(self, note):
        content = rendered(note(), subject_txt="Hello", email_txt="Dear reader", email_html="<p>Dear reader</p>")
        assert content == Email(subject="Hello", text="Dear reader\n", html="<p>Dear reader</p>")

    def test_files_are_found_by_the_key(self):
        class Note(Message):
            key = "shop.order_2_receipt"

        files = {f"shop/messages/order_2_receipt/{name}": name for name in ("subject.txt", "email.txt")}
        with templates(files):
            assert render(Note(), ADA, "email").subject == "subject.txt"

    @pytest.mark.parametrize("name", ["subject.txt", "email.txt"])
    def test_a_missing_file_is_an_error(self, note, name):
        files = {f"tests/messages/note/{each}": "" for each in {"subject.txt", "email.txt"} - {name}}
        with templates(files), pytest.raises(TemplateDoesNotExist, match=name):
            render(note(), ADA, "email")

    def test_html_may_be_missing(self, note):
        assert rendered(note()).html == ""

    @pytest.mark.parametrize("tag", ['{% include "missing.html" %}', '{% extends "missing.html" %}'])
    def test_what_the_html_needs_may_not_be_missing(self, note, tag):
        with pytest.raises(TemplateDoesNotExist, match=r"missing\.html"):
            rendered(note(), email_html=tag)

    def test_a_channel_without_a_convention_is_an_error(self, note):
        with pytest.raises(TemplateDoesNotExist, match="'pigeon'"):
            render(note(), ADA, "pigeon")

    def test_missing_files_are_named_in_advance(self, note):
        with templates({"tests/messages/note/subject.txt": ""}):
            assert rendering.missing_templates(note, "email") == ["tests/messages/note/email.txt"]
        assert rendering.missing_templates(note, "pigeon") == []

    def test_the_first_engine_for_django_templates_is_used(self, note):
        files = {"tests/messages/note/subject.txt": "Hello", "tests/messages/note/email.txt": ""}
        with templates(files, OTHER_ENGINE):
            assert render(note(), ADA, "email").subject == "Hello"

    def test_without_such_an_engine_that_is_said(self, note):
        with override_settings(TEMPLATES=[OTHER_ENGINE]), pytest.raises(TemplateDoesNotExist, match="DjangoTemplates"):
            render(note(), ADA, "email")

    def test_what_the_class_says_of_the_mail_is_taken_over(self):
        class Note(Message):
            key = "tests.note"
            from_email = "Shop <orders@shop.example>"
            reply_to = ["help@shop.example"]
            headers = {"X-Campaign": "spring"}

        content = rendered(Note())
        assert content.from_email == "Shop <orders@shop.example>"
        assert content.reply_to == ("help@shop.example",)
        assert content.headers == {"X-Campaign": "spring"}


class TestEscaping:
    def test_text_is_not_escaped_and_html_is(self, note):
        message = note(text="O'Brien & <sons>")
        content = rendered(message, subject_txt="{{ text }}", email_txt="{{ text }}", email_html="{{ text }}")
        assert content.subject == "O'Brien & <sons>"
        assert content.text == "O'Brien & <sons>\n"
        assert content.html == "O&#x27;Brien &amp; &lt;sons&gt;"

    @pytest.mark.parametrize(
        ("written", "expected"),
        [
            ("Hello\n", "Hello"),
            ("\n  Hello \t  again\n\n", "Hello again"),
            ("Hello\r\nBcc: eve@evil.example", "Hello Bcc: eve@evil.example"),
            ("Hel\x00lo\x07 \x1b[31mred\x7f\x9b", "Hello [31mred"),
            ("Hello\u2028again\x85and\x0bagain", "Hello again and again"),
            ("Grüße ✓", "Grüße ✓"),
            ("", ""),
        ],
    )
    def test_a_subject_is_one_line_without_control_characters(self, note, written, expected):
        assert rendered(note(text=written), subject_txt="{{ text }}").subject == expected

    @given(st.text())
    def test_no_subject_can_add_a_header(self, text):
        subject = rendering._one_line(text)
        assert len(subject.splitlines()) <= 1
        assert not any(ord(character) < 32 for character in subject)

    def test_text_ends_with_one_line_break_and_begins_with_none(self, note):
        assert rendered(note(), email_txt="\n\n  Hello\n\n again\n\n\n").text == "Hello\n\n again\n"


class TestTheReader:
    def test_sees_times_in_their_own_zone(self, note):
        moment = '{{ at|date:"Y-m-d H:i" }}'
        berlin = Recipient(email="ada@shop.example", timezone="Europe/Berlin")
        tokyo = Recipient(email="ada@shop.example", timezone="Asia/Tokyo")
        for reader, expected in ((berlin, "2026-03-15 00:30"), (tokyo, "2026-03-15 08:30"), (ADA, "2026-03-14 23:30")):
            content = rendered(note(), reader, subject_txt=moment, email_txt=moment, email_html=moment)
            assert (content.subject, content.text, content.html) == (expected, f"{expected}\n", expected)

    def test_is_addressed_in_their_own_language(self, note):
        files = {"subject_txt": '{% load i18n %}{% translate "Yes" %}', "email_txt": '{{ at|date:"F" }}'}
        german = Recipient(email="ada@shop.example", language="de")
        assert rendered(note(), german, **files) == Email(subject="Ja", text="März\n")
        assert rendered(note(), ADA, **files) == Email(subject="Yes", text="March\n")

    def test_of_unknown_habits_gets_the_language_and_zone_of_the_project(self, note):
        files = {"subject_txt": '{{ at|date:"j F, H:i" }}'}
        with override_settings(LANGUAGE_CODE="de", TIME_ZONE="Asia/Tokyo"):
            assert rendered(note(), **files).subject == "15 März, 08:30"

    def test_is_not_mixed_up_with_a_visitor_of_the_site(self, note):
        with translation.override("fr"), timezone.override("Asia/Tokyo"):
            assert rendered(note(), subject_txt='{{ at|date:"j F" }}').subject == "14 March"
            assert translation.get_language() == "fr"
            assert timezone.get_current_timezone_name() == "Asia/Tokyo"

    @pytest.mark.parametrize("zone", ["Mars/Olympus", "Europe", "../../etc/passwd", "UTC ", "\x00", "é", "x" * 300])
    def test_with_a_nonsense_zone_sees_times_in_that_of_the_project(self, note, zone):
        reader = Recipient(email="ada@shop.example", timezone=zone)
        assert rendered(note(), reader, subject_txt='{{ at|date:"H:i" }}').subject == "23:30"

    @pytest.mark.parametrize("language", ["klingon", "de_DE.UTF-8", "../../etc/passwd", "\x00", "é", "(", "x" * 300])
    def test_with_a_nonsense_language_is_written_to_all_the_same(self, note, language):
        reader = Recipient(email="ada@shop.example", language=language)
        assert rendered(note(), reader, subject_txt="{{ at|date }}").subject

    def test_has_a_name(self, note):
        assert rendered(note(), subject_txt="Dear {{ recipient.name }}").subject == "Dear Ada"


class TestTheContext:
    def test_fields_are_there_by_name_and_by_message(self, note):
        assert rendered(note(text="hi"), subject_txt="{{ text }} {{ message.text }}").subject == "hi hi"

    def test_options_are_there_by_message_only(self, note):
        content = rendered(note(), subject_txt="[{{ priority }}{{ key }}{{ route }}] {{ message.priority }}")
        assert content.subject == "[] urgent"

    def test_properties_are_asked_once_however_often_they_are_used(self):
        asked = Counter()

        class Note(Message):
            key = "tests.note"

            @property
            def link(self):
                asked["link"] += 1
                return f"/{asked['link']}/"

            @property
            def unused(self):
                asked["unused"] += 1

        link = "{{ link }} {{ link }}"
        content = rendered(Note(), subject_txt=link, email_txt=link, email_html=link)
        assert {content.subject, content.text.strip(), content.html} == {"/1/ /1/"}
        assert asked == {"link": 1}

    def test_properties_are_computed_anew_for_every_rendering(self):
        numbers = iter(range(9))

        class Note(Message):
            key = "tests.note"

            @property
            def number(self):
                return next(numbers)

        message = Note()
        assert [rendered(message, subject_txt="{{ number }}").subject for _ in range(2)] == ["0", "1"]

    def test_properties_are_inherited_and_private_ones_hidden(self):
        class Base(Message):
            abstract = True

            @property
            def greeting(self):
                return "Hello"

        class Note(Base):
            key = "tests.note"

            @property
            def _secret(self):
                return "secret"

        assert "_secret" not in rendering._context(Note(), ADA)
        assert rendered(Note(), subject_txt="{{ greeting }}").subject == "Hello"

    @pytest.mark.parametrize("error", [TypeError, AttributeError, KeyError, ValueError, ZeroDivisionError])
    def test_what_a_property_raises_is_not_taken_for_nothing_to_say(self, error):
        class Note(Message):
            key = "tests.note"

            @property
            def link(self):
                raise error("broken")

        with pytest.raises(error, match="broken"):
            rendered(Note(), email_txt="Go to {{ link }}")

    def test_a_message_of_the_shop_has_all_its_parts(self, customer):
        message = NewSignIn(customer=customer, ip="198.51.100.7", at=AT)
        content = render(message, Recipient.of(customer), "email")
        assert "198.51.100.7" in content.text
        assert "198.51.100.7" in content.html
        assert "\n" not in content.subject


class OtherEngine:
    """Stands for Jinja2: an engine that is no DjangoTemplates."""

    app_dirname = "other"

    def __init__(self, params):
        self.name = params["NAME"]
