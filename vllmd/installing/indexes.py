"""Where packages come from: what pip was told, told to uv, which does not read it.

A company's mirror is in pip's files; that uv asks the public index instead would be a surprise.
"""

import configparser
import os
from collections.abc import Mapping
from pathlib import Path

_NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
}
_OWN = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")


def files(env: Mapping[str, str]) -> list[Path]:
    """Return pip's files, the one that counts most last."""
    home = Path(env.get("HOME") or "/")
    own = Path(env.get("XDG_CONFIG_HOME") or home / ".config")
    found = [Path("/etc/xdg/pip/pip.conf"), Path("/etc/pip.conf")]
    found += [home / ".pip" / "pip.conf", own / "pip" / "pip.conf"]
    chosen = env.get("PIP_CONFIG_FILE")
    return [*found, Path(chosen)] if chosen else found


def for_uv(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return uv's variables for what pip is told; nothing if uv was told something itself."""
    if any(name in env for name in _OWN):
        return {}
    told: dict[str, str] = {}
    for path in files(env):
        parser = configparser.RawConfigParser()
        try:
            parser.read_string(path.read_text())
        except (OSError, UnicodeDecodeError, configparser.Error):
            continue
        for section in ("global", "install"):
            if parser.has_section(section):
                told |= {k: v for k, v in parser.items(section) if k in _NAMES}
    for name in _NAMES:
        value = env.get(f"PIP_{name.upper().replace('-', '_')}")
        if value:
            told[name] = value
    result = {_NAMES[name]: " ".join(value.split()) for name, value in told.items()}
    if "SSL_CERT_FILE" in env:
        result.pop("SSL_CERT_FILE", None)
    return result
