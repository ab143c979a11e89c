"""Read pairs of commands with the parser of an installed vLLM; run by that vLLM's own Python.

``python parse_commands.py FILE`` takes JSON on standard input: a list of triples, each a folder to
be in, and two lists of arguments that follow ``vllm``, or a Python module of it. It writes a list
of the same length to FILE: for each what the parser refuses, and the options whose values differ,
with both values.
"""

import argparse
import contextlib
import io
import json
import os
import re
import sys
from typing import Any, NoReturn


class _CaughtError(BaseException):
    """Carries the parser out of the program."""


def main() -> None:
    """Compare all pairs."""
    path = sys.argv[1]
    pairs = json.load(sys.stdin)
    parser = _program_parser()
    serve = next(
        action.choices["serve"]
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    names = {
        action.dest: next(name for name in action.option_strings if name.startswith("--"))
        for action in serve._actions
        if any(name.startswith("--") for name in action.option_strings)
    }
    with open(path, "w") as file:
        json.dump([_pair(parser, serve, names, *pair) for pair in pairs], file)


def _program_parser() -> Any:
    sys.argv = ["vllm", "serve", "a-model"]  # with --help the parser has no --model
    from vllm.entrypoints.cli import main as program

    def caught(parser: argparse.ArgumentParser, *_: object, **__: object) -> NoReturn:
        raise _CaughtError(parser)

    whole = argparse.ArgumentParser.parse_known_args
    argparse.ArgumentParser.parse_known_args = caught  # type: ignore[method-assign,assignment]
    try:
        program.main()
    except _CaughtError as error:
        argparse.ArgumentParser.parse_known_args = whole  # type: ignore[method-assign]
        return error.args[0]
    raise SystemExit("the program's parser was not caught")


def _pair(
    parser: Any,
    serve: Any,
    names: dict[str, str],
    folder: str,
    before: list[str],
    after: list[str],
) -> dict[str, Any]:
    os.chdir(folder)
    found = [_parsed(parser, serve, each) for each in (before, after)]
    one, other = found
    if isinstance(one, str) or isinstance(other, str):
        refused = [each if isinstance(each, str) else None for each in found]
        return {"refused": refused, "differ": {}}
    differ = {}
    for dest, name in names.items():
        values = [_plain(vars(each).get(dest)) for each in found]
        if values[0] != values[1]:
            differ[name] = values
    return {"refused": [None, None], "differ": differ}


def _parsed(parser: Any, serve: Any, words: list[str]) -> Any:
    """Return the namespace, or what is said in place of it."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            # a module of the server has no subcommands
            made = (parser if words[:1] == ["serve"] else serve).parse_args(words)
    except (SystemExit, ValueError, OSError, TypeError) as error:
        return f"{said.getvalue()[-600:]} {error!r}"
    if getattr(made, "model_tag", None) is not None:
        made.model = made.model_tag
    return made


def _plain(value: Any) -> Any:
    """Return a value as text that is equal for equal values; an id is new each time."""
    return re.sub(r"engine_id='[^']*'", "", json.dumps(value, default=repr, sort_keys=True))


if __name__ == "__main__":
    main()
