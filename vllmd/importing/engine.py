"""An engine's table from vLLM's own arguments. Pure."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from vllmd.config.flags import OWN_KEYS
from vllmd.importing.launch import Launch

_SHORT = {
    "-tp": "tensor-parallel-size",
    "-pp": "pipeline-parallel-size",
    "-dp": "data-parallel-size",
}
_SHORT |= {"-q": "quantization", "-O": "compilation-config", "-cc": "compilation-config"}
_DROPPED = {
    "uds": "vllmd reaches an engine by host and port",
    "headless": "vllmd needs the engine's API server",
    "ssl-keyfile-password": "every user of the host can read arguments: take the password off the "
    "key (openssl pkey -in KEY -out NEW)",
}
ALL_ADDRESSES = (
    "host: without --host vLLM listens on all addresses, and so it does here; vllmd's default is "
    "127.0.0.1"
)
"""Source: vLLM, api_server.create_server_socket: a host that is not given is ''."""
_THOUSANDS = {"k": 1000, "K": 1024, "m": 1_000_000, "M": 1 << 20}
_LISTS = {"served-model-name", "lora-modules"}


@attrs.define
class EngineTable:
    """The keys of [engines.NAME], and its own tables."""

    keys: dict[str, Any] = attrs.field(factory=dict)
    lora: dict[str, Any] = attrs.field(factory=dict)
    flags: dict[str, Any] = attrs.field(factory=dict)
    env: dict[str, str] = attrs.field(factory=dict)
    has_lora: bool = False
    remarks: list[str] = attrs.field(factory=list)


def table_of(launch: Launch) -> EngineTable:
    """Return the table of a launch; what cannot be taken over is among the remarks."""
    table = EngineTable(env=dict(launch.variables), remarks=list(launch.remarks))
    if launch.program != ("vllm",):
        program = list(launch.program)
        table.keys["executable"] = program[0] if len(program) == 1 else program
    for name, value in _given(launch.arguments, table):
        _take(table, name, value)
    if "host" not in table.keys:
        table.keys["host"] = "0.0.0.0"
        table.remarks.append(ALL_ADDRESSES)
    return table


def _given(arguments: tuple[str, ...], table: EngineTable) -> Iterator[tuple[str, Any]]:
    """Yield flags by their long name: true and false where none of a value follows."""
    words = list(arguments)
    if words and not words[0].startswith("-"):
        table.keys["model"] = words.pop(0)
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            table.remarks.append(f"left out: {word!r} belongs to no flag")
            continue
        name, equals, value = word.partition("=")
        name = _SHORT.get(name, name.lstrip("-").replace("_", "-"))
        values = [value] if equals else []
        while not equals and words and not re.match(r"--?[A-Za-z]", words[0]):
            values.append(words.pop(0))
            if name not in _LISTS and len(values) == 1 and _alone(words):
                break
        if values:
            yield name, values if len(values) > 1 or name in _LISTS else _read(values[0])
        elif name.startswith("no-"):
            yield name.removeprefix("no-"), False
        else:
            yield name, True


def _alone(words: list[str]) -> bool:
    return not words or words[0].startswith("-")


def _read(text: str) -> Any:
    """Read a value as the type that it looks like; a number with a k stays what it means."""
    if found := re.fullmatch(r"(\d+(?:\.\d+)?)([kKmM])", text):
        return int(float(found[1]) * _THOUSANDS[found[2]])
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if value is None else value


def _take(table: EngineTable, name: str, value: Any) -> None:
    own = OWN_KEYS.get(name)
    if name == "api-key":
        table.env["VLLM_API_KEY"] = str(value)
        table.remarks.append(
            "--api-key became env.VLLM_API_KEY: arguments can be read by every user of the host; "
            "better still in /etc/vllmd/credentials/api_key"
        )
    elif name == "hf-token" and isinstance(value, str):
        table.env["HF_TOKEN"] = value
        table.remarks.append(
            "--hf-token became env.HF_TOKEN: arguments can be read by every user of the host; "
            "better still in /etc/vllmd/credentials/hf_token"
        )
    elif name in _DROPPED:
        table.remarks.append(f"left out: --{name}: {_DROPPED[name]}")
    elif name == "lora-modules":
        table.has_lora = True
        table.lora["modules"] = dict(_module(each) for each in value)
    elif own == "lora":
        table.has_lora = value is not False
    elif own and own.startswith("lora."):
        table.lora[own.removeprefix("lora.")] = value
    elif own:
        table.keys[own] = _as_key(own, value)
    else:
        table.flags[name] = value


def _as_key(own: str, value: Any) -> Any:
    if own == "served_model_name":
        return value[0] if len(value) == 1 else value
    return str(value) if own in ("model", "host", "quantization") else value


def _module(text: str) -> tuple[str, str]:
    """Read an adapter as vLLM does: name=path, or JSON."""
    if text.startswith("{"):
        made: Mapping[str, Any] = json.loads(text)
        return str(made["name"]), str(made["path"])
    name, _, path = text.partition("=")
    return name, path
