"""The way from the adapters that are loaded to those that are wanted. Pure: no I/O."""

import posixpath
from collections.abc import Collection, Mapping

import attrs

from vllmd.lora.desired import DesiredAdapter


@attrs.frozen
class Steps:
    """What is to be done, each by name."""

    load: tuple[str, ...] = ()
    replace: tuple[str, ...] = ()
    """Loaded from another path, or to be read again."""
    unload: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()
    """Loaded by somebody else."""


def steps(
    wanted: Mapping[str, DesiredAdapter],
    loaded: Mapping[str, str],
    *,
    ours: Collection[str],
    unload_unlisted: bool,
    again: Collection[str] = (),
) -> Steps:
    """Compare what is `wanted` with what is `loaded`, by name and path.

    `ours` were loaded by us and may go; `again` are to be loaded again.
    """
    others = [name for name in loaded if name not in wanted and name not in ours]
    gone = [name for name in loaded if name not in wanted and name in ours]
    return Steps(
        load=tuple(name for name in wanted if name not in loaded),
        replace=tuple(
            name
            for name, want in wanted.items()
            if name in loaded and (name in again or not same(want.path, loaded[name]))
        ),
        unload=tuple(gone + others if unload_unlisted else gone),
        unlisted=tuple(others),
    )


def same(path: str, other: str) -> bool:
    """Tell whether two paths name one place, as far as their text says."""
    return posixpath.normpath(path) == posixpath.normpath(other)


def another_name(path: str, now: str) -> str:
    """Return the path written otherwise than it is `now`.

    vLLM's prefix cache knows an adapter by its name and the text of its path: under the same text,
    answers would be computed from what the old weights left there.
    Source: `_gen_lora_extra_hash_keys` in vLLM 0.32.
    """
    path = path.rstrip("/")
    dots = now[len(path) :].count("/.") if now.startswith(path) else 0
    return path + "/." * (dots + 1)
