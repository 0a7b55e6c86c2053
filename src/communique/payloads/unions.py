"""Turns a union into a verdict: can its members be told apart once they are stored as JSON?"""

import dataclasses
from collections.abc import Collection, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from itertools import combinations
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

from .annotations import field_types, required_names

_TEXT = (str, bytes, Decimal, date, time, timedelta, UUID)


def is_union(tp: Any) -> bool:
    return get_origin(tp) in (Union, UnionType)


def refuse_lookalikes(union: Any, place: str) -> None:
    """Raise TypeError if two members look the same in JSON: one would silently be read back as the other."""
    for one, other in combinations(get_args(union), 2):
        if _alike(one, other):
            raise TypeError(
                f"{place}: {_name(one)} and {_name(other)} cannot be told apart once stored; use one of them, "
                f"two fields, or dataclasses that each have a field of their own without default"
            )


def _alike(one: Any, other: Any) -> bool:
    return any(
        look == its_look and not _tells_itself_apart(tp, its_tp)
        for look, tp in _looks(one)
        for its_look, its_tp in _looks(other)
    )


def _looks(tp: Any) -> set[tuple[str, type]]:
    """How values of a type look in JSON, each with the Python type that it has to become again."""
    origin = get_origin(tp)
    if origin is Annotated:
        return _looks(get_args(tp)[0])
    if origin is Literal:
        return {(_look(type(value)), type(value)) for value in get_args(tp)}
    base = origin or tp
    if not isinstance(base, type):
        return set()
    if issubclass(base, Enum):
        return {(_look(type(member.value)), base) for member in base}
    return {(_look(base), base)} if _look(base) else set()


def _look(base: type) -> str:
    """Empty for what says itself what it is, as references to rows do, and for what only pydantic knows."""
    if issubclass(base, bool):
        return "boolean"
    if issubclass(base, int | float):
        return "number"
    if issubclass(base, _TEXT):
        return "text"
    if issubclass(base, Mapping) or dataclasses.is_dataclass(base):
        return "object"
    return "array" if issubclass(base, Collection) else ""


def _tells_itself_apart(one: type, other: type) -> bool:
    if {one, other} == {int, float}:
        return True
    if dataclasses.is_dataclass(one) and dataclasses.is_dataclass(other):
        return _differ(one, other)
    return one is other and _look(one) not in ("array", "object")


def _differ(one: type, other: type) -> bool:
    """Neither can be read as the other: each needs a field that the other lacks, or they share a distinct Literal."""
    types, its_types = field_types(one), field_types(other)
    needs, its_needs = required_names(one) - its_types.keys(), required_names(other) - types.keys()
    return bool(needs and its_needs) or any(
        _disjoint(types[name], its_types[name]) for name in types.keys() & its_types.keys()
    )


def _disjoint(one: Any, other: Any) -> bool:
    literals = get_origin(one) is Literal and get_origin(other) is Literal
    return literals and not set(get_args(one)) & set(get_args(other))


def _name(tp: Any) -> str:
    return tp.__name__ if isinstance(tp, type) and not get_args(tp) else str(tp)
