"""Turns stored payloads back into values, with one query for each model that any of them refers to."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from django import db

from ..exceptions import InvalidPayload, SubjectDeleted, where
from .base import Payload, schema_of
from .references import Rows

Given = TypeVar("Given")
Made = TypeVar("Made")


def load_many(items: Sequence[tuple[type[Payload], Mapping[str, Any]]], *, using: str) -> list[Payload | Exception]:
    """Read a batch of stored payloads; results come in the order of the items.

    One bad item does not spoil the others: in its place comes SubjectDeleted if a row that it refers to is gone, or
    InvalidPayload if its class cannot read it. Items that refer to the same row share one instance of it, so what is
    prefetched for one is there for all. ``using`` is the alias of the database to read from::

        load_many([(OrderPlaced, {"order": {"shop.order": 7}, "total": "12.00"})], using="default")

    Raises what the database raises.
    """
    rows = Rows(using)
    texts = [_tried(_note, cls, payload, rows) for cls, payload in items]
    rows.fetch()
    return [_tried(_make, cls, text, rows) for (cls, _), text in zip(items, texts, strict=True)]


def _note(cls: type[Payload], payload: Mapping[str, Any], rows: Rows) -> bytes:
    text = schema_of(cls).encode(cls.upgrade(dict(payload)))
    schema_of(cls).read(text, rows)
    return text


def _make(cls: type[Payload], text: bytes, rows: Rows) -> Payload:
    return cls(**schema_of(cls).read(text, rows))


def _tried(
    step: Callable[[type[Payload], Given, Rows], Made], cls: type[Payload], given: Given | Exception, rows: Rows
) -> Made | Exception:
    if isinstance(given, Exception):
        return given
    try:
        return step(cls, given, rows)
    except (InvalidPayload, SubjectDeleted) as error:
        return error
    except db.Error:  # not the fault of this item: it may be read once the database is well again
        raise
    except Exception as error:
        return InvalidPayload(f"{cls.__qualname__}: {where(error)}")
