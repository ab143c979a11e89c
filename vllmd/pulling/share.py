"""How much of a model is on the disk, whoever brings it."""

from collections.abc import Sequence

import attrs

from vllmd.pulling.cache import ModelCache
from vllmd.pulling.repository import RemoteFile


@attrs.frozen
class Share:
    """In bytes."""

    done: int
    total: int


def share_of(cache: ModelCache, files: Sequence[RemoteFile]) -> Share:
    """Return how much of these files is here, whole or in parts."""
    return Share(sum(map(cache.bytes_of_anybody, files)), sum(file.size for file in files))
