"""What may not leave the house taken out of a text: secrets, prompts, users, hosts, addresses."""

import contextlib
import os
import pwd
import re
import socket
from collections.abc import Iterable

from vllmd.util.redact import Redactor
from vllmd.util.terminal_text import harmless

PROMPT = "[prompt removed]"
FIRST_PERSON = 1000
"""User ids from here on are people's. Source: login.defs(5) of Debian."""
COMMON = frozenset({"root", "nobody", "vllm", "vllmd", "user", "debian", "ubuntu", "localhost"})
"""Names that say nothing of anybody."""

_PROMPT = re.compile(
    r"""(?:\b(?:prompt|prompts|output|input|content|messages|prompt_token_ids|token_ids)
        ['"]?\s*[:=]\s*(?=['"\[{]) | \bJSON\ body:\s* | \bdetails:\s*prompt:\s*).*""",
    re.VERBOSE,
)
"""From there on, a line holds what somebody wrote or was answered.

Source: vllm/entrypoints/serve/utils/request_logger.py of 0.32; bodies in validation errors.
"""
_IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")
_IPV6 = re.compile(r"(?<![\w:])(?:[0-9a-fA-F]{1,4}:){4,7}[0-9a-fA-F]{1,4}(?![\w:])|\bfe80::[\w:%]+")
_MAIL = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b")
_HOME = re.compile(r"(?<=/home/)[^/\s'\"]+")
_LOCAL = ("127.", "0.0.0.0", "255.")


class Anonymizer:
    """Replaces names by what they are: ``USER``, ``HOST``, ``ADDRESS``."""

    def __init__(self, redactor: Redactor, users: Iterable[str], hosts: Iterable[str]) -> None:
        self._redactor = redactor
        self._users = _any_of(users)
        self._hosts = _any_of(hosts)

    def text(self, text: str) -> str:
        """Return a text, of any number of lines, that may be published."""
        text = self._redactor.text(harmless(text))
        text = _PROMPT.sub(PROMPT, text)
        text = _MAIL.sub("MAIL", text)
        text = _HOME.sub("USER", text)
        for pattern, word in ((self._hosts, "HOST"), (self._users, "USER")):
            if pattern is not None:
                text = pattern.sub(word, text)
        text = _IPV6.sub("ADDRESS", text)
        return _IPV4.sub(lambda m: m[0] if m[0].startswith(_LOCAL) else "ADDRESS", text)


def _any_of(names: Iterable[str]) -> re.Pattern[str] | None:
    known = sorted({n for n in names if len(n) > 1 and n not in COMMON}, key=len, reverse=True)
    if not known:
        return None
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, known))})(?![\w-])", re.IGNORECASE)


def users_of_host() -> set[str]:
    """Return the names of the people of this host, and who runs this."""
    people = {each.pw_name for each in pwd.getpwall() if each.pw_uid >= FIRST_PERSON}
    asked = {os.environ.get(name, "") for name in ("USER", "LOGNAME", "SUDO_USER")}
    return people | asked


def names_of_host() -> set[str]:
    """Return the names that this host has for itself."""
    name = socket.gethostname()
    names = {name, name.split(".")[0]}
    with contextlib.suppress(OSError):
        names |= {socket.getfqdn(), *socket.gethostbyaddr(name)[1]}
    return names
