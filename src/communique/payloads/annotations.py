"""Turns what a class says of its fields into names and types, with the models of the app registry in sight."""

import dataclasses
import inspect
import re
import sys
import types
import typing
from collections import Counter
from collections.abc import Mapping
from typing import Any

from django.apps import apps

if sys.version_info >= (3, 14):
    from annotationlib import Format, get_annotations

    def own_annotations(cls: type) -> Mapping[str, Any]:
        """What the body of this very class annotates; from 3.14 on, names may not be resolvable yet."""
        return get_annotations(cls, format=Format.FORWARDREF)

else:

    def own_annotations(cls: type) -> Mapping[str, Any]:
        """What the body of this very class annotates, unresolved."""
        return inspect.get_annotations(cls)


_CLASS_VAR = re.compile(r"(\w+\.)*ClassVar\b")


def own_fields(cls: type) -> list[str]:
    """The fields that the body of this very class annotates, before it is made a dataclass."""
    return [name for name, annotation in own_annotations(cls).items() if not _CLASS_VAR.match(_text(annotation))]


def _text(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else str(getattr(annotation, "__forward_arg__", annotation))


def field_names(cls: type) -> tuple[str, ...]:
    """All fields, inherited ones first; none for a class that is no dataclass."""
    return tuple(field.name for field in dataclasses.fields(cls)) if dataclasses.is_dataclass(cls) else ()


def required_names(cls: type) -> set[str]:
    """The fields without default."""
    return {field.name for field in dataclasses.fields(cls) if is_required(field)} if field_names(cls) else set()


def is_required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def field_types(cls: type) -> dict[str, Any]:
    """The type of every field of a dataclass.

    Events and models import each other, so an annotation may name a model that its module imports under
    ``TYPE_CHECKING`` only: such a name is looked up among the installed models. Raises TypeError for a name that is
    nowhere to be found, or that models of several apps share.
    """
    return {name: _resolve(_annotating(cls, name), name) for name in field_names(cls)}


def _annotating(cls: type, field: str) -> type:
    return next(base for base in cls.__mro__ if field in own_annotations(base))


def _resolve(cls: type, field: str) -> Any:
    holder = types.SimpleNamespace(__annotations__={field: own_annotations(cls)[field]})
    try:
        return typing.get_type_hints(holder, *_namespaces(cls), include_extras=True)[field]
    except NameError as error:
        raise TypeError(
            f"{cls.__qualname__}.{field}: cannot find {error.name!r} in {cls.__module__}, nor a single installed model "
            f"of that name; import it at the top of the module"
        ) from None


def _namespaces(cls: type) -> tuple[dict[str, Any], dict[str, Any]]:
    # What the module itself imports comes before any model of that name; and a default such as `date = None`
    # must not stand in for the type of the same name.
    module = vars(sys.modules[cls.__module__])
    nested = {name: value for name, value in vars(cls).items() if isinstance(value, type)}
    return _models_near(cls.__module__) | module, nested


def _models_near(module: str) -> dict[str, Any]:
    """Models by class name: those of the module's own app, and those whose name no other app uses."""
    models = apps.get_models()
    times = Counter(model.__name__ for model in models)
    near = {model.__name__: model for model in models if times[model.__name__] == 1}
    app = apps.get_containing_app_config(module)
    return near | {model.__name__: model for model in (app.get_models() if app else ())}
