"""Units, so that a number in the code says what it counts."""

import re

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

MINUTE_S = 60
HOUR_S = 60 * MINUTE_S
DAY_S = 24 * HOUR_S


def nanoseconds(seconds: float) -> int:
    """Return whole nanoseconds, as spans have their times."""
    return int(seconds * 1e9)


_UNITS = {"ms": 0.001, "s": 1, "m": MINUTE_S, "h": HOUR_S, "d": DAY_S, "w": 7 * DAY_S}


def parse_duration(text: str) -> float:
    """Read a length of time as a person writes it, such as ``90s``, ``1h30m`` or ``7d``.

    Returns: seconds.
    Raises: ValueError: it is something else.
    """
    if not re.fullmatch(r"(\d+(\.\d+)?(ms|[smhdw]))+", text):
        raise ValueError(f"{text!r} is no length of time such as 90s, 30m, 24h or 7d")
    return sum(float(n) * _UNITS[unit] for n, unit in re.findall(r"([\d.]+)(ms|[smhdw])", text))


def format_duration(seconds: float) -> str:
    """Write a length of time the way a person says it.

    Returns: one or two units, such as ``850ms``, ``42s``, ``3m 20s``, ``5h 2m`` or ``12d 4h``.
    """
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))}ms"
    whole = round(seconds)
    for size, unit, rest_size, rest_unit in (
        (DAY_S, "d", HOUR_S, "h"),
        (HOUR_S, "h", MINUTE_S, "m"),
        (MINUTE_S, "m", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // rest_size
            return f"{whole // size}{unit} {rest}{rest_unit}" if rest else f"{whole // size}{unit}"
    return f"{whole}s"


_SIZES = {"": 1, "B": 1, "KiB": KIB, "MiB": MIB, "GiB": GIB, "TiB": 1024 * GIB}


def parse_bytes(text: str) -> int:
    """Read a number of bytes as a person writes it, such as ``512MiB``, ``1.5 GiB`` or ``4096``.

    Raises: ValueError: it is something else.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]iB|B)?", text)
    if found is None:
        raise ValueError(f"{text!r} is no size such as 512MiB or 2GiB")
    return int(float(found[1]) * _SIZES[found[2] or ""])


def format_bytes(count: float) -> str:
    """Write a number of bytes in binary units.

    Returns: such as ``512 B``, ``1.5 KiB`` or ``69.7 GiB``.
    """
    units = ("B", "KiB", "MiB", "GiB", "TiB")
    index = 0
    while count >= KIB and index < len(units) - 1:
        count /= KIB
        index += 1
    return f"{count:.0f} {units[index]}" if index == 0 else f"{count:.1f} {units[index]}"
