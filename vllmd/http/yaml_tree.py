"""YAML as a tree with lines, so that each mistake in it can be named with its place.

The scalars become values as Go's yaml.v2 has them, where the reader says what it wants: `yes` is a
boolean where one is wanted, and a text where a text is.
Source: go.yaml.in/yaml/v2, resolve.go and decode.go.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from vllmd.config.problem import ConfigProblem, ProblemSeverity
from vllmd.config.rules import suggest

Node = Any
"""A node of ruamel.yaml; None for an empty document."""

FEW = 4
"""Most values that are all named where another was given."""

_TRUE = frozenset({"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})
_FALSE = frozenset({"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)")
_CORE = re.compile(r"tag:yaml\.org,2002:(str|int|float|bool|null|timestamp|merge|value)")


class YamlError(Exception):
    """A text is not YAML; `line` counts from 1 and is None where not known."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason)
        self.line = line


def parse(text: str) -> Node:
    """Return the tree of one document.

    Raises: YamlError: it is none, or more than one.
    """
    try:
        return YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = error.problem or error.context or "it cannot be read"
        if reason == "but found another document":
            reason = "it has more than one document"
        raise YamlError(reason, mark.line + 1 if mark else None) from None
    except RecursionError:
        raise YamlError("it is nested too deeply") from None
    except YAMLError as error:
        raise YamlError(str(error).split("\n")[0]) from None
    except (ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise YamlError(f"something in it cannot be read: {error}") from None


class YamlTree:
    """Reads the nodes of a tree; what does not fit is added to the problems."""

    def __init__(self, problems: list[ConfigProblem]) -> None:
        self._problems = problems

    def note(self, node: Node, at: str, message: str, fix: str) -> None:
        """Note a mistake."""
        self._add(node, at, message, fix, ProblemSeverity.ERROR)

    def warn(self, node: Node, at: str, message: str, fix: str) -> None:
        """Note what can be used, but may not be meant so."""
        self._add(node, at, message, fix, ProblemSeverity.WARNING)

    def unknown(self, node: Node, at: str, value: str, known: Iterable[str]) -> None:
        """Note a value that is none of the known ones."""
        names = tuple(known)
        hint = suggest(value, names) if len(names) > FEW else ""
        self.note(node, at, f"got {value[:60]!r}", hint or f"it takes {', '.join(names)}")

    def mapping(
        self, node: Node, at: str, known: Iterable[str] | None = None
    ) -> Mapping[str, Node]:
        """Return the entries of a mapping; empty for nothing. Only `known` keys may be in it."""
        if node is None or is_null(node):
            return {}
        if not isinstance(node, MappingNode):
            self.note(node, at, "is not a table of keys", "write one 'key: value' a line")
            return {}
        found: dict[str, Node] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self.note(key, at, "has a key that is not a word", "write one 'key: value' a line")
                continue
            name = str(key.value)
            path = f"{at}.{name[:60]}" if at else name[:60]
            if name in found:
                self.note(key, path, "is given twice", "keep one of them")
            elif known is not None and name not in known:
                fix = suggest(name, known) or "known keys are " + ", ".join(known)
                self.note(key, path, "is not a known key", fix)
            else:
                found[name] = value
        return found

    def text(self, node: Node, at: str) -> str | None:
        """Return a scalar as it is written; empty for null."""
        if not isinstance(node, ScalarNode) or not _CORE.fullmatch(str(node.tag)):
            self.note(node, at, "is not a text", "write it in one pair of quotes")
            return None
        if "\0" in node.value:
            self.note(node, at, "has a NUL character", "take it out")
            return None
        return "" if is_null(node) else str(node.value)

    def texts(self, node: Node, at: str) -> tuple[str, ...] | None:
        """Return a list of texts; empty for null."""
        if is_null(node):
            return ()
        if not isinstance(node, SequenceNode):
            self.note(node, at, "is not a list", "write one '- value' a line")
            return None
        values = [self.text(each, at) for each in node.value]
        return tuple(value for value in values if value is not None)

    def boolean(self, node: Node, at: str) -> bool | None:
        """Return true or false; None, and nothing noted, for null."""
        if is_null(node):
            return None
        if isinstance(node, ScalarNode) and not node.style and node.value in _TRUE | _FALSE:
            return node.value in _TRUE
        self.note(node, at, "is neither true nor false", "write true, or false")
        return None

    def integer(self, node: Node, at: str) -> int | None:
        """Return a whole number; None, and nothing noted, for null."""
        if is_null(node):
            return None
        if isinstance(node, ScalarNode) and re.fullmatch(r"[-+]?\d{1,18}", str(node.value)):
            return int(node.value)
        self.note(node, at, "is not a whole number", "write one, such as 10")
        return None

    def duration(self, node: Node, at: str) -> float | None:
        """Return a duration in seconds, from such as ``1m30s``; None for null."""
        if is_null(node):
            return None
        value = str(node.value) if isinstance(node, ScalarNode) else ""
        if value.lstrip("+") == "0":
            return 0.0
        parts = _PART.findall(value)
        if parts and "".join(number + unit for number, unit in parts) == value.lstrip("+"):
            return sum(float(number) * _UNITS_S[unit] for number, unit in parts)
        self.note(node, at, "is not a duration", "write one with its unit, such as 100ms or 1s")
        return None

    def _add(self, node: Node, at: str, message: str, fix: str, severity: ProblemSeverity) -> None:
        line = node.start_mark.line + 1 if node is not None else None
        self._problems.append(ConfigProblem(message, fix, at, line, severity))


def is_null(node: Node) -> bool:
    """Tell whether a node says nothing: it is empty, or `null`."""
    return isinstance(node, ScalarNode) and not node.style and node.value in _NULL
