"""The admin: who may see what, how a communication is found, and what a page costs."""

import re

import pytest
from django.contrib.admin import AdminSite
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import path, reverse
from django.utils.html import escape

from communique import Defunct, Recipient, Retry, admin, publish
from communique.admin.readonly import BoundedPaginator
from communique.models import Communication, EventRecord
from communique.testing import Kit
from shop.communications import PasswordReset
from shop.events import OrderPlaced, SignedIn
from shop.models import Customer
from tests import urls

LIST = "/admin/communique/communication/"
EVENTS = "/admin/communique/eventrecord/"
ALL = ("view_communication", "view_eventrecord", "view_content")


@pytest.fixture
def sign_in(client, communique):
    """Sign somebody in who works here and may do these things; nobody is written to about that."""

    def sign_in(*codenames):
        staff = Customer.objects.create_user("grace", "grace@shop.example", "secret", is_staff=True)
        staff.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client.force_login(staff)
        EventRecord.objects.filter(key=SignedIn.key).delete()
        return client

    return sign_in


@pytest.fixture
def operator(sign_in):
    return sign_in(*ALL)


def receipt(communique: Kit, order, *answers):
    """Send a receipt and return its communication."""
    communique.answer("email", *answers)
    publish(OrderPlaced(order=order, total=order.total))
    communique.run()
    return Communication.objects.latest("pk")


def text(response):
    """What is read on the page."""
    page = re.sub(r"<(script|style|nav)\b.*?</\1>", " ", response.content.decode(), flags=re.S).replace("<wbr>", "")
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def story_url(communication):
    return reverse("admin:communique_communication_change", args=[communication.pk])


def content_url(communication, name="content"):
    return reverse(f"admin:communique_communication_{name}", args=[communication.pk, "email"])


class TestPermissions:
    """What each permission opens, and that none of them changes anything."""

    @pytest.mark.parametrize(
        ("permissions", "statuses"),
        [
            # list, story, content, html, events, event
            ((), (403, 403, 403, 403, 403, 403)),
            (("view_content",), (403, 403, 403, 403, 403, 403)),
            (("view_communication",), (200, 200, 403, 403, 403, 403)),
            (("view_communication", "view_content"), (200, 200, 200, 200, 403, 403)),
            (("view_eventrecord",), (403, 403, 403, 403, 200, 200)),
            (ALL, (200, 200, 200, 200, 200, 200)),
        ],
    )
    def test_each_page_asks_for_its_own(self, communique, order, sign_in, permissions, statuses):
        sent = receipt(communique, order)
        client = sign_in(*permissions)
        event_url = reverse("admin:communique_eventrecord_change", args=[sent.event_id])
        urls = [LIST, story_url(sent), content_url(sent), content_url(sent, "html"), EVENTS, event_url]
        assert tuple(client.get(url).status_code for url in urls) == statuses

    @pytest.mark.parametrize("name", ["communication", "eventrecord"])
    def test_nobody_may_add_change_or_delete_anything(self, communique, order, sign_in, name):
        client = sign_in()
        Customer.objects.filter(username="grace").update(is_superuser=True)
        sent = receipt(communique, order)
        pk = {"communication": sent.pk, "eventrecord": sent.event_id}[name]
        before = Communication.objects.values().get(), EventRecord.objects.values().get(pk=sent.event_id)
        urls = [
            reverse(f"admin:communique_{name}_add"),
            reverse(f"admin:communique_{name}_change", args=[pk]),
            reverse(f"admin:communique_{name}_delete", args=[pk]),
        ]
        assert [client.post(url, {"message": "x", "key": "x"}).status_code for url in urls] == [403, 403, 403]
        chosen = {"action": "delete_selected", "_selected_action": [pk]}
        client.post(reverse(f"admin:communique_{name}_changelist"), chosen)
        assert (Communication.objects.values().get(), EventRecord.objects.values().get(pk=sent.event_id)) == before

    def test_the_permission_to_change_opens_no_more_than_the_one_to_view(self, communique, order, sign_in):
        sent = receipt(communique, order)
        client = sign_in("change_communication", "delete_communication", "add_communication")
        assert client.get(story_url(sent)).status_code == 200
        assert client.post(story_url(sent), {"message": "x"}).status_code == 403

    def test_strangers_are_sent_to_the_login(self, communique, order, client):
        sent = receipt(communique, order)
        for url in (LIST, story_url(sent), content_url(sent), content_url(sent, "html")):
            assert client.get(url)["Location"].startswith("/admin/login/")

    def test_the_story_says_which_permission_is_missing_to_read_the_content(self, communique, order, sign_in):
        page = sign_in("view_communication").get(story_url(receipt(communique, order)))
        assert "To read it you need the permission communique.view_content ." in text(page)
        assert "content/email" not in page.content.decode()
        assert order.number not in text(page)

    def test_an_event_shows_the_names_of_its_payload_and_hides_the_values(self, communique, order, sign_in):
        sent = receipt(communique, order)
        page = sign_in("view_eventrecord").get(reverse("admin:communique_eventrecord_change", args=[sent.event_id]))
        assert "Payload order total To read the values you need the permission communique.view_content ." in text(page)
        assert "28.50" not in text(page)
        assert story_url(sent) not in page.content.decode()  # it could not be followed


class TestFinding:
    @pytest.fixture
    def found(self, operator):
        def found(term):
            response = operator.get(LIST, {"q": term})
            return [row.recipient_key for row in response.context["cl"].result_list]

        return found

    @pytest.fixture
    def three(self, communique, customer):
        """Three recipients: a user, and two who are none."""
        others = [Recipient(email="Ada@shop.example.org"), Recipient(email="x@faß.example")]
        PasswordReset(customer=customer).send(to=[customer, *others])
        communique.run()
        return list(Communication.objects.order_by("pk"))

    def test_an_address_is_found_exactly_as_it_is(self, three, found):
        assert found("ada@shop.example") == [three[0].recipient_key]
        assert found(" Ada@shop.example.org ") == [three[1].recipient_key]
        assert found("ada@shop") == []

    def test_an_address_is_found_as_it_was_typed(self, three, found):
        assert found("x@faß.example") == [three[2].recipient_key]
        assert found("x@xn--fa-hia.example") == [three[2].recipient_key]
        assert found("ADA@SHOP.EXAMPLE") == [three[0].recipient_key]

    def test_a_recipient_is_found_by_key(self, three, found):
        assert found(three[0].recipient_key) == [three[0].recipient_key]

    def test_a_uid_is_found_whosever_it_is(self, three, found):
        keys = [one.recipient_key for one in reversed(three)]
        assert found(str(three[1].uid)) == [three[1].recipient_key]
        assert found(str(three[1].deliveries.get().uid)) == [three[1].recipient_key]
        assert found(str(three[1].event.uid)) == keys
        assert found("00000000-0000-7000-8000-000000000000") == []

    @pytest.mark.parametrize("term", ["ada@shop.example", "user:1", "01890000-0000-7000-8000-000000000000"])
    def test_no_search_reads_every_address(self, three, operator, django_assert_max_num_queries, term):
        with django_assert_max_num_queries(10) as queries:
            operator.get(LIST, {"q": term})
        assert not [query["sql"] for query in queries if "LIKE" in query["sql"].upper()]

    def test_filters_leave_what_they_say(self, communique, order, operator):
        receipt(communique, order, Defunct("550"))
        PasswordReset(customer=order.customer).send(to=order.customer)
        communique.run()
        for query, expected in [
            ({"verdict__exact": "unreachable"}, ["shop.order_receipt"]),
            ({"message": "shop.password_reset"}, ["shop.password_reset"]),
            ({"channel": "email"}, ["shop.password_reset", "shop.order_receipt"]),
            ({"channel": "sms"}, []),
        ]:
            rows = operator.get(LIST, query).context["cl"].result_list
            assert [row.message for row in rows] == expected, query

    def test_an_event_is_found_by_uid_and_dedupe_key(self, communique, order, operator):
        publish(OrderPlaced(order=order, total=order.total), dedupe="order-1")
        event = EventRecord.objects.get()
        for term, expected in [
            ("order-1", [event]),
            (event.dedupe_key, [event]),
            (str(event.uid), [event]),
            ("order", []),
        ]:
            assert list(operator.get(EVENTS, {"q": term}).context["cl"].result_list) == expected


class TestCost:
    @pytest.mark.parametrize("url", [LIST, EVENTS])
    def test_a_page_of_fifty_takes_as_many_queries_as_one_of_one(
        self, communique, order, operator, url, django_assert_num_queries
    ):
        receipt(communique, order)
        few = self.queries(operator, url)
        for _ in range(49):
            receipt(communique, order)
        with django_assert_num_queries(few) as queries:
            page = operator.get(url)
        assert len(page.context["cl"].result_list) == 50
        assert not [one["sql"] for one in queries if "COUNT(*)" in one["sql"] and "LIMIT" not in one["sql"]]

    @pytest.mark.parametrize("name", ["communication", "eventrecord"])
    def test_a_page_of_one_takes_as_many_queries_whatever_happened(
        self, communique, order, operator, name, django_assert_num_queries
    ):
        sent = receipt(communique, order, *[Retry("451")] * 5)
        pk = {"communication": sent.pk, "eventrecord": sent.event_id}[name]
        url = reverse(f"admin:communique_{name}_change", args=[pk])
        few = self.queries(operator, url)
        for _ in range(6):
            communique.travel(hours=4)
            communique.run()
        with django_assert_num_queries(few):
            assert operator.get(url).status_code == 200

    def queries(self, client, url):
        client.get(url)  # what is cached for good is cached by now
        with CaptureQueriesContext(connection) as queries:
            client.get(url)
        return len(queries)

    def test_a_long_list_is_counted_to_its_limit_and_says_so(self, communique, order, operator, monkeypatch):
        for _ in range(4):
            receipt(communique, order)
        assert "Only the newest" not in text(operator.get(LIST))
        monkeypatch.setattr(BoundedPaginator, "limit", 3)
        page = operator.get(LIST)
        assert page.context["cl"].result_count == 3
        assert "Only the newest 3 are listed. The search and the filters find the others." in text(page)

    def test_pages_after_the_first_can_be_turned_to(self, communique, order, operator, monkeypatch):
        for _ in range(3):
            receipt(communique, order)
        monkeypatch.setattr(admin.CommunicationAdmin, "list_per_page", 2)
        pages = [operator.get(LIST, {"p": number}).context["cl"].result_list for number in (1, 2)]
        assert [len(rows) for rows in pages] == [2, 1]

    def test_no_query_string_makes_the_database_sort_or_count_the_table(self, communique, order, operator):
        receipt(communique, order)
        assert operator.get(LIST, {"_facets": ""}).context["cl"].add_facets is False
        assert "?o=" not in operator.get(LIST).content.decode()
        assert set(operator.get(LIST, {"o": "1.2"}).context["cl"].queryset.query.order_by) == {"-pk"}


class TestPages:
    def test_the_list_says_who_was_told_what_and_why_not(self, communique, order, operator):
        receipt(communique, order, Defunct("550 5.1.1"))
        said = text(operator.get(LIST))
        for words in (
            "shop.order_receipt",
            "unreachable",
            "The provider says that the address is dead.",
            "1 try, took",
        ):
            assert words in said
        assert "ada@shop.example email" in said

    def test_the_list_says_why_something_still_waits(self, communique, order, operator):
        receipt(communique, order, Retry("451"))
        assert "pending The provider answered with a temporary failure." in text(operator.get(LIST))

    def test_the_list_names_a_recipient_without_an_address(self, communique, order, operator):
        Customer.objects.filter(pk=order.customer.pk).update(email="")
        receipt(communique, order)
        assert f"user:{order.customer.pk} email (skipped)" in text(operator.get(LIST))

    def test_nothing_that_was_sent_reads_as_delivered(self, communique, order, operator):
        sent = receipt(communique, order)
        for url in (LIST, story_url(sent)):
            assert "delivered" not in text(operator.get(url)).replace("Whether it was delivered is not known", "")

    def test_the_story_is_an_ordered_list_of_what_happened(self, communique, order, operator):
        sent = receipt(communique, order, Retry("451 4.7.1", detail="greylisted"))
        page = operator.get(story_url(sent))
        said = text(page)
        assert "shop.order_receipt for Ada Lovelace" in said
        moments = re.findall(r'<li class="communique-moment', page.content.decode())
        assert len(moments) == 5
        order_of_words = ["was published", "Planned for", "frozen", "Try 1 by", "greylisted", "Next try at"]
        assert sorted(order_of_words, key=said.index) == order_of_words
        assert "Times are in UTC." in said

    def test_the_story_leads_to_its_event_and_back(self, communique, order, operator):
        sent = receipt(communique, order)
        event_url = reverse("admin:communique_eventrecord_change", args=[sent.event_id])
        assert event_url in operator.get(story_url(sent)).content.decode()
        assert story_url(sent) in operator.get(event_url).content.decode()

    def test_an_event_tells_what_its_handlers_made_of_it(self, communique, order, operator):
        sent = receipt(communique, order)
        said = text(operator.get(reverse("admin:communique_eventrecord_change", args=[sent.event_id])))
        assert "Reactions done shop.update_stats 1 try" in said
        assert "Payload order { &quot;shop.order&quot;:" in said

    def test_an_event_with_more_recipients_than_its_page_shows_links_to_the_others(
        self, communique, customer, operator, monkeypatch
    ):
        monkeypatch.setattr("communique.admin.events.SHOWN", 2)
        handle = PasswordReset(customer=customer).send(to=[f"{number}@shop.example" for number in range(3)])
        communique.run()
        event = EventRecord.objects.get(uid=handle.uid)
        page = operator.get(reverse("admin:communique_eventrecord_change", args=[event.pk]))
        assert "All communications of this event" in text(page)
        assert len(operator.get(f"{LIST}?q={event.uid}").context["cl"].result_list) == 3

    def test_what_does_not_exist_is_not_found(self, communique, order, operator):
        sent = receipt(communique, order)
        missing = sent.pk + 1
        assert operator.get(f"{LIST}{missing}/change/").status_code == 302  # with a message, as everywhere in the admin
        assert operator.get(f"{LIST}{missing}/content/email/").status_code == 404
        assert operator.get(f"{LIST}{sent.pk}/content/sms/html/").status_code == 404

    def test_pages_bring_no_inline_script_or_style(self, communique, order, operator):
        sent = receipt(communique, order)
        for url in (story_url(sent), content_url(sent)):
            main = operator.get(url).content.decode().partition('id="content-main"')[2].partition("<footer")[0]
            assert not re.search(r"<script|<style|\sstyle=|\son\w+=", main)
            assert "://" not in re.sub(r"<(pre|dd).*?</\1>", "", main, flags=re.S)


class TestContent:
    def test_subject_headers_and_text_are_shown(self, communique, order, operator):
        page = operator.get(content_url(receipt(communique, order)))
        mail = communique.sent[-1].content
        for words in (mail.subject, mail.from_email, *mail.reply_to):
            assert escape(words) in page.content.decode()
        assert f'<pre class="communique-text">{escape(mail.text)}</pre>' in page.content.decode()

    def test_html_is_framed_in_a_sandbox_that_allows_nothing(self, communique, order, operator):
        sent = receipt(communique, order)
        frame = re.search(r"<iframe[^>]*>", operator.get(content_url(sent)).content.decode())[0]
        assert 'sandbox=""' in frame
        assert f'src="{content_url(sent, "html")}"' in frame

    def test_html_comes_with_the_headers_that_disarm_it(self, communique, order, operator):
        response = operator.get(content_url(receipt(communique, order), "html"))
        assert response["Content-Security-Policy"] == (
            "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'"
        )
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["Referrer-Policy"] == "no-referrer"
        assert response["X-Frame-Options"] == "SAMEORIGIN"
        assert "no-store" in response["Cache-Control"]
        assert response["Content-Type"] == "text/html; charset=utf-8"

    def test_html_is_what_was_sent_but_for_where_its_links_open(self, communique, order, operator):
        response = operator.get(content_url(receipt(communique, order), "html"))
        shown, sent = response.content.decode(), communique.sent[-1].content.html
        assert shown.replace('<base target="_blank">', "", 1) == sent
        assert shown.lower().startswith("<!doctype html>")

    def test_a_mail_without_html_has_no_frame(self, communique, customer, operator, settings, tmp_path):
        folder = tmp_path / "shop/messages/password_reset"
        folder.mkdir(parents=True)
        (folder / "email.html").write_text("")
        settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [str(tmp_path)]}]
        PasswordReset(customer=customer).send(to=customer)
        communique.run()
        sent = Communication.objects.get()
        assert "<iframe" not in operator.get(content_url(sent)).content.decode()
        assert operator.get(content_url(sent, "html")).status_code == 404

    def test_what_was_never_rendered_offers_nothing_to_read(self, communique, order, operator):
        Customer.objects.filter(pk=order.customer.pk).update(email="")
        assert "What was sent" not in text(operator.get(story_url(receipt(communique, order))))


@pytest.mark.urls(__name__)
def test_another_admin_site_may_show_the_stories_and_leave_out_the_events(communique, order, operator):
    sent = receipt(communique, order)
    page = operator.get(f"/back-office/communique/communication/{sent.pk}/change/")
    assert "shop.order_placed" in text(page)
    assert "eventrecord" not in page.content.decode()
    content = f"/back-office/communique/communication/{sent.pk}/content/email/"
    assert content in page.content.decode()
    assert f'src="{content}html/"' in operator.get(content).content.decode()


back_office = AdminSite(name="back-office")
back_office.register(Communication, admin.CommunicationAdmin)
urlpatterns = [path("back-office/", back_office.urls), *urls.urlpatterns]
