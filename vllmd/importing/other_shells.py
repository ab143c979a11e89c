"""Scripts of shells that are not read: read as bash's, they would lose what they set. Pure."""

import posixpath
import re

from vllmd.importing.prefixes import SHELLS

_BY_NAME = {
    r"\.fish$": "fish",
    r"\.t?csh$": "csh",
    r"\.nu$": "Nushell",
    r"\.xsh$": "xonsh",
    r"\.elv$": "Elvish",
}
_ALIKE = SHELLS | {"rbash", "mksh", "lksh", "pdksh", "yash", "posh", "openrc-run"}
"""Shells that read a script as it is read here."""
_INSTEAD = (
    "which is not read: import the command that it runs alone, with the variables that it sets "
    "before it"
)


def of_another_shell(text: str, name: str) -> str | None:
    """Return what a script is that no shell runs which is read here; None if one may.

    That is what its name or its first line says.
    """
    first = re.match(r"#!\s*(\S.*)", text)
    for pattern, shell in _BY_NAME.items():
        if re.search(pattern, name):
            return f"it is a script of {shell}, {_INSTEAD}"
    words = [posixpath.basename(word) for word in first[1].split()] if first else []
    if words and _ALIKE.isdisjoint(words):
        runs = next((w for w in words if w != "env" and not w.startswith("-")), words[0])
        return f"it is a script of {runs}, {_INSTEAD}"
    if "zsh" in words or name.endswith(".zsh"):
        line = _differs(text)
        if line is not None:
            return (
                f"it is a script of zsh, and line {line} means something else there than in bash: "
                "import the command that it runs alone"
            )
    return None


def _differs(text: str) -> int | None:
    """Return a line that zsh may read otherwise than it is read here; None if there is none.

    It counts arrays from 1, gives one by its name alone, and splits no value into words, unless it
    is told to be as sh.
    """
    if re.search(r"^\s*emulate\s+(-\w+\s+)*(sh|ksh|bash)\b", text, re.MULTILINE):
        return None
    splits = re.search(r"^\s*setopt\s.*\bsh_?word_?split", text, re.MULTILINE | re.IGNORECASE)
    several = set() if splits else {found[1] for found in _SEVERAL_WORDS.finditer(text)}
    for number, line in enumerate(text.splitlines(), 1):
        bare = re.sub(r'"[^"]*"', '""', line)
        splits_here = any(re.search(rf"\$\{{?{name}\b", bare) for name in several)
        if not line.lstrip().startswith("#") and (splits_here or _OF_ZSH.search(line)):
            return number
    return None


_SEVERAL_WORDS = re.compile(
    r"""(?<![-\w])(\w+)=(?:"[^"\n]*[\s$][^"\n]*"|'[^'\n]*\s[^'\n]*'|\$\()"""
)
"""A variable whose value has several words, or may have."""
_OF_ZSH = re.compile(r"\$\{?\w+\[|\b\w+\+?=\(|\$\{[(=^~]|\$=|\b(?:typeset|declare)\s+-[aA]")
"""Arrays and what else has a meaning of its own."""
