"""Turns model instances into references such as ``{"shop.order": 7}``, and references into rows of the database."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db.models import Field, Model

from ..exceptions import SubjectDeleted


def reference(instance: Model) -> dict[str, Any]:
    """What is stored of an instance. The label tells models apart where several are possible."""
    model: type[Model] = instance._meta.concrete_model or type(instance)
    label = model._meta.label_lower
    if isinstance(instance.pk, int | str):
        return {label: instance.pk}
    parts = [_stored(instance, field) for field in instance._meta.pk_fields]
    return {label: parts if isinstance(instance.pk, tuple) else parts[0]}


def _stored(instance: Model, field: "Field[Any, Any]") -> Any:
    value = field.value_from_object(instance)
    return value if isinstance(value, int | str) else field.value_to_string(instance)


def is_saved(instance: Model) -> bool:
    pk = instance.pk if isinstance(instance.pk, tuple) else (instance.pk,)
    return not instance._state.adding and None not in pk


def resolve(reference: object, declared: type[Model]) -> tuple[type[Model], Any]:
    """The model and primary key of a stored reference. Raises ValueError for what is none of the declared model."""
    match reference:
        case dict() if len(reference) == 1:
            [(label, pk)] = reference.items()
            model = _model(label, declared)
            return model, _pk(model, pk)
    raise ValueError("not a reference to a row")


def _model(label: str, declared: type[Model]) -> type[Model]:
    try:
        stored = apps.get_model(label)
    except (LookupError, ValueError):
        raise ValueError("names no installed model") from None
    if issubclass(stored, declared):
        return stored
    if issubclass(declared, stored) and declared._meta.proxy:
        return declared
    raise ValueError("names another model")


def _pk(model: type[Model], stored: Any) -> Any:
    fields: Sequence[Field[Any, Any]] = model._meta.pk_fields
    if len(fields) == 1:
        return _cleaned(fields[0], stored)
    if not isinstance(stored, list) or len(stored) != len(fields):
        raise ValueError("has the wrong number of key columns")
    return tuple(_cleaned(*pair) for pair in zip(fields, stored, strict=True))


def _cleaned(field: Any, stored: Any) -> Any:
    while field.remote_field:  # the key of a child table is a link to its parent's
        field = field.target_field
    try:
        pk = field.to_python(stored)
        field.run_validators(pk)  # a number too large for the column would fail the query for the whole batch
    except ValidationError:
        raise ValueError("has an impossible primary key") from None
    if pk is None:
        raise ValueError("has no primary key")
    return pk


@dataclass(slots=True)
class Rows:
    """The rows that a batch of payloads refers to: first noted, then fetched at once, then handed out."""

    using: str
    wanted: dict[type[Model], set[Any]] = field(default_factory=dict)
    found: dict[type[Model], dict[Any, Model]] | None = None

    @property
    def noting(self) -> bool:
        return self.found is None

    def take(self, model: type[Model], pk: Any) -> Model | None:
        """The row, or None while rows are only being noted. Raises SubjectDeleted."""
        if self.found is None:
            self.wanted.setdefault(model, set()).add(pk)
            return None
        if pk not in self.found[model]:
            raise SubjectDeleted(f"the {model._meta.label_lower} that this is about has been deleted")
        return self.found[model][pk]

    def fetch(self) -> None:
        """One query for each model."""
        # The base manager, as for foreign keys: a default manager that hides rows must not make them deleted ones.
        self.found = {model: model._base_manager.using(self.using).in_bulk(pks) for model, pks in self.wanted.items()}
