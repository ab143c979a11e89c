"""A stanza of logrotate as vllmd's [logs]. Pure. Source: logrotate(8)."""

import math
import re
from collections.abc import Iterator
from typing import Any

import attrs

from vllmd.config.sections import LogsConfig

_STANZA = re.compile(r"^\s*[\"/][^{}\n]*\{", re.MULTILINE)
_SCRIPT = re.compile(
    r"^\s*(?:pre|post|first|last)(?:rotate|action)\b.*?^\s*endscript", re.MULTILINE | re.DOTALL
)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_MIB = 1 << 20
_WEEKS = {"monthly": 4, "yearly": 52}
_REMARKS = {
    "copytruncate": "copytruncate: it loses what is written between the copy and the cut; vllmd "
    "writes the files itself and loses nothing",
    "dateext": "dateext: vllmd numbers its files; 'vllmd logs --since' finds a time",
    "maxage": "maxage: vllmd keeps by number and size (logs.keep, logs.budget_mb)",
    "minsize": "minsize: vllmd rotates by time whatever the size",
    "su": "su: the files belong to user vllmd",
    "create": "create: the files belong to user vllmd, and its group may read them",
    "olddir": "olddir: rotated files stay beside the log",
}


@attrs.define
class LogrotateKeys:
    """The keys of [logs], and what could not be taken over."""

    keys: dict[str, Any] = attrs.field(factory=dict)
    remarks: list[str] = attrs.field(factory=list)


def is_stanza(text: str) -> bool:
    """Tell a configuration of logrotate from a unit or a script."""
    return bool(_STANZA.search(text)) and bool(
        re.search(r"^\s*(rotate|daily|weekly|hourly|monthly|size|maxsize)\b", text, re.MULTILINE)
    )


def rotation_of(text: str) -> LogrotateKeys:
    """Return what a stanza asks for, in vllmd's terms; what it leaves out stays at the default."""
    found = LogrotateKeys()
    if _SCRIPT.search(text):
        found.remarks.append("postrotate: no process needs a signal after a rotation")
    directives = dict(_directives(_SCRIPT.sub("", text)))
    weeks = 1
    for word in ("hourly", "daily", "weekly", *_WEEKS):
        if word not in directives:
            continue
        found.keys["rotate"] = "weekly" if word in _WEEKS else word
        if word in _WEEKS:
            weeks = _WEEKS[word]
            found.remarks.append(f"{word}: the longest that vllmd has is weekly")
    _take_size(directives, found)
    if (count := directives.get("rotate", "")).isdigit():
        found.keys["keep"] = int(count) * weeks
    elif count:
        found.remarks.append(f"rotate {count}: vllmd keeps {found.keys.get('keep', 14)} files")
    if "nocompress" in directives:
        found.keys["compress"] = False
    found.remarks += [remark for word, remark in _REMARKS.items() if word in directives]
    _fit_budget(found)
    return found


def _directives(text: str) -> Iterator[tuple[str, str]]:
    body = text.partition("{")[2].partition("}")[0]
    for line in body.splitlines():
        words = line.split("#")[0].replace("=", " ").split()
        if words:
            yield words[0], " ".join(words[1:])


def _take_size(directives: dict[str, str], found: LogrotateKeys) -> None:
    for word in ("size", "maxsize"):
        match = re.fullmatch(r"(\d+)([kMG]?)", directives.get(word, ""))
        if not match:
            continue
        size = int(match[1]) * _UNITS[match[2].lower()]
        found.keys["rotate_mb"] = max(1, math.ceil(size / _MIB))
        if word == "size":  # it says: whatever the time
            found.keys["rotate"] = "never"


def _fit_budget(found: LogrotateKeys) -> None:
    """Let the budget hold what is to be kept, so that it takes nothing of it away."""
    defaults = LogsConfig()
    size = found.keys.get("rotate_mb", defaults.rotate_mb)
    needed = size * (found.keys.get("keep", defaults.keep) + 2)
    if needed > defaults.budget_mb:
        found.keys["budget_mb"] = needed
        found.remarks.append(
            f"logs.budget_mb is {needed} so that all files fit, uncompressed: has the disk room?"
        )
