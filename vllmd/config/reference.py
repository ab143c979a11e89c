"""The documented example, written from the model: ``python -m vllmd.config.reference``.

`etc/vllmd.toml` is its output; a test holds the two together.
"""

import json
import textwrap
from collections.abc import Iterator
from typing import Any

import attrs

from vllmd.config.model import Daemon, Engine, Liveness, Lora, Restart

WIDTH = 96

HEAD = """\
# vllmd.toml: every key, with its default or, where there is none, an example.
# A line that begins with '#' and a key shows a default; take away the '#' to change it.
# 'vllmd check' says what is wrong with this file and shows the commands that it leads to.
"""


def reference() -> str:
    """Return the example as TOML; as it stands, it configures no engine."""
    parts = [HEAD]
    parts.append("\n".join(["[daemon]", *_section(Daemon)]))
    parts.append("\n".join(["# [engines.chat]", *_section(Engine)]))
    parts.append("\n".join(["# [engines.chat.lora]", *_section(Lora)]))
    parts.append("\n".join(["# [engines.chat.restart]", *_section(Restart)]))
    parts.append("\n".join(["# [engines.chat.liveness]", *_section(Liveness)]))
    return "\n".join(part + "\n" for part in parts)


def _section(cls: type) -> Iterator[str]:
    for field in attrs.fields(cls):
        if "rule" not in field.metadata:
            continue
        text = field.metadata["help"]
        yield ""
        yield from textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ")
        yield f"# {field.name} = {field.metadata['example'] or shown(field.default)}"


def shown(value: Any) -> str:
    """Return a default as TOML."""
    if isinstance(value, tuple):
        value = value[0] if len(value) == 1 else list(value)
    return json.dumps(value)


if __name__ == "__main__":
    print(reference(), end="")
