"""`vllm serve --config FILE`: the arguments that the file stands for. Pure.

Source: vllm/utils/argparse_utils.py, `load_config_file`: what the file has comes before the other
arguments, so that these win.
"""

import json
from typing import Any

from vllmd.errors import VllmdError
from vllmd.importing.yaml_values import Items, Table, Text, documents


def arguments_of(text: str, source: str, *, module: bool = False) -> tuple[list[str], list[str]]:
    """Return the arguments that a configuration file of vLLM stands for, and what has no effect.

    `module`: the server is started as a Python module. With `vllm serve` a false does nothing: its
    parser looks for the flag among those of the program, and not of its subcommand.

    Raises: VllmdError: it is none.
    """
    found = documents(text, source, "1.1")
    if len(found) != 1 or not isinstance(found[0], Table):
        raise VllmdError(f"{source}: it is no configuration of vLLM: write one 'key: value' a line")
    arguments: list[str] = []
    remarks: list[str] = []
    for key, value in found[0].items():
        flag = f"--{key}"
        match value:
            case Text(kind="bool"):
                if value.lower() in _TRUE:
                    arguments.append(flag)
                elif module:
                    arguments.append(f"--no-{key}")
                else:
                    remarks.append(
                        f"left out: {key}: {value}: 'vllm serve' ignores a false of its file, and "
                        "ran with its default; if it is to be off, write false here"
                    )
            case Items():
                arguments += [flag, *(_written(each) for each in value)] if value else []
            case Table():
                arguments += [flag, json.dumps(_plain(value))]
            case None | Text(kind="null"):
                remarks.append(f"left out: {key}: it has no value, and vLLM would refuse that")
            case _:
                arguments += [flag, str(value)]
    return arguments, remarks


_TRUE = ("true", "yes", "on", "y")


def _plain(value: Any) -> Any:
    if isinstance(value, Table):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, Items):
        return [_plain(each) for each in value]
    if not isinstance(value, Text):
        return value
    return _scalar(value)


def _scalar(value: Text) -> Any:
    try:
        match value.kind:
            case "bool":
                return value.lower() in _TRUE
            case "int":
                return int(value.replace("_", ""), 0)
            case "float":
                return float(value)
    except ValueError:
        return str(value)
    return None if value.kind == "null" else str(value)


def _written(value: Any) -> str:
    return str(value) if isinstance(value, Text) else json.dumps(_plain(value))
