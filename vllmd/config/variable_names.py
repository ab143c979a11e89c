"""The names of environment variables that give keys of the configuration."""

from collections.abc import Mapping

SEPARATOR = "__"
PREFIX = f"VLLMD{SEPARATOR}"
Path = tuple[str, ...]


def any_given(env: Mapping[str, str]) -> bool:
    """Tell whether a variable gives a key of the configuration."""
    return any(name.upper().startswith(PREFIX) for name in env)


def name_for(path: Path) -> str:
    """Return the variable that gives a key."""
    return PREFIX + SEPARATOR.join(part.upper().replace("-", "_") for part in path)


def value_of(path: Path, env: Mapping[str, str]) -> str | None:
    """Return what a variable gives for a key, as it is written; None if none does."""
    wanted = name_for(path)
    return next((text for name, text in env.items() if name.upper() == wanted and text), None)
