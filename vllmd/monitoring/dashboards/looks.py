"""Colours, words and thresholds, in the form that Grafana has for them. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

Steps = Sequence[tuple[float, str]]
"""From which value on a panel has which colour; below the first it is green."""
YES_IS_GOOD: Steps = ((0, "red"), (1, "green"))
BELOW_ZERO: Steps = ((0, "red"), (1, "transparent"))
"""What is bad is below 0, and the rest has no colour."""
NO_IS_GOOD: Steps = ((1, "red"),)
ENDS = {
    "stop": "green",
    "length": "blue",
    "abort": "yellow",
    "error": "red",
    "repetition": "orange",
}
"""How a request ended."""
LEVELS = {"info": "blue", "warning": "orange", "error": "red"}
ACTIVITIES = {"busy": "green", "idle": "blue", "down": "red", "unwatched": "text"}
"""What an engine did."""
DIRECTIONS = {"prompt": "blue", "generation": "green"}
PHASES = {
    "init": "text",
    "weights": "blue",
    "compile": "purple",
    "kv_cache": "green",
    "graphs": "yellow",
}
"""Of a start."""
Look = tuple[str, str]
"""A text and a colour."""


def thresholds(steps: Steps) -> dict[str, Any]:
    """Return the thresholds; a first step at 0 is the colour of all below the second."""
    colours: list[dict[str, Any]] = [{"color": "green", "value": None}]
    colours += [{"color": colour, "value": value} for value, colour in steps]
    if steps and steps[0][0] == 0:
        colours[0]["color"] = steps[0][1]
        del colours[1]
    return {"mode": "absolute", "steps": colours}


def mapping(words: Mapping[str, Look]) -> dict[str, Any]:
    """Return what values mean; an empty text leaves the value as it is."""
    options = {
        value: {**({"text": text} if text else {}), "color": colour, "index": i}
        for i, (value, (text, colour)) in enumerate(words.items())
    }
    return {"type": "value", "options": options}


def override(matcher: str, of: str, *properties: tuple[str, Any]) -> dict[str, Any]:
    """Return properties of the fields that a matcher finds."""
    return {
        "matcher": {"id": matcher, "options": of},
        "properties": [{"id": name, "value": value} for name, value in properties],
    }
