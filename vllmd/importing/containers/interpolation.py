"""``${NAME}`` in a compose file. Pure.

Source: the Compose specification, interpolation.
"""

import re
from collections.abc import Mapping

from vllmd.importing.surroundings import Notes, Surroundings
from vllmd.importing.unknown import Place, is_unknown, mark
from vllmd.importing.yaml_values import Items, Table, Text
from vllmd.util.redact import masked

_BEGIN = re.compile(r"\$(?:(?P<escaped>\$)|(?P<name>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*))")
_NOT_SET = "it is set neither in .env nor by default; put it into .env beside the file"
_NO_HOME = "the home of who ran it is not known here; give --home DIR"


class Interpolation:
    """Puts variables into the texts of a file."""

    def __init__(
        self,
        variables: Mapping[str, str],
        source: str,
        notes: Notes,
        around: Surroundings | None = None,
    ) -> None:
        self._variables, self._source, self._notes = variables, source, notes
        self._around = around or Surroundings()

    def value(self, value: object) -> object:
        """Return a value with all its texts filled; what is not set becomes a mark."""
        if isinstance(value, Text):
            made = Text(self.text(value, Place(self._source, value.line)))
            made.line, made.kind, made.tag = value.line, value.kind, value.tag
            return made
        if isinstance(value, Items):
            items = Items(self.value(each) for each in value)
            items.line, items.tag = value.line, value.tag
            return items
        if isinstance(value, Table):
            table = Table({key: self.value(each) for key, each in value.items()})
            table.line, table.lines, table.tag = value.line, value.lines, value.tag
            return table
        return value

    def text(self, text: str, place: Place) -> str:
        """Return a text filled."""
        made, at = "", 0
        while found := _BEGIN.search(text, at):
            made += text[at : found.start()]
            at = found.end()
            if found["escaped"]:
                made += "$"
            elif found["name"]:
                made += self._get(found["name"], "", "", place)
            else:
                end = _closing(text, at)
                rest = text[at:end]
                operator = re.match(r":?[-?+]", rest)
                sign = operator[0] if operator else ""
                made += self._get(found["braced"], sign, rest[len(sign) :], place)
                at = end + 1
        return made + text[at:]

    def _get(self, name: str, operator: str, word: str, place: Place) -> str:
        value = self._variables.get(name)
        missing = value is None or (operator.startswith(":") and value == "")
        if operator.endswith("+"):
            if missing and value is None:
                self._notes.remark(
                    f"{place}: the variable {name} is not set: {masked(name, word)!r} is left out, "
                    "which it would bring"
                )
            return "" if missing else self.text(word, place)
        if not missing:
            return value or ""
        if operator.endswith("-"):
            default = self.text(word, place)
            if default and not is_unknown(default):
                self._notes.remark(
                    f"{place}: the variable {name} is not set: its default "
                    f"{masked(name, default)!r} is taken"
                )
            return default
        match name:
            case "HOME":
                return self._around.home or mark("$HOME", _NO_HOME, place)
            case "PWD":
                return self._around.folder_at("$PWD", place)
        return mark(f"${name}", _NOT_SET, place)


def _closing(text: str, at: int) -> int:
    depth = 1
    for index in range(at, len(text)):
        depth += (text[index] == "{") - (text[index] == "}")
        if depth == 0:
            return index
    return len(text)
