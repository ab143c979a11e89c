"""The secrets that a configuration holds or passes on, so that they can be masked everywhere."""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from vllmd.config.model import Config
from vllmd.config.sections import NotifyConfig
from vllmd.config.traces import ForwardConfig
from vllmd.errors import ConfigError
from vllmd.shim.files import read_regular
from vllmd.util.deadline import call_within
from vllmd.util.redact import is_secret, secrets_in_value
from vllmd.util.units import KIB

_ASSIGNED = re.compile(r"""([\w.-]+)["']?\s*[=:]\s*("[^"\n]*"|'[^'\n]*'|[^\s"',}\]]+)""")
"""A name and its value, as in TOML: ``HF_TOKEN = "…"``."""


MAX_FILE_BYTES = 64 * KIB
"""Of a file with a secret in it."""


def secrets_of(config: Config, env: Mapping[str, str] = os.environ) -> Iterator[str]:
    """Yield the values of all variables and flags that are secret, or the parts that are."""
    yield from _of(env)
    with contextlib.suppress(ConfigError):
        yield webhook_url(config.notify) or ""
    with contextlib.suppress(ConfigError):
        yield from forward_headers(config.traces.forward).values()
    for engine in config.engines.values():
        yield from _of(engine.env)
        for name in engine.secret_variables:
            yield engine.env[name]
            yield from engine.env[name].splitlines()
        yield from engine.api_keys
        yield from _of(engine.flags)
    for text in _texts(attrs.asdict(config)):
        yield from secrets_in_value("", text)


def secrets_in(text: str) -> Iterator[str]:
    """Yield what looks like a secret in a configuration that may be broken, by its names."""
    for name, value in _ASSIGNED.findall(text):
        if is_secret(name) or name in ("webhook_url", "Authorization"):
            yield value.strip("\"'")


def webhook_url(notify: NotifyConfig) -> str | None:
    """Return the address of the webhook, from the configuration or from its file.

    Raises: ConfigError: the file cannot be read.
    """
    if notify.webhook_url or not notify.webhook_url_file:
        return notify.webhook_url
    try:
        return _read(notify.webhook_url_file).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"notify.webhook_url_file: {error}; let the daemon's user read it, or take the key out"
        ) from None


def forward_headers(forward: ForwardConfig) -> dict[str, str]:
    """Return the headers for who takes spans, from the configuration and from their file.

    Raises: ConfigError: the file cannot be read, or has a line that is no header.
    """
    headers = {}
    if forward.headers_file:
        try:
            text = _read(forward.headers_file)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"traces.forward.headers_file: {error}; let the daemon's user read it, or take the "
                "key out"
            ) from None
        for number, line in enumerate(text.splitlines(), 1):
            name, colon, value = line.partition(":")
            if not line.strip() or line.startswith("#"):
                continue
            if not colon or not name.strip() or not value.isprintable() or not value.isascii():
                raise ConfigError(
                    f"traces.forward.headers_file: line {number} of {forward.headers_file} is no "
                    "header; write 'Name: value'"
                )
            headers[name.strip()] = value.strip()
    return {**headers, **forward.headers}


def _read(path: str) -> str:
    return call_within(path, lambda: read_regular(path, MAX_FILE_BYTES)).decode()


def _texts(value: Any) -> Iterator[str]:
    """Yield all texts in a value: a model's address, an adapter's, a word of the program."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)


def _of(table: Mapping[str, Any]) -> Iterator[str]:
    for name, value in table.items():
        yield from secrets_in_value(name, value)
