"""How often the kernel killed for lack of memory in the control group of this process."""


def oom_kills(proc: str = "/proc", mount: str = "/sys/fs/cgroup") -> int | None:
    """Return the count since the group was made; None where it cannot be read.

    Source: kernel documentation, cgroup-v2 (`memory.events`, field `oom_kill`, also counts kills by
    the system-wide killer) and cgroup-v1 (`memory.oom_control`).
    """
    try:
        with open(f"{proc}/self/cgroup", encoding="ascii", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        # in a container the path may be the host's, and what is mounted only its own group
        own = (path, "") if path != "/" else ("",)
        if "memory" in controllers.split(","):
            files = [f"{mount}/memory{each}/memory.oom_control" for each in own]
        elif not controllers:
            tops = (mount, f"{mount}/unified")
            files = [f"{top}{each}/memory.events" for each in own for top in tops]
        else:
            continue
        for name in files:
            count = _field(name, "oom_kill")
            if count is not None:
                return count
    return None


def killed_since(before: int | None) -> int:
    """Return how many it killed since that count; 0 if one of the two cannot be read.

    What it had killed before may have been of another engine in the same group.
    """
    now = oom_kills()
    return 0 if now is None or before is None else max(0, now - before)


def _field(path: str, name: str) -> int | None:
    try:
        with open(path, encoding="ascii") as file:
            for line in file:
                key, _, value = line.partition(" ")
                if key == name:
                    return int(value)
    except (OSError, ValueError):
        return None
    return None
