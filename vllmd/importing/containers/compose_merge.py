"""How compose puts one description of a service over another. Pure.

Source: the Compose specification, "Merge and override", and "Extends": relative paths of a file
are seen from its folder.
"""

from collections.abc import Callable

from vllmd.importing.surroundings import join
from vllmd.importing.yaml_values import Items, Table, Text, text_of

_REPLACED = frozenset({"command", "entrypoint", "test"})
"""Lists that are not added to."""
_NAMED = frozenset({"environment", "labels", "annotations", "sysctls", "extra_hosts", "args"})
"""Tables that may be lists of NAME=VALUE."""
_ONE_OR_MORE = frozenset({"env_file", "tmpfs", "dns"})
"""Lists that may be one text."""


def merged(one: Table, other: Table) -> Table:
    """Return a table with another one over it."""
    made = Table(one)
    made.line, made.lines = one.line, dict(one.lines)
    for key, value in other.items():
        tag = getattr(value, "tag", "")
        if tag == "!reset":
            made.pop(key, None)
            continue
        before = None if tag == "!override" else made.get(key)
        made[key] = _over(key, before, value)
        if not isinstance(before, Table) or not isinstance(value, Table):
            made.lines[key] = other.at(key)
    return made


def _over(key: str, before: object, value: object) -> object:
    if key in _NAMED:
        before, value = _named(before), _named(value)
    elif key in _ONE_OR_MORE:
        before, value = _listed(before), _listed(value)
    if isinstance(before, Table) and isinstance(value, Table):
        return merged(before, value)
    if isinstance(before, Items) and isinstance(value, Items) and key not in _REPLACED:
        items = Items([*before, *value])
        items.line = before.line
        return items
    return value


def _named(value: object) -> object:
    """Return a list of NAME=VALUE as a table; a name alone has no value there."""
    if not isinstance(value, Items):
        return value
    table = Table()
    table.line, table.lines = value.line, {}
    for each in value:
        name, equals, text = str(each).partition("=")
        table[name] = _scalar(text, each) if equals else None
        table.lines[name] = getattr(each, "line", value.line)
    return table


def _listed(value: object) -> object:
    if not isinstance(value, Text | Table):
        return value
    items = Items([value])
    items.line = value.line
    return items


def _scalar(text: str, like: object) -> Text:
    made = Text(text)
    made.line, made.kind = getattr(like, "line", 0), "str"
    return made


def seen_from(services: Table, folder: str) -> Table:
    """Return the services of a file in another folder, with paths as seen from there."""
    made = Table({name: _moved(each, folder) for name, each in services.items()})
    made.line, made.lines = services.line, services.lines
    return made


def _moved(service: object, folder: str) -> object:
    if not isinstance(service, Table):
        return service
    made = Table(service)
    made.line, made.lines = service.line, service.lines
    whole: Callable[[str], str] = lambda path: join(folder, path)  # noqa: E731
    if (files := _listed(made.get("env_file"))) is not None:
        made["env_file"] = _each(files, lambda text: whole(text) if text else text, "path")
    if (volumes := made.get("volumes")) is not None:
        made["volumes"] = _each(volumes, lambda text: _volume(text, folder), "source")
    return made


def _each(items: object, change: Callable[[str], str], key: str) -> object:
    """Change the texts of a list, and those that its tables have by a key."""
    if not isinstance(items, Items):
        return items
    found = Items()
    found.line = items.line
    for each in items:
        if isinstance(each, Table) and text_of(each.get(key)):
            table = Table(each)
            table.line, table.lines = each.line, each.lines
            table[key] = _scalar(change(str(each[key])), each[key])
            found.append(table)
        else:
            found.append(_scalar(change(str(each)), each) if isinstance(each, Text) else each)
    return found


def _volume(text: str, folder: str) -> str:
    outside, colon, rest = text.partition(":")
    return f"{join(folder, outside)}{colon}{rest}" if outside.startswith((".", "..")) else text
