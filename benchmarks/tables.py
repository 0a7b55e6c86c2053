"""What a benchmark hands back, as a table for people or as JSON for programs."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under a title; all rows have the same keys. ``notes`` says what one has to know to read them."""

    title: str
    rows: Sequence[Mapping[str, Any]]
    notes: Sequence[str] = field(default_factory=list)

    def as_text(self) -> str:
        heads = list(self.rows[0])
        cells = [heads, *([_text(row[head]) for head in heads] for row in self.rows)]
        widths = [max(len(line[n]) for line in cells) for n in range(len(heads))]
        lines = ["  ".join(_aligned(cell, widths[n], n) for n, cell in enumerate(line)) for line in cells]
        rule = "-" * len(lines[0])
        return "\n".join([self.title, "", lines[0], rule, *lines[1:], "", *self.notes])

    def as_json(self) -> str:
        return json.dumps({"title": self.title, "on": machine(), "rows": self.rows, "notes": self.notes}, indent=2)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) < 10 else f"{value:,.0f}"
    return str(value)


def _aligned(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if column else cell.ljust(width)


def middle(values: Sequence[float]) -> float:
    return float(median(values))


def machine() -> dict[str, str]:
    """What the figures depend on."""
    packages = {name: version(name) for name in ("Django", "psycopg", "django-post-office")}
    return {"python": platform.python_version(), "cores": str(os.cpu_count())} | packages
