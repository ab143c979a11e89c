"""The configuration of `vllmd run --demo`."""

import json
from collections.abc import Mapping
from pathlib import Path

from vllmd.demo.adapter import write_adapter
from vllmd.errors import VllmdError

DEMO_CONFIG = """
[daemon]
listen = "127.0.0.1:9840"

[cost]
gpu_hour = 2.50
kwh = 0.30
budget_million_tokens = 5.00

[engines.demo]
model = "stand-in/tiny"
served_model_name = "tiny"
executable = "stand-in"
port = 8000
max_model_len = 4096
enable_prefix_caching = true
unready_s = 0

[engines.demo.lora]
modules = {{ sql = "{folder}/sql" }}
directory = "{folder}/watched"
"""

DEMO_GPUS = """
[gpu]
source = "demo"
"""
"""What is added to it where there is no GPU."""


DEMO_FILE = "demo.toml"
"""Where commands find the demonstration's folders, below its state directory."""


def write_for_commands(text: str, path: Path, folders: Mapping[str, Path]) -> None:
    """Write the configuration with the folders that are used, for commands that are told of it.

    `folders` are keys of [daemon].

    Raises: VllmdError: it cannot be written.
    """
    keys = "".join(f"{key} = {json.dumps(str(path))}\n" for key, path in folders.items())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("[daemon]\n", f"[daemon]\n{keys}", 1))
    except OSError as error:
        raise VllmdError(f"cannot write {path}: {error.strerror}") from None


def demo_config(folder: Path) -> str:
    """Return the configuration, with adapters of zeros below `folder`.

    Raises: VllmdError: they cannot be written.
    """
    try:
        write_adapter(folder / "sql")
        write_adapter(folder / "watched" / "support")
    except OSError as error:
        raise VllmdError(
            f"cannot write the demonstration's adapters to {folder}: {error.strerror}; set "
            "STATE_DIRECTORY to a folder that this user may write to"
        ) from None
    return DEMO_CONFIG.format(folder=folder)
