"""The documented example, written from the model: ``python -m vllmd.config.reference``.

`etc/vllmd.toml` is its output; a test holds the two together.
"""

import json
import textwrap
from collections.abc import Iterator
from typing import Any

import attrs

from vllmd.config.cost import CostConfig
from vllmd.config.fleet import FleetConfig
from vllmd.config.group import GroupConfig
from vllmd.config.lora import LoraConfig
from vllmd.config.model import DaemonConfig, EngineConfig, LivenessConfig, RestartConfig
from vllmd.config.probe import ProbeConfig
from vllmd.config.sections import GpuConfig, HistoryConfig, LogsConfig, NotifyConfig
from vllmd.config.sleep import SleepConfig
from vllmd.config.traces import ForwardConfig, TracesConfig

WIDTH = 96

HEAD = """\
# vllmd.toml: every key, with its default or, where there is none, an example.
# A line that begins with '#' and a key shows a default; take away the '#' to change it.
# 'vllmd check' says what is wrong with this file and shows the commands that it leads to.
"""

TABLES: tuple[tuple[str, type], ...] = (
    ("[daemon]", DaemonConfig),
    ("# [history]", HistoryConfig),
    ("# [logs]", LogsConfig),
    ("# [gpu]", GpuConfig),
    ("# [traces]", TracesConfig),
    ("# [traces.forward]", ForwardConfig),
    ("# [cost]", CostConfig),
    ("# [notify]", NotifyConfig),
    ("# [fleet]", FleetConfig),
    ("# [engines.chat]", EngineConfig),
    ("# [engines.chat.lora]", LoraConfig),
    ("# [engines.chat.sleep]", SleepConfig),
    ("# [engines.chat.group]", GroupConfig),
    ("# [engines.chat.probe]", ProbeConfig),
    ("# [engines.chat.restart]", RestartConfig),
    ("# [engines.chat.liveness]", LivenessConfig),
)


def reference() -> str:
    """Return the example as TOML; as it stands, it configures no engine."""
    parts = [HEAD]
    for title, cls in TABLES:
        parts.append("\n".join([title, *_section(cls)]))
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
