"""Columns of tables: which field, what it is called, and what its values look like. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from vllmd.monitoring.dashboards.looks import Look, Steps, mapping, override, thresholds


@attrs.frozen
class TableColumn:
    """One column: `field` is a label, or the letter of the query whose values it has."""

    field: str
    title: str
    unit: str | None = None
    decimals: int | None = None
    steps: Steps = ()
    words: Mapping[str, Look] = attrs.field(factory=dict)
    """What values mean: a text and a colour, of the cell's ground."""
    link: tuple[str, str] | None = None
    """What a click on it leads to: how that is called, and its address."""
    width: int | None = None

    def override(self) -> dict[str, Any]:
        """Return how Grafana is told."""
        properties: list[tuple[str, Any]] = [("noValue", "-")]  # or a gap says the panel's words
        if self.unit:
            properties.append(("unit", self.unit))
        if self.decimals is not None:
            properties.append(("decimals", self.decimals))
        if self.words:
            properties.append(("mappings", [mapping(self.words)]))
        if self.words or self.steps:
            kind = "color-background" if self.words else "color-text"
            properties.append(("custom.cellOptions", {"type": kind, "mode": "basic"}))
        if self.steps:
            properties.append(("thresholds", thresholds(self.steps)))
        if self.width is not None:
            properties.append(("custom.width", self.width))
        if self.link:
            title, url = self.link
            links = [{"title": title, "url": url, "targetBlank": url.startswith("http")}]
            properties.append(("links", links))
        return override("byName", self.title, *properties)


def transformations(
    columns: Sequence[TableColumn], queries: int, first: str | None
) -> list[dict[str, Any]]:
    """Return how answers become these columns: merged by their labels, chosen, named, sorted."""
    names = {column.field: _field(column.field, queries) for column in columns}
    found: list[dict[str, Any]] = [{"id": "merge", "options": {}}] if queries > 1 else []
    found += [
        {"id": "filterFieldsByName", "options": {"include": {"names": list(names.values())}}},
        {
            "id": "organize",
            "options": {
                "excludeByName": {},
                "indexByName": {names[c.field]: i for i, c in enumerate(columns)},
                "renameByName": {names[c.field]: c.title for c in columns},
            },
        },
    ]
    if first:
        title, descending = first.lstrip("-"), first.startswith("-")
        sort = [{"field": title, "desc": descending}]
        found.append({"id": "sortBy", "options": {"sort": sort}})
    return found


def _field(name: str, queries: int) -> str:
    """Return what Grafana calls a field: a letter stands for the values of that query."""
    if len(name) == 1 and name.isupper():
        return "Value" if queries == 1 else f"Value #{name}"
    return name
