"""YAML as tables, lists and texts that know their line. Pure.

A scalar stays as it is written, with the kind that YAML gives it: `yes` is a word to one program
and a boolean to another. Anchors and merge keys are followed.
"""

import warnings
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from vllmd.errors import VllmdError

MAX_NODES = 200_000
"""What aliases of aliases would make without a bound."""


class Text(str):
    """A scalar."""

    line: int
    tag: str = ""
    """One of the program's own, such as ``!override``."""
    kind: str
    """``str``, ``int``, ``float``, ``bool`` or ``null``."""


class Table(dict[str, Any]):
    """A mapping; `lines` has those of its keys."""

    line: int
    tag: str = ""
    lines: dict[str, int]

    def at(self, key: str) -> int:
        """Return the line of a key, or the table's own."""
        return self.lines.get(key, self.line)


class Items(list[Any]):
    """A sequence."""

    line: int
    tag: str = ""


def documents(text: str, source: str, version: str = "1.2") -> list[Any]:
    """Return the documents of a text: `Table`, `Items`, `Text`, or None.

    Raises: VllmdError: it is no YAML, with the line.
    """
    reader = YAML(typ="safe", pure=True)
    reader.version = version
    budget = [MAX_NODES]
    try:
        with warnings.catch_warnings(action="ignore"):  # an anchor may be given twice
            return [_value(node, budget) for node in reader.compose_all(text)]
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        reason = error.problem or error.context or "it cannot be read"
        raise VllmdError(f"{source}{line}: it is no YAML: {reason}") from None
    except (YAMLError, ValueError, LookupError, AttributeError) as error:
        raise VllmdError(f"{source}: it is no YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise VllmdError(f"{source}: it is nested too deeply") from None


def table_in(value: Any, *path: str) -> Table:
    """Return the table at a path of keys; an empty one where there is none."""
    for key in path:
        value = value.get(key) if isinstance(value, Table) else None
    if isinstance(value, Table):
        return value
    empty = Table()
    empty.line, empty.lines = 0, {}
    return empty


def items_in(value: Any, *path: str) -> list[Any]:
    """Return the list at a path of keys; an empty one where there is none."""
    found = table_in(value, *path[:-1]).get(path[-1]) if path else value
    return found if isinstance(found, Items) else []


def text_of(value: Any) -> str | None:
    """Return a scalar's text; None for null and for what is none."""
    if isinstance(value, Text):
        return None if value.kind == "null" else str(value)
    return value if isinstance(value, str) else None


def _value(node: Any, budget: list[int]) -> Any:
    budget[0] -= 1
    if budget[0] < 0:
        raise ValueError("its aliases make too much of it")
    if isinstance(node, ScalarNode):
        text = Text(node.value)
        text.line = node.start_mark.line + 1
        kind = str(node.tag).rsplit(":", 1)[-1]
        text.kind = "null" if kind == "null" and not node.style else kind
        text.tag = _own_tag(node)
        return text
    if isinstance(node, SequenceNode):
        items = Items(_value(each, budget) for each in node.value)
        items.line = node.start_mark.line + 1
        items.tag = _own_tag(node)
        return items
    if isinstance(node, MappingNode):
        return _table(node, budget)
    return None


def _own_tag(node: Any) -> str:
    tag = str(node.tag)
    return tag if tag.startswith("!") and tag != "!" else ""


def _table(node: Any, budget: list[int]) -> Table:
    table = Table()
    table.line, table.lines = node.start_mark.line + 1, {}
    table.tag = _own_tag(node)
    merged: list[Table] = []
    for key, value in node.value:
        made = _value(value, budget)
        name = str(key.value) if isinstance(key, ScalarNode) else ""
        if name == "<<":
            merged += [
                each
                for each in (made if isinstance(made, Items) else [made])
                if isinstance(each, Table)
            ]
            continue
        table[name] = made
        table.lines[name] = key.start_mark.line + 1
    for other in merged:
        for name, made in other.items():
            if name not in table:
                table[name] = made
                table.lines[name] = other.at(name)
    return table
