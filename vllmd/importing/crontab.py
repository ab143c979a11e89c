"""A table of cron, as the commands that it starts. Pure.

Source: crontab(5).
"""

import re

_WHEN = re.compile(r"[ \t]*(@[a-z]+|(?:[\d*][\d*,/-]*[ \t]+){3}(?:[\w*][\w*,/-]*[ \t]+){2})[ \t]*")
_OTHER = re.compile(r"\s*(#|[A-Za-z_]\w*\s*=|$)")
REMARK = "cron: vllmd starts its engines when the host does, and again when they end"


def is_crontab(text: str) -> bool:
    """Tell a table of cron: each line is a time and a command, a variable, or a comment."""
    lines = text.splitlines()
    timed = [line for line in lines if _WHEN.match(line)]
    return bool(timed) and all(_WHEN.match(line) or _OTHER.match(line) for line in lines)


def commands_of(text: str) -> str:
    """Return the commands in their lines, as a script."""
    return "\n".join(_WHEN.sub("", line, count=1) for line in text.splitlines())
