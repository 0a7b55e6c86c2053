"""Recipients: which addresses are taken, how they are written, who is who, and how they are stored and read back."""

import pytest
from django.contrib.auth.models import AnonymousUser
from django.utils.functional import SimpleLazyObject
from hypothesis import given
from hypothesis import strategies as st

from communique import InvalidAddress, Recipient
from communique.exceptions import SubjectDeleted
from communique.recipients import all_of, load_many, normalise_email
from shop.models import Customer

once = pytest.mark.once

TAKEN = {
    "ada@shop.example": "ada@shop.example",
    "Ada.Lovelace+shop@Shop.Example": "Ada.Lovelace+shop@Shop.Example",  # the local part is the receiver's to read
    "o'brien@shop.example": "o'brien@shop.example",
    "ada@localhost": "ada@localhost",
    "ada@[192.0.2.1]": "ada@[192.0.2.1]",
    '"a@b"@shop.example': '"a@b"@shop.example',  # a quoted local part may hold an @
    # IDNA 2008; IDNA 2003 would write to fass.example, which is somebody else.
    "ada@faß.example": "ada@xn--fa-hia.example",
    "ada@FAẞ.example": "ada@xn--fa-hia.example",
    "ada@xn--fa-hia.example": "ada@xn--fa-hia.example",
    "ada@kaffee-köln.example": "ada@xn--kaffee-kln-lcb.example",
    "ada@例え.example": "ada@xn--r8jz45g.example",
    "ada@shop。example": "ada@shop.example",  # the full stop of a Japanese keyboard
}
REFUSED = [
    "",
    "ada",
    "@",
    "ada@",
    "@shop.example",
    "ada@shop",
    "ada@shop..example",
    "ada@-shop.example",
    "ada@shop.example.",
    ".ada@shop.example",
    "a..da@shop.example",
    "ada@lovelace@shop.example",
    "ada@shop.example, eve@evil.example",
    "ada@shop.example;eve@evil.example",
    "Ada <ada@shop.example>",
    "<ada@shop.example>",
    "mailto:ada@shop.example?bcc=eve@evil.example",
    # White space and control characters, anywhere.
    " ada@shop.example",
    "ada@shop.example ",
    "ada lovelace@shop.example",
    '"ada lovelace"@shop.example',
    "ada@shop .example",
    "ada@shop.example\n",
    "ada@shop.example\r\nBcc: eve@evil.example",
    '"ada\r\nRCPT TO:<eve@evil.example>"@shop.example',
    "ada\x00@shop.example",
    "ada@shop.example\x00",
    "ada\x7f@shop.example",
    "ada@shop\x85.example",
    # Invisible: zero-width, bidirectional overrides, byte order mark.
    "ada\u200b@shop.example",
    "ada@shop\u200b.example",
    "ada@shop\u200d.example",
    "ada@\u202eelpmaxe.pohs",
    "ada@shop\u2066.example",
    "ada@shop\u2028.example",
    "\ufeffada@shop.example",
    # Not ASCII before the @: no server that we could ask first takes it.
    "ädä@shop.example",
    "аda@shop.example",  # noqa: RUF001 - the first letter is Cyrillic, and that is the point
    # Domains that no name server can know.
    "ada@☃.example",
    "ada@xn--.example",
    "ada@b＠c.example",  # noqa: RUF001 - a full-width @ becomes an @ when it is normalised
    f"ada@{'x' * 64}.example",
    f"ada@{'ü' * 64}.example",
    f"{'x' * 320}@shop.example",
    "ada@\ud800.example",
]


@once
class TestAddresses:
    @pytest.mark.parametrize(("given", "written"), TAKEN.items())
    def test_a_good_one_is_taken_and_its_domain_written_in_ascii(self, given, written):
        assert normalise_email(given) == written
        assert Recipient(email=given).email == written

    @pytest.mark.parametrize("given", TAKEN)
    def test_writing_it_twice_changes_nothing(self, given):
        written = normalise_email(given)
        assert normalise_email(written) == written

    @pytest.mark.parametrize("given", REFUSED, ids=ascii)
    def test_a_bad_one_is_refused_without_being_repeated(self, given):
        with pytest.raises(InvalidAddress) as caught:
            normalise_email(given)
        said = str(caught.value)
        assert not given or given not in said
        assert "shop" not in said
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None

    def test_what_is_not_supported_is_not_called_malformed(self):
        with pytest.raises(InvalidAddress, match="before the @ are not supported"):
            normalise_email("ädä@shop.example")

    @pytest.mark.parametrize("given", [given for given in REFUSED if given], ids=ascii)
    def test_a_recipient_with_a_bad_one_is_refused(self, given):
        with pytest.raises(InvalidAddress):
            Recipient(email=given)

    @given(st.text())
    def test_whatever_is_given_is_taken_or_refused(self, given):
        for address in (given, f"{given}@shop.example", f"ada@{given}", f"ada@{given}.example"):
            try:
                written = normalise_email(address)
            except InvalidAddress:
                continue
            assert written.isascii()
            assert written.isprintable()
            assert " " not in written


@once
class TestWhoIsTaken:
    def test_a_recipient_is_taken_as_it_is(self):
        recipient = Recipient(phone="+44 20 7946 0000", name="Ada")
        assert Recipient.of(recipient) is recipient

    def test_a_text_is_a_mail_address(self):
        assert Recipient.of("ada@shop.example") == Recipient(email="ada@shop.example")

    def test_a_user_brings_everything_that_is_known(self):
        user = Customer(
            pk=7,
            username="ada",
            first_name="Ada",
            last_name="Lovelace",
            email="ada@shop.example",
            phone="+44 1",
            language="de",
            timezone="Europe/London",
        )
        recipient = Recipient.of(user)
        assert recipient == Recipient(
            email="ada@shop.example", phone="+44 1", name="Ada Lovelace", language="de", timezone="Europe/London"
        )
        assert recipient.user is user

    def test_a_user_without_a_name_goes_by_the_username(self):
        assert Recipient.of(Customer(pk=7, username="ada")).name == "ada"

    def test_a_user_needs_no_address_and_may_have_a_bad_one(self):
        assert Recipient.of(Customer(pk=7)).email == ""
        assert Recipient.of(Customer(pk=7, email="nonsense")).email == "nonsense"  # planning skips the channel

    def test_the_visitor_of_a_request_is_a_user(self):
        user = SimpleLazyObject(lambda: Customer(pk=7, email="ada@shop.example"))
        assert Recipient.of(user).key == "user:7"

    @pytest.mark.parametrize("value", [None, 7, b"ada@shop.example", ["ada@shop.example"], AnonymousUser(), object])
    def test_anything_else_is_refused_by_its_type(self, value):
        with pytest.raises(TypeError, match=f"not {type(value).__name__}"):
            Recipient.of(value)

    def test_somebody_needs_an_address(self):
        with pytest.raises(InvalidAddress, match=r"email=.* or phone="):
            Recipient(name="Ada")

    def test_an_address_belongs_to_a_channel(self):
        recipient = Recipient(email="ada@shop.example", phone="+44 1")
        assert [recipient.address(channel) for channel in ("email", "sms", "pigeon")] == [
            "ada@shop.example",
            "+44 1",
            "",
        ]


@once
class TestAllOf:
    def test_nobody_is_nobody(self):
        assert all_of(None) == all_of([]) == []

    @pytest.mark.parametrize("given", ["ada@shop.example", Recipient(email="ada@shop.example"), Customer(pk=7)])
    def test_one_is_one(self, given):
        assert all_of(given) == [Recipient.of(given)]

    @pytest.mark.parametrize("kind", [list, tuple, iter, dict.fromkeys, lambda items: (item for item in items)])
    def test_several_come_in_order_from_any_iterable(self, kind):
        given = ["a@shop.example", "b@shop.example", "c@shop.example"]
        assert [recipient.email for recipient in all_of(kind(given))] == given

    def test_no_one_comes_twice(self):
        same = ["ada@shop.example", "Ada@Shop.Example", Recipient(email="ada@shop.example", name="Ada")]
        assert len(all_of(same)) == 1
        assert len(all_of([Customer(pk=7, username="a"), Customer(pk=7, username="b"), Customer(pk=8)])) == 2

    def test_lists_in_lists_are_refused(self):
        with pytest.raises(TypeError, match="not list"):
            all_of([["ada@shop.example"]])

    def test_one_bad_address_spoils_the_call(self):
        with pytest.raises(InvalidAddress):
            all_of(["ada@shop.example", "nonsense"])


@once
class TestKeys:
    def test_a_user_is_known_by_the_primary_key_whatever_the_address(self):
        before, after = Customer(pk=7, email="old@shop.example"), Customer(pk=7, email="new@shop.example")
        assert Recipient.of(before).key == Recipient.of(after).key == "user:7"

    def test_anybody_else_is_known_by_the_addresses_and_nothing_else(self):
        key = Recipient(email="ada@shop.example").key
        assert Recipient(email="ADA@shop.example", name="Ada", language="de").key == key
        assert Recipient(email="ada@shop.example", phone="+44 1").key != key
        assert Recipient(email="bob@shop.example").key != key
        assert Recipient(phone="+44 1").key != Recipient(phone="+44 2").key

    @pytest.mark.parametrize(
        "recipient",
        [
            Recipient(email="ada@shop.example", phone="+442079460000", name="Ada"),
            Recipient.of(Customer(pk=7, username="ada", email="ada@shop.example", phone="+442079460000")),
        ],
    )
    def test_a_key_carries_no_address_and_fits_its_column(self, recipient):
        assert not any(part in recipient.key for part in ("ada", "Ada", "shop.example", "442079460000", "@"))
        assert len(recipient.key) <= 100


class TestStoring:
    @once
    def test_a_user_is_stored_by_primary_key_only(self):
        user = Customer(pk=7, username="ada", email="ada@shop.example")
        assert Recipient.of(user).dump() == {"user": "7"}

    @once
    def test_anybody_else_is_stored_by_what_is_known(self):
        recipient = Recipient(email="ada@shop.example", name="Ada", language="de")
        assert recipient.dump() == {"email": "ada@shop.example", "name": "Ada", "language": "de"}

    @once
    def test_who_is_no_user_is_read_back_without_asking_the_database(self):
        known = [Recipient(email="ada@shop.example", name="Ada", timezone="Europe/London"), Recipient(phone="+44 1")]
        assert load_many([recipient.dump() for recipient in known], using="default") == known

    def test_users_are_read_back_in_one_query(self, db, django_assert_num_queries):
        users = Customer.objects.bulk_create(Customer(username=f"u{n}", email=f"u{n}@shop.example") for n in range(50))
        users = list(Customer.objects.order_by("username"))
        dumps = [Recipient.of(user).dump() for user in users]
        with django_assert_num_queries(1):
            loaded = load_many([*dumps, {"email": "ada@shop.example"}, dumps[0]], using="default")
        assert [recipient.user for recipient in loaded[:50]] == users
        assert [recipient.email for recipient in loaded[50:]] == ["ada@shop.example", users[0].email]

    def test_a_user_is_read_back_as_they_are_now(self, customer):
        dump = Recipient.of(customer).dump()
        Customer.objects.update(email="new@shop.example", language="fr")
        (loaded,) = load_many([dump], using="default")
        assert (loaded.email, loaded.language) == ("new@shop.example", "fr")

    def test_a_deleted_user_comes_back_as_the_error_and_spoils_no_other(self, customer):
        dumps = [{"user": "987654321"}, Recipient.of(customer).dump()]
        deleted, found = load_many(dumps, using="default")
        assert isinstance(deleted, SubjectDeleted)
        assert "987654321" not in str(deleted)
        assert found.user == customer

    def test_a_user_whom_the_default_manager_hides_is_not_deleted(self, customer, monkeypatch):
        monkeypatch.setattr(Customer._meta, "default_manager", Customer.objects.none())
        (found,) = load_many([Recipient.of(customer).dump()], using="default")
        assert found.user == customer

    @once
    def test_what_a_later_release_stored_besides_is_ignored(self):
        dump = {"email": "ada@shop.example", "fax": "+44 1"}
        assert load_many([dump], using="default") == [Recipient(email="ada@shop.example")]

    @once
    def test_nobody_is_read_back_as_nobody(self):
        assert load_many([], using="default") == []


def test_a_stored_address_that_was_valid_by_other_rules_is_an_error_in_its_place(customer):
    good = {"user": str(customer.pk)}
    loaded = load_many([{"email": "jörg@shop.example"}, good, {"user": "no number"}], using="default")
    assert [type(one).__name__ for one in loaded] == ["InvalidPayload", "Recipient", "SubjectDeleted"]
