"""Secrets taken out of whatever is shown, kept or sent: by their values, names and shapes.

Three ways, because none is enough: values that a configuration holds are known; a name says that
its value is secret; well-known tokens, keys and addresses with a password look like what they are.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

MASK = "********"
SHORTEST = 6
"""Shorter values are no secrets, and would mask half of every text."""

_LOOKS_SECRET = re.compile(
    r"\bhf_[A-Za-z0-9]{16,}"  # Hugging Face
    r"|\bsk-[A-Za-z0-9_-]{16,}"  # OpenAI and those who imitate it
    r"|(?<=[Bb]earer )[A-Za-z0-9._~+/=-]{6,}"
    r"|(?<=://)[^/\s\"'<>]*(?=@)"  # user:password in a URL, or a token alone
    r"|(?<=hooks\.slack\.com/)[A-Za-z0-9/]+"
    r"|\b(?:gh[pousr]|github_pat|glpat|xox[abeprs])[_-][A-Za-z0-9_-]{16,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\bAIza[A-Za-z0-9_-]{35}"  # Google
    # JSON Web Token; no part has "-eyJ" in it, or many of them would be searched to the end of the
    # text, each again
    r"|\beyJ(?:(?!-eyJ)[A-Za-z0-9_-]){8,}\.(?:(?!-eyJ)[A-Za-z0-9_-]){8,}\.[A-Za-z0-9_-]*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?"
)
_ASSIGNED = re.compile(
    r"""(?ix)(
      (?: (?:api|access|secret|private|account)[_-]?key | secret | passw(?:or)?d | passphrase
        | (?:access|auth|hf|api|bearer|refresh|session|security)[_-]?token
        | [?&](?:token|key|sig|signature|code|auth|pwd) | x-amz-(?:signature|credential) )
      (?: =["']? | ["']\s?:\s?["'] )
    | authorization["']?\s?[:=]\s?["']?(?:[a-z]+\s)?
    )(?![\s"'*])[^\s"'&,;}\])<>]{6,}"""
)
"""A value whose name stands before it; the first group stays."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET_WORD = re.compile(
    r"(?:.*(?:password|passwd|passphrase|apikey|secret|secrets)|.*[^e]token|token|credentials?"
    r"|(?:access|secret|private|account)key|pwd|bearer|jwt)"
)
_SECRET_LAST = frozenset({"key", "keys", "auth", "authorization", "dsn", "pass"})
_NO_VALUE = frozenset(
    {
        "adaptive",
        "count",
        "details",
        "dir",
        "directory",
        "endpoint",
        "file",
        "folder",
        "format",
        "id",
        "index",
        "tree",
    }
    | {"ids", "length", "limit", "mode", "name", "only", "path", "ratio", "revision", "size"}
    | {"threshold", "type"}
)
"""Last words of names that speak of a secret and do not hold it: a file, a number of tokens."""


_OF_TEXT = frozenset({"bos", "eos", "pad", "unk", "sep", "cls", "mask", "start", "end", "stop"})
"""Before ``token``, these make it one of a tokenizer's."""
_FOLDER = "PWD"
"""Every shell sets it, to the folder that it is in."""


def is_secret(name: str) -> bool:
    """Tell whether a variable, flag or key of that name holds a secret."""
    words = [word.lower() for word in _WORD.findall(name)]
    if not words or words[-1] in _NO_VALUE or name == _FOLDER:
        return False
    if words[-1] == "token" and not _OF_TEXT.isdisjoint(words):
        return False
    return words[-1] in _SECRET_LAST or any(map(_SECRET_WORD.fullmatch, words))


def masked(name: str, value: Any) -> Any:
    """Return a value of that name as it may be shown, however deep in it a secret is."""
    if is_secret(name):
        return MASK
    if isinstance(value, Mapping):
        return {key: masked(str(key), each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [masked(name, each) for each in value]
    if isinstance(value, str):
        inner = _inner(value)
        return without_shapes(value) if inner is None else json.dumps(masked(name, inner))
    return value


def secrets_in_value(name: str, value: Any) -> Iterator[str]:
    """Yield what is secret in a value of that name: all of it, parts by their names, passwords."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from secrets_in_value(name if is_secret(name) else str(key), each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from secrets_in_value(name, each)
    elif isinstance(value, str):
        inner = _inner(value)
        if is_secret(name):
            yield value
            yield from (line.strip() for line in value.splitlines() if "\n" in value)
        elif inner is not None:
            yield from secrets_in_value(name, inner)
        else:
            yield from _secret_parts(value)


def without_shapes(text: str) -> str:
    """Return a text without what looks like a secret, known or not."""
    return _ASSIGNED.sub(rf"\1{MASK}", _LOOKS_SECRET.sub(MASK, text))


class Redactor:
    """Masks the secrets that it was told, and what looks like one; also a structlog processor."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._pattern = _LOOKS_SECRET
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Know these secrets from now on, in place of those known before."""
        known = sorted({s for s in secrets if len(s) >= SHORTEST}, key=len, reverse=True)
        parts = [*(re.escape(secret) for secret in known), _LOOKS_SECRET.pattern]
        self._pattern = re.compile("|".join(parts))

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        return _ASSIGNED.sub(rf"\1{MASK}", self._pattern.sub(MASK, text))

    def value(self, value: Any) -> Any:
        """Return a value of JSON's kinds without secrets, however deep."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.value(key): self.value(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(each) for each in value]
        return value

    def __call__(self, _logger: Any, _method: str, entry: Any) -> Any:
        """Mask an entry of the log."""
        return self.value(entry)


def _inner(text: str) -> Any:
    """Return the table or list that a text of JSON is; None if it is none."""
    if text[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _secret_parts(text: str) -> Iterator[str]:
    """Yield the secrets that a text has by their shape, a password also without its escapes."""
    for found in _LOOKS_SECRET.finditer(text):
        yield found[0]
        _, colon, password = found[0].partition(":")
        if colon and text[: found.start()].endswith("://"):
            yield from {password, unquote(password)}
    for found in _ASSIGNED.finditer(text):
        yield found[0][len(found[1]) :]
