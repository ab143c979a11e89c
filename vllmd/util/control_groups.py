"""The control groups around a process, of both versions: where their limits are read.

Source: kernel documentation, cgroup-v2 and cgroup-v1; cgroup_namespaces(7) for what a container
sees.
"""

from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")


def groups_of(controller: str, cgroup: Path, root: Path) -> Iterator[tuple[int, Path]]:
    """Yield the groups around a process for a controller, each with its version, the inner first.

    Their folders need not be there: in a container the path may be the host's, and only the
    container's own group is mounted, at the top.
    """
    try:
        lines = cgroup.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            version, tops = 2, [root, root / "unified"]
        elif controller in controllers.split(","):
            version, tops = 1, [root / controller]
        else:
            continue
        for top in tops:
            group = top / path.lstrip("/")
            yield from (
                (version, each) for each in (group, *group.parents) if each.is_relative_to(top)
            )


def words(path: Path) -> list[str]:
    """Return what a file of a group says; nothing if it is not there."""
    try:
        return path.read_text().split()
    except OSError:
        return []
