"""Secrets taken out of whatever is shown, kept or sent."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

MASK = "********"
SHORTEST = 6
"""Shorter values are no secrets, and would mask half of every text."""

_LOOKS_SECRET = re.compile(
    r"\bhf_[A-Za-z0-9]{16,}"  # Hugging Face
    r"|\bsk-[A-Za-z0-9_-]{16,}"  # OpenAI and those who imitate it
    r"|(?<=[Bb]earer )[A-Za-z0-9._~+/=-]{6,}"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"  # user:password in a URL
    r"|(?<=hooks\.slack\.com/)[A-Za-z0-9/]+"
    r"|\b(?:gh[pousr]|glpat|xox[abprs])[_-][A-Za-z0-9-]{16,}"
    r"|\bAKIA[A-Z0-9]{16}\b"
)


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
        return self._pattern.sub(MASK, text)

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
