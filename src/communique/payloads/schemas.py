"""Turns the field types of a class into a pydantic schema that checks, stores and reads its values."""

import dataclasses
import inspect
from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from django.db.models import Model
from pydantic import GetCoreSchemaHandler, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError, PydanticSerializationError, PydanticSerializationUnexpectedValue, to_json
from pydantic_core import core_schema as cs

from ..exceptions import InvalidPayload, UnsavedInstance
from .annotations import field_types, is_required
from .references import Rows, is_saved, reference, resolve
from .unions import is_union, refuse_lookalikes

# A number that JSON has no word for is refused when the event is made, not by the database when it is stored.
_CONFIG = cs.CoreConfig(allow_inf_nan=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Schema:
    """What pydantic knows of one payload class."""

    name: str
    types: Mapping[str, Any]
    adapter: TypeAdapter[Any]

    @classmethod
    def of(cls, payload: type) -> Self:
        """Raises TypeError if an annotation cannot be resolved or cannot be stored."""
        adapter: TypeAdapter[Any] = TypeAdapter(Annotated[Any, _Fields(payload)])
        return cls(payload.__qualname__, field_types(payload), adapter)

    def check(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Check a caller's values, without any conversion; returns copies. Raises TypeError."""
        try:
            checked: dict[str, Any] = self.adapter.validator.validate_python(values, strict=True)
        except ValidationError as error:
            raise TypeError(f"{self.name}(): {self._complaint(error, values)}") from None
        return checked

    def dump(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Turn checked values into what JSON can hold. Raises UnsavedInstance, TypeError."""
        unsaved: dict[str, str] = {}  # noted by the way: an error raised inside a union would be taken for a mismatch
        known = {name: values[name] for name in self.types}
        try:
            stored: dict[str, Any] = self.adapter.serializer.to_python(known, mode="json", context=unsaved)
        except PydanticSerializationError:
            raise TypeError(f"{self.name}: a field holds something that cannot be stored as JSON") from None
        for place, model in unsaved.items():
            raise UnsavedInstance(f"{place}: this {model} has no row in the database; call save() on it first")
        return stored

    def encode(self, payload: Mapping[str, Any]) -> bytes:
        """Turn a stored payload into the text that :meth:`read` takes."""
        return to_json(payload)

    def read(self, text: bytes, rows: Rows) -> dict[str, Any]:
        """Turn a stored payload into arguments of its class. Raises InvalidPayload, SubjectDeleted.

        Strict, from text: only so is "5" never taken for a number, nor "2026-01-01" for a time.
        """
        try:
            values: dict[str, Any] = self.adapter.validator.validate_json(text, strict=True, context=rows)
        except ValidationError as error:
            raise InvalidPayload(f"{self.name}: {self._complaint(error, {})}") from None
        return values

    def _complaint(self, error: ValidationError, values: Mapping[str, Any]) -> str:
        # Neither input nor the keys of a dict: both may be somebody's address.
        told: dict[Any, list[str]] = {}
        for detail in error.errors(include_url=False, include_context=False, include_input=False):
            told.setdefault(next(iter(detail["loc"]), "payload"), []).append(detail["msg"])
        return "; ".join(self._sentence(name, reasons, values) for name, reasons in told.items())

    def _sentence(self, name: str, reasons: list[str], values: Mapping[str, Any]) -> str:
        declared = f" is declared {inspect.formatannotation(self.types[name])}" if name in self.types else ""
        given = f" and was given {type(values[name]).__name__}" if name in values else ""
        return f"`{name}`{declared}{given} ({' or '.join(dict.fromkeys(reasons))})"


@dataclasses.dataclass(frozen=True)
class _Fields:
    """The fields of a class, as a JSON object: keys that it does not know are ignored, defaults need not be there."""

    cls: type
    inside: tuple[type, ...] = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> cs.CoreSchema:
        types = field_types(self.cls)
        return cs.typed_dict_schema(
            {
                field.name: cs.typed_dict_field(
                    self._field(field.name, types[field.name], handler), required=is_required(field)
                )
                for field in dataclasses.fields(self.cls)
                if field.init
            },
            config=_CONFIG,
        )

    def _field(self, name: str, tp: Any, handler: GetCoreSchemaHandler) -> cs.CoreSchema:
        place = f"{self.cls.__qualname__}.{name}"
        try:
            return handler.generate_schema(_storable(tp, place, (*self.inside, self.cls)))
        except PydanticUserError:
            raise TypeError(f"{place}: {inspect.formatannotation(tp)} cannot be stored as JSON") from None


@dataclasses.dataclass(frozen=True)
class _Dataclass(_Fields):
    """A dataclass inside a field: checked by class, stored as its fields, made anew when read."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> cs.CoreSchema:
        fields = super().__get_pydantic_core_schema__(source, handler)
        # Two branches: once a function has seen a value, pydantic forgets that a date in it came as JSON text.
        either = cs.json_or_python_schema(fields, cs.no_info_before_validator_function(self._unpack, fields))
        return cs.with_info_after_validator_function(
            self._make, either, serialization=cs.wrap_serializer_function_ser_schema(self._store, schema=fields)
        )

    def _unpack(self, value: Any) -> dict[str, Any]:
        if type(value) is not self.cls:
            raise _not_an(self.cls)
        return self._values(value)

    def _make(self, fields: dict[str, Any], info: cs.ValidationInfo) -> Any:
        return fields if info.context is not None and info.context.noting else self.cls(**fields)

    def _store(self, value: Any, handler: cs.SerializerFunctionWrapHandler) -> Any:
        if type(value) is not self.cls:
            raise PydanticSerializationUnexpectedValue(self.cls.__name__)
        return handler(self._values(value))

    def _values(self, value: Any) -> dict[str, Any]:
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(self.cls) if field.init}


@dataclasses.dataclass(frozen=True)
class _Row:
    """A model instance: checked by class, stored as a reference, taken from the rows of the batch when read."""

    model: type[Model]
    place: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> cs.CoreSchema:
        store = cs.plain_serializer_function_ser_schema(self._store, info_arg=True)
        return cs.with_info_plain_validator_function(self._read, serialization=store)

    def _read(self, value: Any, info: cs.ValidationInfo) -> Any:
        if info.context is not None:
            return self._row(value, info.context)
        if not isinstance(value, self.model):
            raise _not_an(self.model)
        return value

    def _row(self, value: Any, rows: Rows) -> Model | None:
        try:
            model, pk = resolve(value, self.model)
        except ValueError as error:
            raise PydanticCustomError("reference", "The reference {fault}", {"fault": str(error)}) from None
        return rows.take(model, pk)

    def _store(self, value: Any, info: Any) -> dict[str, Any]:
        if not isinstance(value, self.model):
            raise PydanticSerializationUnexpectedValue(self.model.__name__)
        if not is_saved(value):
            info.context[self.place] = type(value).__name__
            return {}
        return reference(value)


def _not_an(cls: type) -> PydanticCustomError:
    return PydanticCustomError("instance", "Input should be an instance of {name}", {"name": cls.__name__})


def _storable(tp: Any, place: str, inside: tuple[type, ...]) -> Any:
    """The same type, with instructions for pydantic wherever it names a model or a dataclass."""
    if isinstance(tp, type) and not get_args(tp):
        return _storable_class(tp, place, inside)
    tp = getattr(tp, "__value__", tp)  # `type Name = ...`
    origin, arguments = get_origin(tp), get_args(tp)
    if origin is Literal or not arguments:
        return tp
    if origin is Annotated:
        return Annotated[(_storable(arguments[0], place, inside), *arguments[1:])]
    members = [_storable(argument, place, inside) for argument in arguments]
    if is_union(tp):
        refuse_lookalikes(tp, place)
        return reduce(or_, members)
    return origin[tuple(members)]


def _storable_class(cls: type, place: str, inside: tuple[type, ...]) -> Any:
    if cls in inside:
        raise TypeError(f"{place}: {cls.__name__} contains itself, which cannot be stored")
    if issubclass(cls, Model):
        return Annotated[cls, _Row(cls, place)]
    return Annotated[cls, _Dataclass(cls, inside)] if dataclasses.is_dataclass(cls) else cls
