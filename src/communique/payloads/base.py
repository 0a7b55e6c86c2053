"""Turns a class body into a frozen, checked value: annotated names are its fields, all other names its options."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

from .annotations import field_names, own_annotations, own_fields

if TYPE_CHECKING:
    from .schemas import Schema


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(dataclasses.field,))
class Payload:
    """Base of events and messages.

    Annotated names are fields; names without annotation are options or helpers::

        class OrderPlaced(Event):
            key = "shop.order_placed"
            order: Order
            total: Decimal = Decimal(0)

        OrderPlaced(order=order)

    Fields are primitives, ``datetime``, ``date``, ``time``, ``timedelta``, ``Decimal``, ``UUID``, enums, lists,
    tuples, sets, dicts, unions, ``X | None``, ``Literal``, Django model instances, and dataclasses of these.

    Instances are frozen, made with keywords only and checked when made: a wrong type, an unknown or a missing
    argument is a TypeError that names class and field and repeats no value. A class that redefines
    ``__post_init__`` calls ``super().__post_init__()`` first. With ``abstract = True`` in its own body, a class only
    passes its fields and options on; it needs no key.
    """

    key: ClassVar[str] = ""
    abstract: ClassVar[bool] = True
    _schema: ClassVar["Schema | None"] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _refuse_mix_ups(cls)
        # Neither is inherited: a subclass stored under its parent's key would be read back as its parent.
        cls.key = cls.__dict__.get("key", "")
        cls.abstract = cls.__dict__.get("abstract", False)
        cls._schema = None
        doc = cls.__doc__
        dataclasses.dataclass(frozen=True, kw_only=True)(cls)
        cls.__doc__ = doc  # dataclass() writes a signature where there was none, and people read this

    def __post_init__(self) -> None:
        # What is kept is the checked copy: changing a list afterwards does not reach into it.
        vars(self).update(schema_of(type(self)).check(vars(self)))

    def dump(self) -> dict[str, Any]:
        """What is stored: JSON-able, a model instance as ``{"shop.order": 7}``.

        Raises UnsavedInstance if a model instance has no row yet, TypeError if a field typed ``Any`` holds
        something that JSON cannot.
        """
        return schema_of(type(self)).dump(vars(self))

    @classmethod
    def upgrade(cls, payload: dict[str, Any]) -> dict[str, Any]:
        """Mend a payload that an older release stored: called with every stored payload, current ones included.

        Extra keys are ignored and missing ones take defaults without it. Example, after a field was renamed::

            @classmethod
            def upgrade(cls, payload):
                if "amount" in payload:
                    payload["total"] = payload.pop("amount")
                return payload
        """
        return payload


def prepare(cls: type[Payload]) -> "Schema":
    """Build what checks and stores this class now, instead of when it is first used (some milliseconds).

    Raises TypeError if an annotation cannot be resolved or cannot be stored.
    """
    from .schemas import Schema  # deferred: pydantic takes longer to import than all of communique

    cls._schema = Schema.of(cls)
    return cls._schema


def schema_of(cls: type[Payload]) -> "Schema":
    return cls._schema or prepare(cls)


def _refuse_mix_ups(cls: type[Payload]) -> None:
    own = own_fields(cls)
    for base in cls.__mro__[1:]:
        if issubclass(base, Payload):
            _refuse_mix_up(cls, own, base)


def _refuse_mix_up(cls: type, own: list[str], base: type[Payload]) -> None:
    fields = set(field_names(base))
    taken = (vars(base).keys() | own_annotations(base).keys()) - fields
    for name in own:
        if name in taken:
            raise TypeError(
                f"{cls.__qualname__}.{name}: `{name}` belongs to {base.__name__} and cannot be a field; to set it, "
                f"write `{name} = ...` without annotation; to have a field, choose another name"
            )
    for name in fields.intersection(vars(cls)).difference(own):
        raise TypeError(
            f"{cls.__qualname__}.{name}: `{name}` is a field of {base.__name__}; to give it a default, annotate it "
            f"again: `{name}: <type> = ...`"
        )


def refuse_fields(cls: type[Payload], reserved: Mapping[str, str]) -> None:
    """Raise TypeError for a field of this class body whose name is reserved; the values say what for."""
    for name in own_fields(cls):
        if name in reserved:
            raise TypeError(f"{cls.__qualname__}.{name}: `{name}` cannot be a field, {reserved[name]}; rename it")


def require_key(cls: type[Payload]) -> None:
    """Raise TypeError for a class whose instances cannot be stored."""
    if cls.abstract:
        raise TypeError(f"{cls.__qualname__} is abstract and cannot be published or sent; use a subclass with a key")
    if not cls.key:
        raise TypeError(f'{cls.__qualname__} has no key: write `key = "app.name"` in its body (a key is not inherited)')
