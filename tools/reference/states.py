"""States of an engine, phases of a load, kinds of causes, and exit codes."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from enum import Enum

from tools.manual import exit_codes
from tools.reference.markdown import code, page, plain, table
from vllmd import errors
from vllmd.engine.causes.base import Kind
from vllmd.engine.loading.phases import PHASES
from vllmd.engine.state_machine import TRANSITIONS, State, Trigger
from vllmd.errors import VllmdError

ABOUT = """\
The glossary of what `vllmd status`, events and metrics say. How it comes from one to the other is
told in [supervision](../supervision.md#states).
"""
KINDS = {
    Kind.TRANSIENT: "it may go away by itself: it is started again, after a pause that doubles",
    Kind.CONFIGURATION: "what the engine was given: held until it is changed",
    Kind.HARDWARE: "a GPU or the host: held until it is fixed",
    Kind.DRIVER: "a driver that does not fit: held until it does",
    Kind.OPERATOR: "a person, or a program for them, ended it",
    Kind.UNKNOWN: "nothing known fits: started again, and held after too many failures",
}
_PHASES = {
    "init": "it reads its arguments and makes its processes",
    "download": "the model comes from the hub",
    "weights": "weights are read",
    "profile": "the loaded model is run once, to see how much memory is left",
    "compile": "kernels are compiled, or read from the cache",
    "kv_cache": "the KV cache is allocated",
    "graphs": "CUDA graphs are captured",
    "warm_up": "kernels are run once",
    "listening": "the API server starts",
}


def states() -> str:
    """Return the page."""
    told = documented(State)
    rows = [
        [
            code(state),
            plain(told[state.name]),
            "200" if state is State.READY else "503",
            ", ".join(map(code, _after(state))),
        ]
        for state in State
    ]
    happens = documented(Trigger)
    parts = [
        "## States",
        "`vllmd_engine_state` has one series for each; `vllmd_engine_up` is 1 in `ready` only.",
        table(["state", "what it means", "`/ready/NAME`", "can become"], rows),
        "## What can happen to an engine",
        "`vllmd_engine_transitions_total` counts these by `event`.",
        table(
            ["event", "what"],
            ([code(each), plain(happens[each.name])] for each in Trigger),
        ),
        "## Phases of a load",
        table(["phase", "what is done"], ([code(name), _PHASES[name]] for name, _ in PHASES)),
        "## Kinds of causes",
        "Who has to act, and so what follows. Each [cause](causes.md) is of one.",
        table(["kind", "what"], ([code(kind), text] for kind, text in KINDS.items())),
        "## Exit codes",
        table(["code", "what", "that is"], _exit_rows()),
    ]
    return page("States and exit codes", ABOUT, parts)


def _after(state: State) -> list[str]:
    ways = (str(after) for (before, _), after in TRANSITIONS.items() if before is state)
    return list(dict.fromkeys(ways))


def documented(enumeration: type[Enum]) -> dict[str, str]:
    """Return what stands below each member of an enumeration, by its name."""
    (made,) = ast.parse(textwrap.dedent(inspect.getsource(enumeration))).body
    assert isinstance(made, ast.ClassDef)
    found = {}
    for member, below in zip(made.body, made.body[1:], strict=False):
        match member, below:
            case (
                ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = text
    return found


def _exit_rows() -> Iterator[list[str]]:
    meant: dict[str, list[str]] = {}
    for each in vars(errors).values():
        if inspect.isclass(each) and issubclass(each, VllmdError) and each is not VllmdError:
            words = " ".join((each.__doc__ or "").split("\n\n")[0].split(";")[0].split())
            meant.setdefault(str(each.exit_code), []).append(words.rstrip("."))
    for number, text in exit_codes():
        yield [number, plain(text), plain("; ".join(meant.get(number, [])))]
