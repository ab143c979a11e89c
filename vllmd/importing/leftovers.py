"""What is left in an engine's table that is not known, or that nobody puts a value in for. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from vllmd.importing.surroundings import Notes
from vllmd.importing.unknown import Place, is_unknown, unknowns

_LEFT = re.compile(r"\$(\{[^}\s]*\}?|\([^)\s]*\)?|[A-Za-z_]\w*)|\{\{[^}]*\}\}")
"""What only a shell, or something that makes files of templates, would have put a value into."""


def refuse_unknowns(texts: Iterable[str], place: Place, notes: Notes) -> None:
    """Refuse texts with marks in them, and texts in which a variable is left."""
    given = list(texts)
    for text in given:
        if (found := _LEFT.search(text)) and not is_unknown(text) and "{%" not in text:
            notes.refuse(
                place,
                f"{found[0]}: nothing puts a value in here, and it would be written as it is: "
                "write the value",
            )
    for unknown in unknowns(given):
        source, _, line = unknown.where.rpartition(":")
        notes.refuse(Place(source, int(line)), f"{unknown.written}: {unknown.reason}")


def is_left(text: str) -> bool:
    """Tell whether all of a text is what nobody put a value in for."""
    return bool(_LEFT.fullmatch(text))


def texts_in(value: Any) -> Iterator[str]:
    """Yield all texts in a value, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from (*texts_in(key), *texts_in(each))
    elif isinstance(value, list):
        for each in value:
            yield from texts_in(each)
