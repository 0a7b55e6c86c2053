"""Turns annotated classes into typed values that can be stored in a row and read back in bulk."""

from .annotations import field_names, own_annotations, required_names
from .base import Payload, prepare, refuse_fields, require_key
from .loading import load_many

__all__ = [
    "Payload",
    "field_names",
    "load_many",
    "own_annotations",
    "prepare",
    "refuse_fields",
    "require_key",
    "required_names",
]
