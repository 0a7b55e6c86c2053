"""Payloads: what a class body means, what is checked when, what is stored, and what comes back."""

import copy
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_origin

import pytest
from django import db
from django.core.exceptions import ValidationError
from django.db import connection, models
from django.test.utils import isolate_apps
from django.utils.functional import SimpleLazyObject
from hypothesis import given
from hypothesis import strategies as st

from communique.exceptions import InvalidPayload, SubjectDeleted, UnsavedInstance
from communique.payloads import Payload, load_many, prepare, references
from shop.models import Customer, Order, Product

if TYPE_CHECKING:
    from shop.models import DailySales

SECRET = "ada@customers.example"


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1


@dataclass(frozen=True)
class Price:
    amount: Decimal
    currency: str = "EUR"


@dataclass
class Line:
    order: Order
    price: float
    day: date = date(2026, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gift:
    note: str
    line: Line | None = None


@dataclass(frozen=True)
class Card:
    kind: Literal["card"]
    number: str


@dataclass(frozen=True)
class Voucher:
    kind: Literal["voucher"]
    number: str


class Placed(Payload):
    order: Order
    total: Decimal


class Told(Payload):
    text: str
    count: int = 0
    tags: list[str] = field(default_factory=list)


class Much(Payload):
    """Nearly everything that needs no database."""

    flag: bool
    number: int
    ratio: float
    text: str
    money: Decimal
    moment: datetime
    day: date
    hour: time
    span: timedelta
    uid: uuid.UUID
    colour: Colour
    level: Level
    choice: Literal["a", "b"]
    words: list[str]
    pair: tuple[int, str]
    many: tuple[date, ...]
    marks: frozenset[Decimal]
    by_name: dict[str, timedelta]
    by_day: dict[date, int]
    perhaps: datetime | None
    either: int | Decimal | bool | None
    text_or_number: str | int | float
    price: Price
    paid: Card | Voucher
    anything: Any


AWARE = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
MONEY = st.decimals(allow_nan=False, allow_infinity=False)
SPAN = st.timedeltas(timedelta(days=-90_000), timedelta(days=90_000))
MUCH = st.builds(
    Much,
    flag=st.booleans(),
    number=st.integers(),
    ratio=st.floats(allow_nan=False, allow_infinity=False),
    text=TEXT,
    money=MONEY,
    moment=AWARE,
    day=st.dates(),
    hour=st.times(),
    span=SPAN,
    uid=st.uuids(),
    colour=st.sampled_from(Colour),
    level=st.sampled_from(Level),
    choice=st.sampled_from(["a", "b"]),
    words=st.lists(TEXT),
    pair=st.tuples(st.integers(), TEXT),
    many=st.lists(st.dates()).map(tuple),
    marks=st.frozensets(MONEY),
    by_name=st.dictionaries(TEXT, SPAN),
    by_day=st.dictionaries(st.dates(), st.integers()),
    perhaps=st.none() | AWARE,
    either=st.none() | st.integers() | MONEY | st.booleans(),
    text_or_number=TEXT | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    price=st.builds(Price, amount=MONEY, currency=TEXT),
    paid=st.builds(Card, kind=st.just("card"), number=TEXT) | st.builds(Voucher, kind=st.just("voucher"), number=TEXT),
    anything=st.none() | st.lists(TEXT) | st.dictionaries(TEXT, st.integers()),
)


def stored(payload: Payload) -> Any:
    """As a database hands it back."""
    return json.loads(json.dumps(payload.dump()))


def load(cls: type[Payload], payload: Any) -> Any:
    (loaded,) = load_many([(cls, payload)], using="default")
    return loaded


def order_of(name: str = "ada") -> Order:
    return Order.objects.create(customer=Customer.objects.create(username=name))


# What a class body means


def test_annotated_names_are_fields_and_others_are_not() -> None:
    class Sample(Payload):
        helper = 5
        limit: ClassVar[int] = 3
        text: str

    assert vars(Sample(text="x")) == {"text": "x"}


def test_fields_are_inherited_and_may_get_a_default() -> None:
    class Child(Told):
        text: str = "hello"
        extra: int = 1

    assert Child(extra=2).dump() == {"text": "hello", "count": 0, "tags": [], "extra": 2}


def test_key_and_abstract_are_not_inherited() -> None:
    class Parent(Payload):
        key = "tests.parent"
        abstract = True

    class Child(Parent): ...

    assert (Child.key, Child.abstract) == ("", False)


@pytest.mark.parametrize("name", ["key", "abstract", "dump", "upgrade", "_schema"])
def test_annotating_an_option_or_a_method_is_refused_with_the_way_out(name: str) -> None:
    with pytest.raises(TypeError, match=f"Sample.{name}: `{name}` belongs to Payload and cannot be a field; to set it"):
        type("Sample", (Payload,), {"__annotations__": {name: str}, name: "x"})


def test_annotating_what_a_base_of_the_host_defines_is_refused() -> None:
    class Base(Payload):
        abstract = True
        limit: ClassVar[int]

        def label(self) -> str:
            return ""

    for name in ("limit", "label"):
        with pytest.raises(TypeError, match=f"`{name}` belongs to Base"):
            type("Sample", (Base,), {"__annotations__": {name: "str"}})


def test_setting_a_field_without_annotation_is_refused() -> None:
    with pytest.raises(TypeError, match="`text` is a field of Told; to give it a default, annotate it again"):
        type("Child", (Told,), {"text": "hello"})


def test_a_class_without_docstring_has_none() -> None:
    assert Placed.__doc__ is None


# What is checked when an instance is made


def test_instances_are_frozen_equal_and_copyable() -> None:
    told = Told(text="x")
    with pytest.raises(FrozenInstanceError):
        told.text = "y"  # type: ignore[misc]
    assert told == Told(text="x") == copy.deepcopy(told) != Told(text="y")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({}, r"Told.__init__\(\) missing 1 required keyword-only argument: 'text'"),
        ({"text": "x", "txet": SECRET}, r"Told.__init__\(\) got an unexpected keyword argument 'txet'"),
        ({"text": 5}, r"Told\(\): `text` is declared str and was given int"),
        ({"text": "x", "count": SECRET}, r"Told\(\): `count` is declared int and was given str"),
        ({"text": "x", "count": True}, r"`count` is declared int and was given bool"),
        ({"text": "x", "count": 1.0}, r"`count` is declared int and was given float"),
        ({"text": "x", "tags": (SECRET,)}, r"`tags` is declared list\[str\] and was given tuple"),
        ({"text": "x", "tags": [5]}, r"`tags` is declared list\[str\] .*valid string"),
        ({"text": 5, "count": "5"}, r"`text` is .*; `count` is "),
    ],
)
def test_a_wrong_argument_is_told_at_the_call_without_its_value(arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(TypeError, match=complaint) as caught:
        Told(**arguments)
    assert SECRET not in str(caught.value)


def test_keys_of_a_dict_are_values_too() -> None:
    class Sample(Payload):
        prices: dict[str, int]

    with pytest.raises(TypeError, match="`prices`") as caught:
        Sample(prices={SECRET: "x"})  # type: ignore[dict-item]
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        (date, datetime.now(UTC)),
        (datetime, date(2026, 1, 1)),
        (Decimal, 5),
        (Decimal, Decimal("NaN")),
        (float, float("inf")),
        (float, "1.0"),
        (uuid.UUID, "c61a1d5c-4b0f-4d3b-8f0e-7d0c0c2f1a11"),
        (Colour, "red"),
        (Literal["a", "b"], "c"),
        (Price, {"amount": Decimal(1)}),
        (Price, Price(amount="1")),  # type: ignore[arg-type]
        (Order, Customer()),
        (Order, 1),
        (Order, None),
        (list[Order], [Customer()]),
        (Order | Customer, Product()),
        (dict[str, list[int]], {"a": ["1"]}),
    ],
)
def test_nothing_is_converted_on_the_way_in(declared: Any, value: Any) -> None:
    sample = type("Sample", (Payload,), {"__annotations__": {"value": declared}})
    with pytest.raises(TypeError, match="`value` is declared"):
        sample(value=value)


def test_what_is_kept_is_a_copy() -> None:
    tags = ["a"]
    told = Told(text="x", tags=tags)
    tags.append("b")
    assert told.tags == ["a"]


def test_a_lazy_user_of_a_request_is_a_user() -> None:
    class Sample(Payload):
        customer: Customer

    customer = Customer(pk=7)
    customer._state.adding = False
    lazy = SimpleLazyObject(lambda: customer)
    assert Sample(customer=lazy).dump() == {"customer": {"shop.customer": 7}}  # type: ignore[arg-type]


def test_own_invariants_are_kept_beside_the_check() -> None:
    class Sample(Payload):
        count: int

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.count < 0:
                raise ValueError("count is negative")

    with pytest.raises(ValueError, match="count is negative"):
        Sample(count=-1)
    assert isinstance(load(Sample, {"count": -1}), InvalidPayload)


def test_models_imported_for_type_checkers_only_are_found_by_name() -> None:
    class Sample(Payload):
        sales: "DailySales | None" = None

    assert Sample().dump() == {"sales": None}
    with pytest.raises(TypeError, match="`sales`"):
        Sample(sales=Order())  # type: ignore[arg-type]


def test_a_name_that_is_nowhere_is_told_with_the_way_out() -> None:
    class Sample(Payload):
        text: "Nowhere"  # type: ignore[name-defined] # noqa: F821

    with pytest.raises(TypeError, match=r"Sample\.text: cannot find 'Nowhere' in tests\.test_payloads.*import it"):
        Sample(text="x")


def test_what_the_module_means_comes_before_a_model_of_the_same_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "Product", Colour)

    class Sample(Payload):
        product: "Product"

    assert Sample(product=Colour.RED).dump() == {"product": "red"}  # type: ignore[arg-type]


def test_a_default_does_not_hide_the_type_of_the_same_name() -> None:
    class Sample(Payload):
        date: "date | None" = None

    assert Sample(date=date(2026, 1, 1)).dump() == {"date": "2026-01-01"}


@pytest.mark.parametrize(
    "union",
    [
        Decimal | str,
        date | datetime,
        Colour | str,
        Level | int,
        list[int] | tuple[int, ...],
        list[int] | list[str],
        dict[str, int] | Price,
        Price | Line | dict[str, str],
        Literal["a"] | Colour,
        list[uuid.UUID | str],
    ],
)
def test_a_union_whose_members_look_alike_once_stored_is_refused(union: Any) -> None:
    sample = type("Sample", (Payload,), {"__annotations__": {"value": union}})
    with pytest.raises(TypeError, match=r"Sample\.value: .* cannot be told apart once stored"):
        prepare(sample)


def test_what_cannot_be_stored_is_refused() -> None:
    class Sample(Payload):
        value: SimpleNamespace

    with pytest.raises(TypeError, match=r"Sample\.value: types\.SimpleNamespace cannot be stored"):
        prepare(Sample)


def test_a_dataclass_that_contains_itself_is_refused() -> None:
    class Sample(Payload):
        tree: "Tree"

    with pytest.raises(TypeError, match=r"Tree\.branches: Tree contains itself"):
        prepare(Sample)


@dataclass
class Tree:
    branches: "list[Tree]"


def test_pydantic_is_not_imported_with_communique() -> None:
    code = "import sys, django; django.setup(); import communique; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent.parent).returncode == 0


# What is stored


@given(MUCH)
def test_every_type_comes_back_as_it_was(much: Much) -> None:
    loaded = load(Much, stored(much))
    assert loaded == much
    assert [type(value) for value in vars(loaded).values()] == [type(value) for value in vars(much).values()]


def test_what_json_cannot_hold_is_told_without_its_value() -> None:
    class Sample(Payload):
        value: Any

    with pytest.raises(TypeError, match="Sample: a field holds something that cannot be stored") as caught:
        Sample(value={SECRET: object()}).dump()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "declared", [Order, Order | None, Order | str, str | Order, list[Order], dict[str, Order | int]]
)
def test_an_unsaved_instance_is_told_with_its_field_and_the_fix(declared: Any) -> None:
    sample = type("Sample", (Payload,), {"__annotations__": {"about": declared}})
    unsaved = Order(pk=5)
    inside: dict[Any, Any] = {list: [unsaved], dict: {"a": unsaved}}
    with pytest.raises(UnsavedInstance, match=r"Sample\.about: this Order has no row .* call save\(\)"):
        sample(about=inside.get(get_origin(declared), unsaved)).dump()


@pytest.mark.django_db
def test_an_instance_that_was_deleted_is_not_stored() -> None:
    order = order_of()
    order.delete()
    with pytest.raises(UnsavedInstance):
        Placed(order=order, total=Decimal(1)).dump()


# What comes back


@pytest.mark.django_db
def test_models_are_stored_as_references_and_come_back_as_instances() -> None:
    placed = Placed(order=order_of(), total=Decimal("12.50"))
    assert stored(placed) == {"order": {"shop.order": placed.order.pk}, "total": "12.50"}
    assert load(Placed, stored(placed)) == placed


@pytest.mark.django_db
def test_references_may_stand_anywhere_and_tell_models_apart() -> None:
    class Sample(Payload):
        about: Order | Customer | None
        also: models.Model
        lines: list[Line]
        gift: Gift | int
        named: dict[str, Order | str]

    order = order_of()
    line = Line(order=order, price=3)
    sample = Sample(
        about=order.customer,
        also=order,
        lines=[line],
        gift=Gift(note="x", line=line),
        named={"a": order, "b": "text"},
    )
    loaded = load(Sample, stored(sample))
    assert loaded == sample
    assert type(loaded.lines[0].price) is float


@pytest.mark.django_db
def test_a_batch_costs_one_query_for_each_model(django_assert_num_queries: Any) -> None:
    class Sample(Payload):
        customer: Customer
        order: Order | None = None

    orders = [order_of(name) for name in "abc"]
    items = [(Placed, stored(Placed(order=order, total=Decimal(1)))) for order in orders]
    more = [(Sample, stored(Sample(customer=order.customer, order=order))) for order in orders]
    with django_assert_num_queries(2):
        loaded = load_many([*items, *more, *items], using="default")
    assert [type(one) for one in loaded] == [Placed] * 3 + [Sample] * 3 + [Placed] * 3
    assert loaded[0].order is loaded[3].order is loaded[6].order  # type: ignore[union-attr]


def test_no_references_cost_no_query() -> None:
    assert load_many([(Told, {"text": "x"})], using="default") == [Told(text="x")]
    assert load_many([], using="default") == []


@pytest.mark.django_db
def test_one_bad_item_spoils_no_other() -> None:
    order = order_of()
    good = stored(Placed(order=order, total=Decimal(1)))
    gone = {"order": {"shop.order": order.pk + 1}, "total": "1"}
    loaded = load_many([(Placed, good), (Placed, gone), (Placed, {}), (Placed, good)], using="default")
    assert [type(one) for one in loaded] == [Placed, SubjectDeleted, InvalidPayload, Placed]


@pytest.mark.parametrize(
    "reference",
    [
        {"shop.customer": 1},
        {"shop.nothing": 1},
        {SECRET: 1},
        {"shop.order": SECRET},
        {"shop.order": None},
        {"shop.order": 10**30},
        {"shop.order": [1]},
        {"shop.order": 1, "shop.customer": 1},
        {},
        7,
        None,
    ],
)
def test_an_impossible_reference_is_an_invalid_payload_and_repeats_no_value(reference: Any) -> None:
    loaded = load(Placed, {"order": reference, "total": "1"})
    assert isinstance(loaded, InvalidPayload)
    assert "`order`" in str(loaded)
    assert SECRET not in str(loaded)


@pytest.mark.parametrize("payload", [None, 5, "text", [SECRET], {"text": None}, {"text": "x", "count": SECRET}])
def test_what_cannot_be_read_is_an_invalid_payload_and_repeats_no_value(payload: Any) -> None:
    loaded = load(Told, payload)
    assert isinstance(loaded, InvalidPayload)
    assert SECRET not in str(loaded)


def test_text_is_never_taken_for_a_number() -> None:
    assert isinstance(load(Told, {"text": "x", "count": "5"}), InvalidPayload)


@pytest.mark.django_db
def test_the_base_manager_is_asked_so_that_hidden_rows_are_not_deleted_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    placed = Placed(order=order_of(), total=Decimal(1))

    monkeypatch.setattr(Order._default_manager, "get_queryset", lambda: models.QuerySet(Order).none())
    assert not Order._default_manager.exists()
    assert load(Placed, stored(placed)) == placed


# What an older or newer release stored


def test_extra_keys_are_ignored_and_missing_ones_take_defaults() -> None:
    assert load(Told, {"text": "x", "later": 1}) == Told(text="x")


def test_upgrade_mends_an_old_payload_and_leaves_the_stored_one_alone() -> None:
    class Sample(Payload):
        total: Decimal

        @classmethod
        def upgrade(cls, payload: dict[str, Any]) -> dict[str, Any]:
            if "amount" in payload:
                payload["total"] = Decimal(payload.pop("amount")) / 100
            return payload

    old = {"amount": 1250}
    assert load(Sample, old) == load(Sample, {"total": "12.5"}) == Sample(total=Decimal("12.5"))
    assert old == {"amount": 1250}


def test_a_failing_upgrade_is_named_by_its_place_not_by_its_message() -> None:
    class Sample(Payload):
        text: str

        @classmethod
        def upgrade(cls, payload: dict[str, Any]) -> dict[str, Any]:
            raise ValidationError(payload["text"])

    loaded = load(Sample, {"text": SECRET})
    assert isinstance(loaded, InvalidPayload)
    assert "ValidationError at" in str(loaded)
    assert SECRET not in str(loaded)


def test_trouble_with_the_database_is_nobodys_invalid_payload() -> None:
    class Sample(Payload):
        text: str

        @classmethod
        def upgrade(cls, payload: dict[str, Any]) -> dict[str, Any]:
            raise db.OperationalError("the database has gone away")

    with pytest.raises(db.OperationalError):
        load(Sample, {"text": "x"})


# Keys of other kinds


@pytest.fixture
def own(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """Models with unusual keys, in a registry and in tables of their own."""
    with isolate_apps("shop") as apps:

        class OfShop(models.Model):
            class Meta:
                abstract = True
                app_label = "shop"

            def __str__(self) -> str:
                return str(self.pk)

        class Document(OfShop):
            id = models.UUIDField(primary_key=True, default=uuid.uuid4)

        class Day(OfShop):
            day = models.DateField(primary_key=True)

        class Seat(OfShop):
            pk = models.CompositePrimaryKey("row", "document")
            row = models.IntegerField()
            document = models.UUIDField(default=uuid.uuid4)

        class Place(OfShop):
            name = models.CharField(max_length=10)

        class Restaurant(Place):
            stars = models.IntegerField(default=0)

            class Meta:
                app_label = "shop"

        class NicePlace(Place):
            class Meta:
                app_label = "shop"
                proxy = True

    monkeypatch.setattr(references, "apps", apps)
    tables = (Document, Day, Seat, Place, Restaurant)
    with connection.schema_editor() as editor:
        for model in tables:
            editor.create_model(model)
    yield SimpleNamespace(**{model.__name__: model for model in (*tables, NicePlace)})
    with connection.schema_editor() as editor:
        for model in reversed(tables):
            editor.delete_model(model)


def payload_of(model: type[models.Model]) -> Any:
    return type("Sample", (Payload,), {"__annotations__": {"about": model}})


def test_uuid_and_date_keys_are_stored_as_text(own: SimpleNamespace) -> None:
    document, day = own.Document.objects.create(), own.Day.objects.create(day=date(2026, 1, 2))
    for instance, key in ((document, {"shop.document": str(document.pk)}), (day, {"shop.day": "2026-01-02"})):
        sample = payload_of(type(instance))(about=instance)
        assert stored(sample) == {"about": key}
        assert load(type(sample), stored(sample)) == sample


def test_a_composite_key_is_stored_as_a_list(own: SimpleNamespace) -> None:
    seat, Seat = own.Seat.objects.create(row=3), payload_of(own.Seat)
    sample = Seat(about=seat)
    assert stored(sample) == {"about": {"shop.seat": [3, str(seat.document)]}}
    assert load(Seat, stored(sample)) == sample
    assert isinstance(load(Seat, {"about": {"shop.seat": [3]}}), InvalidPayload)
    assert isinstance(load(Seat, {"about": {"shop.seat": [4, str(seat.document)]}}), SubjectDeleted)


def test_a_child_comes_back_as_a_child_and_a_proxy_as_a_proxy(own: SimpleNamespace) -> None:
    restaurant = own.Restaurant.objects.create(name="x")
    sample = payload_of(own.Place)(about=restaurant)
    assert stored(sample) == {"about": {"shop.restaurant": restaurant.pk}}
    assert type(load(type(sample), stored(sample)).about) is own.Restaurant

    nice = payload_of(own.NicePlace)(about=own.NicePlace.objects.create(name="y"))
    assert stored(nice) == {"about": {"shop.place": nice.about.pk}}
    assert type(load(type(nice), stored(nice)).about) is own.NicePlace


def test_a_parent_is_not_taken_for_its_child(own: SimpleNamespace) -> None:
    place = own.Place.objects.create(name="x")
    assert isinstance(load(payload_of(own.Restaurant), {"about": {"shop.place": place.pk}}), InvalidPayload)
