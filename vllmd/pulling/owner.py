"""Who writes into the hub's cache: its owner, also when root pulls."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def as_owner(folder: Path) -> Iterator[None]:
    """Act as whoever has a folder, or the nearest one above that is there, if this is root.

    Engines of that owner may write there, and run a model's own code: a link that one of them left
    must lead root nowhere else. What is made then belongs to them too.
    """
    found = next(each for each in (folder, *folder.parents) if each.exists()).stat()
    if os.geteuid() != 0 or found.st_uid == 0:
        yield
        return
    group, groups = os.getegid(), os.getgroups()
    os.setgroups([])
    os.setegid(found.st_gid)
    os.seteuid(found.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)
