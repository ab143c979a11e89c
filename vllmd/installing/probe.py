"""Ask an installed vLLM what it is and which flags it takes; run by that vLLM's own Python.

``python probe.py FILE`` writes one JSON object. The parser is the one that `vllm serve` would
use, caught when it begins to parse: its module moves from version to version.
"""

import argparse
import json
import platform
import re
import sys
from collections.abc import Callable
from importlib import metadata
from typing import Any, NoReturn

SAMPLES = (
    ("text", "x"),
    ("json", '{"a": 1}'),
    ("number", "1.5"),
    ("size", "1k"),
    ("integer", "1"),
    ("json", "{}"),
)
"""What a flag takes, told by the first of these that its type accepts."""


class _CaughtError(BaseException):
    """Carries the parser out of the program."""


def main() -> None:
    """Write what was found to the file that was named."""
    path = sys.argv[1]
    try:
        import torch

        versions = {"torch": torch.__version__, "cuda": torch.version.cuda}
    except ImportError:  # a vLLM for hardware that needs none
        versions = {"torch": "", "cuda": None}
    found = {
        "version": metadata.version("vllm"),
        **versions,
        "python": platform.python_version(),
        "flags": [_flag(action) for action in _serve_parser()._actions if action.option_strings],
    }
    with open(path, "w") as file:
        json.dump(found, file)


def _serve_parser() -> argparse.ArgumentParser:
    sys.argv = ["vllm", "serve", "--help"]  # before the import: without it there are no help texts
    from vllm.entrypoints.cli import main as program

    def caught(parser: argparse.ArgumentParser, *_: object, **__: object) -> NoReturn:
        raise _CaughtError(parser)

    argparse.ArgumentParser.parse_known_args = caught  # type: ignore[method-assign,assignment]
    try:
        program.main()
    except _CaughtError as error:
        for action in error.args[0]._actions:
            if isinstance(action, argparse._SubParsersAction) and "serve" in action.choices:
                parser: argparse.ArgumentParser = action.choices["serve"]
                return parser
    raise SystemExit("this vLLM has no command 'serve'")


def _flag(action: argparse.Action) -> dict[str, Any]:
    words = " ".join((action.help or "").split())
    deprecated = getattr(action, "deprecated", False) or "Deprecated" in type(action).__name__
    said = re.search(r"\b(is|are|been) deprecated\b|^\W*deprecated\b", words[:120], re.IGNORECASE)
    return {
        "names": [name for name in action.option_strings if name.startswith("--")],
        "short": [name for name in action.option_strings if not name.startswith("--")],
        "takes": "nothing" if action.nargs == 0 else _kind(action.type),
        "many": action.nargs in ("+", "*") or isinstance(action, argparse._AppendAction),
        "optional": action.nargs in ("?", "*", 0),
        "choices": [str(choice) for choice in action.choices] if action.choices else [],
        "default": _plain(action.default),
        "deprecated": bool(deprecated or said),
        "help": words[:300],
    }


def _kind(convert: Callable[[str], Any] | Any | None) -> str:
    if convert is None:
        return "text"
    for kind, sample in SAMPLES:
        try:
            convert(sample)
        except (Exception, SystemExit):
            continue
        return kind
    return "other"


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float | bool):
        return None if value == argparse.SUPPRESS else value
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError):
        return str(value)[:200]


if __name__ == "__main__":
    main()
