"""Secrets taken out of whatever is shown, kept or sent: by their values, names and shapes.

Three ways, because none is enough: values that a configuration holds are known; a name says that
its value is secret; well-known tokens, keys and addresses with a password look like what they are.
"""

import functools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

MASK = "********"
SHORTEST = 6
"""Shorter values are no secrets, and would mask half of every text."""
REMEMBERED = 2048
"""Of so many texts it is remembered what they are without secrets: a status has the same again."""
REMEMBERED_CHARS = 512
"""Longer ones are masked each time."""

_LOOKS_SECRET = re.compile(
    r"\bhf_[A-Za-z0-9]{16,}"  # Hugging Face
    r"|\bsk-[A-Za-z0-9_-]{16,}"  # OpenAI and those who imitate it
    r"|(?<=[Bb]earer )[A-Za-z0-9._~+/=-]{6,}"
    r"|(?<=://)[^/\s\"'<>]+(?=@)"  # user:password in a URL, or a token alone
    # the same with a "/" in the password: no port is before it, and no address of IPv6
    r"|(?<=://)(?!\[)[^/\s:\"'<>]{0,80}:(?!\d{1,5}[/?])[^\s\"'<>]{1,200}(?=@)"
    r"|(?<=hooks\.slack\.com/)[A-Za-z0-9/]+"
    r"|\b(?:gh[pousr]|github_pat|glpat|xox[abeprs])[_-][A-Za-z0-9_-]{16,}"
    r"|\bnvapi-[A-Za-z0-9_-]{16,}"  # NVIDIA's NGC
    r"|\b(?:gsk|npm)_[A-Za-z0-9]{16,}|\bya29\.[A-Za-z0-9_-]{16,}"
    r"|(?:(?<=[Cc]ookie: )|(?<=[Cc]ookie': ')|(?<=[Cc]ookie\": \"))[^\s=;\"']{1,80}=[^\r\n\"']+"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\bAIza[A-Za-z0-9_-]{35}"  # Google
    # JSON Web Token; no part has "-eyJ" in it, or many of them would be searched to the end of the
    # text, each again
    r"|\beyJ(?:(?!-eyJ)[A-Za-z0-9_-]){8,}\.(?:(?!-eyJ)[A-Za-z0-9_-]){8,}\.[A-Za-z0-9_-]*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?"
)
_VALUE = r"""[^\s"'&,;}\])<>]"""
_NO_PROSE = r"(?![A-Za-z]+[.,;:)]?\s+(?!-)\w)(?![\d.,]+%?(?:\s|$))"
"""No word of a sentence that goes on, and no number."""
_ASSIGNED = re.compile(
    rf"""(?ix)(
      (?: (?:api|access|secret|private|account|auth)[_-]?key | secret | passw(?:or)?d | passphrase
        | (?:access|auth|hf|hub|api|bearer|refresh|session|security)[_-]?token
        | (?-i:(?<=[A-Z]_)(?:TOKEN|KEY))
        | [?&](?:token|key|sig|signature|code|auth|pwd) | x-amz-(?:signature|credential) )
      (?: =["']? | ["']\s?:\s?["'] | (?::\s?|(?<=-key)\s|(?<=-token)\s)["']? {_NO_PROSE} )
    | --(?:token|password|secret)(?:\s["']?) {_NO_PROSE}
    # a list of arguments, as Python writes it
    | --[\w-]{{0,40}}(?:key|token|password|secret)["']\s?,\s?["'](?!-)
    # a word of every tokenizer: only what is long, and of letters and digits, is no count
    | (?<![a-z]\ )\btoken["']?(?::\s?["']?|=["']?)
      (?={_VALUE}{{0,60}}\d)(?={_VALUE}{{0,60}}[a-z])(?={_VALUE}{{10}})
    | authorization["']?\s?[:=]\s?["']?(?:[a-z]+\s)?
    )(?![\s"'*\[]){_VALUE}{{6,}}"""
)
"""A value whose name stands before it; the first group stays."""
_LISTED = re.compile(
    r"""(?ix)(
      (?:api|access|secret|private|account|auth)[_-]?keys? ["']?\s?[:=]\s?\[
    )(?=["'])[^\]]{1,2000}"""
)
"""A list of keys, as Python writes it; the first group stays."""

_LABEL = re.compile(rb'\b(?!le=)\w+="(?:[^"\\\n]|\\.)*"')
"""The value of a label; the bound of a bucket is a number."""
_LOGIN_IN_URL = re.compile(rb"""://[^/\s"'<>]*@""")

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET_WORD = re.compile(
    r"(?:.*(?:password|passwd|passphrase|apikey|secret)s?|.*[^e]tokens?|token"
    r"|credentials?|creds?|bearer|jwt|cookies?"
    r"|(?:access|secret|private|account|auth|master|signing|encryption)keys?"
    r"|(?:db|pg|my|sql|mysql|redis|mongo|root|admin|user|smtp|mail|ssh|ftp|ldap|proxy)pass"
    r"|(?:db|pg|my|sql|mysql|redis|mongo|root|admin|user|smtp|mail)?pwd"
    r"|conn(?:ection)?str(?:ing)?)"
)
_SECRET_LAST = frozenset(
    {"auth", "auths", "authorization", "dsn", "dsns", "key", "keys", "pass", "pat", "sas"}
    | {"signature", "token", "tokens", "webhook", "webhooks", "headers"}
)
_SECRET_ENDS = frozenset(
    {
        ("auth", "config"),  # of Docker, with the logins in it
        ("conn", "str"),
        ("connection", "string"),
        ("secret", "id"),  # of Vault
        ("slack", "hook"),
        ("webhook", "url"),
    }
)
_ENCODED = frozenset({"pem", "hex", "b", "base"})
"""How a value is written, also base64 and b64 without their number: the word before names it."""
_NO_VALUE = frozenset(
    {"adaptive", "algorithm", "audience", "backend", "class", "cls", "cmd", "command", "count"}
    | {"details", "dir", "directory", "enabled", "endpoint", "env", "expires", "expiry", "file"}
    | {"folder", "format", "header", "host", "id", "ids", "index", "interval", "issuer", "length"}
    | {"lifetime", "limit", "method", "mode", "name", "names", "only", "path", "port", "prefix"}
    | {"program", "provider", "ratio", "region", "revision", "scope", "size", "sock", "socket"}
    | {"threshold", "timeout", "tree", "ttl", "type", "uri", "url", "user", "username", "version"}
)
"""Last words of names that speak of a secret and do not hold it: a file, a number of tokens."""

_OF_TEXT = frozenset(
    {"bos", "eos", "pad", "unk", "sep", "cls", "mask", "start", "end", "stop", "special", "added"}
    | {"image", "audio", "video", "draft", "speculative", "lookahead", "think", "thinking"}
)
"""With ``token``, these make it one of a tokenizer's."""
_COUNTED = frozenset(
    {"max", "min", "num", "number", "total", "batched", "per", "prompt", "input", "output", "new"}
    | {"completion", "generated", "generation", "prefill", "cached", "budget", "reasoning", "spec"}
)
_NOT_SENT = frozenset({"allow", "allowed", "enable", "expose", "exposed", "forwarded", "max"})
"""With ``headers``, these make it their names."""
_PUBLIC = frozenset(
    {"public", "primary", "foreign", "sort", "partition", "authorized", "host", "cache", "hot"}
)
"""With ``key``, these make it one that everybody may see."""
_NO_SECRET = frozenset({"PWD", "OLDPWD", "GOOGLE_APPLICATION_CREDENTIALS"})
"""Folders and a file, by what sets and reads them."""


def is_secret(name: str) -> bool:
    """Tell whether a variable, flag or key of that name holds a secret."""
    words = [word.lower() for word in _WORD.findall(name)]
    while words and (words[-1].isdigit() or words[-1] in _ENCODED):
        words.pop()  # the second of its kind, OPENAI_KEY2, or as TLS_KEY_PEM
    if not words or name in _NO_SECRET:
        return False
    last = words[-1]
    if tuple(words[-2:]) in _SECRET_ENDS:
        return True
    if last in _NO_VALUE or not _harmless_beside(last).isdisjoint(words):
        return False
    return last in _SECRET_LAST or any(map(_SECRET_WORD.fullmatch, words))


def _harmless_beside(last: str) -> frozenset[str]:
    """Return the words that make a name harmless whose last word is this."""
    match last:
        case "token":
            return _OF_TEXT
        case "tokens":
            return _OF_TEXT | _COUNTED
        case "key" | "keys":
            return _PUBLIC
        case "headers":
            return _NOT_SENT
        case _:
            return frozenset()


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
    return _without_named(_LOOKS_SECRET.sub(MASK, text))


def _without_named(text: str) -> str:
    return _LISTED.sub(rf"\1{MASK}", _ASSIGNED.sub(rf"\1{MASK}", text))


class Redactor:
    """Masks the secrets that it was told, and what looks like one; also a structlog processor."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Know these secrets from now on, in place of those known before."""
        known = sorted({s for s in secrets if len(s) >= SHORTEST}, key=len, reverse=True)
        self._in_labels = tuple(map(_as_label, known))
        parts = [*(re.escape(secret) for secret in known), _LOOKS_SECRET.pattern]
        pattern = re.compile("|".join(parts))

        def without(text: str) -> str:
            return _without_named(pattern.sub(MASK, text))

        self._without = without
        self._remembered = functools.lru_cache(REMEMBERED)(without)  # a new one: it is empty

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        return self._without(text)

    def labels(self, page: bytes) -> bytes:
        """Return lines of a page of metrics without secrets in their labels; no number changes.

        Known ones, and addresses with a password: the other shapes would cost more than the page.
        """
        found = [secret for secret in self._in_labels if secret in page]
        if not found and b"://" not in page:
            return page

        def without(label: re.Match[bytes]) -> bytes:
            text = label[0]
            for secret in found:
                text = text.replace(secret, MASK.encode())
            return _LOGIN_IN_URL.sub(b"://" + MASK.encode() + b"@", text)

        return _LABEL.sub(without, page)

    def value(self, value: Any) -> Any:
        """Return a value of JSON's kinds without secrets, however deep."""
        if isinstance(value, str):
            short = len(value) <= REMEMBERED_CHARS
            return self._remembered(value) if short else self._without(value)
        if isinstance(value, Mapping):
            return {self.value(key): self.value(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(each) for each in value]
        return value

    def __call__(self, _logger: Any, _method: str, entry: Any) -> Any:
        """Mask an entry of the log."""
        return self.value(entry)


def _as_label(text: str) -> bytes:
    """Write a text as it stands in a label of the Prometheus text format."""
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return escaped.encode(errors="replace")


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
