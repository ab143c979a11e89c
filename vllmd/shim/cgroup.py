"""How often the kernel killed for lack of memory in the control group of this process."""


def oom_kills(proc: str = "/proc", mount: str = "/sys/fs/cgroup") -> int:
    """Return the count since the group was made; 0 where it cannot be read.

    Source: kernel documentation, cgroup-v2 (`memory.events`, field `oom_kill`, also counts kills by
    the system-wide killer) and cgroup-v1 (`memory.oom_control`).
    """
    try:
        with open(f"{proc}/self/cgroup", encoding="ascii", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return 0
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "memory" in controllers.split(","):
            files = [f"{mount}/memory{path}/memory.oom_control"]
        elif not controllers:
            files = [f"{mount}{path}/memory.events", f"{mount}/unified{path}/memory.events"]
        else:
            continue
        for name in files:
            count = _field(name, "oom_kill")
            if count is not None:
                return count
    return 0


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
