"""What daemon and shim say to each other: one JSON object a line, in both directions.

The version is a promise across upgrades: a shim of an old package lives on, with its engine, under
a newer daemon (and after a downgrade under an older one). So a field is only ever added, an unknown
field is ignored, and a change that cannot be made so gets a new number.

1. *Specification*, daemon to shim, on the shim's standard input: one line, a `Spec`. A shim that
   does not get a complete line in time exits 0 and has done nothing.
2. *Report*, shim to daemon, on the same connection: one line, `{"protocol", "pid", "engine_pid"}`,
   or `{"protocol", "error": CODE, "message"}`; then it is closed.
3. *Requests*, on the socket `shim.sock` in the engine's directory: `{"op": …}`, each answered by
   one line. `status` answers a `Status`, with `"once_changed": true` only once it is another one
   than that connection was told last; `tail` answers `{"lines": [...]}`; `stop` answers
   `{"ok": true}` at once, sends SIGTERM to the engine's main process, and after `grace_s` seconds
   kills its tree; `watch` answers a `Status` and, when the engine and its whole tree are gone, a
   second line: the `ExitRecord`; `rotate` answers `{"ok": true}` and begins a new file of the log;
   `rotation` takes a `Rotation` as `"rotation"` in place of the one before. Anything else answers
   `{"error": …}` with a sentence, and changes nothing.
4. *Files* in the engine's directory: `run.json` (a `RunRecord`, written when the engine is
   spawned) and `exit.json` (an `ExitRecord`, written when nothing of it is left). A `run.json`
   whose `run_id` has no `exit.json`, with nobody listening, means that the shim itself was killed.
"""

import json
from typing import Any, NotRequired, TypedDict


class Rotation(TypedDict):
    """Say when the log is rotated, and how much of it is kept.

    `period` is one of hourly, daily, weekly, never; `keep` counts rotated files; the budget is for
    all files of the log together.
    """

    max_bytes: int
    period: str
    keep: int
    budget_bytes: int


class Spec(TypedDict):
    """Say what to run. Times are in seconds, paths are absolute."""

    protocol: int
    engine: str
    run_id: str
    argv: list[str]
    env: dict[str, str]
    cwd: str
    directory: str
    log: str
    command_hash: str
    stop_grace_s: float
    tail_bytes: int
    rotation: NotRequired[Rotation]
    """When the log is rotated; as `ROTATION` if it is not told."""
    secrets: NotRequired[list[str]]
    """What never reaches the log."""
    marks: NotRequired[list[str]]
    """Lines with none of these are counted, as `counted` says; without it nothing is counted."""


class RunRecord(TypedDict):
    """Say what runs, so that it can be found when its shim is gone.

    Start times are in clock ticks since boot, as in `/proc/PID/stat`.
    """

    protocol: int
    engine: str
    run_id: str
    command_hash: str
    boot_id: str
    shim_pid: int
    shim_start_ticks: int
    engine_pid: int
    engine_start_ticks: int
    started_at: float
    log: str
    log_offset: int
    log_number: NotRequired[int]
    """Of the file of the log in which this run's output begins, at `log_offset`."""


class ExitRecord(TypedDict):
    """Say how an engine ended.

    Exactly one of `exit_code` and `signal` is set, unless it never started (`error`). `killed`
    names what outlived the main process and had to be killed.
    """

    protocol: int
    engine: str
    run_id: str
    engine_pid: int
    exit_code: int | None
    signal: int | None
    error: str | None
    requested: bool
    started_at: float
    ended_at: float
    killed: list[str]
    log_lost_bytes: int
    tail: list[str]
    oom_kills: NotRequired[int]
    """Processes of its control group that the kernel killed for lack of memory meanwhile."""
    log_dropped_lines: NotRequired[int]


class Status(RunRecord):
    """A `RunRecord` and what has happened since."""

    stopping: bool
    output_bytes: int
    log_lost_bytes: int
    log_dropped_lines: NotRequired[int]
    """Lines that the disk did not take, and their bytes above."""
    log_rotations: NotRequired[int]
    log_cut_lines: NotRequired[int]
    """How often a line was cut because it was too long."""
    log_problem: NotRequired[str | None]
    """Why the log cannot be written now."""
    log_settled: NotRequired[bool]
    """Whether the disk has all that was printed. A shim that says so knows `once_changed`."""
    unfinished: NotRequired[str]
    """The line under way: a progress bar, mostly."""
    mistakes: NotRequired[int]
    """How often the shim itself failed at something and went on; `shim.err` says at what."""


Message = dict[str, Any]

PROTOCOL = 1
ROTATION: Rotation = {
    "max_bytes": 100 * 1024 * 1024,
    "period": "daily",
    "keep": 14,
    "budget_bytes": 2 * 1024 * 1024 * 1024,
}
MAX_SPEC_BYTES = 1024 * 1024
MAX_REQUEST_BYTES = 64 * 1024
MAX_GRACE_S = 1e9
"""An engine may take 31 years to end: a longer time is a mistake."""

SOCKET_NAME = "shim.sock"
LOCK_NAME = "shim.lock"
RUN_RECORD_NAME = "run.json"
EXIT_RECORD_NAME = "exit.json"

ERROR_RUNNING = "already-running"
ERROR_SPAWN = "spawn-failed"
ERROR_SETUP = "setup-failed"
ERROR_PROTOCOL = "protocol"

_SPEC_TYPES: dict[str, type | tuple[type, ...]] = {
    "protocol": int,
    "engine": str,
    "run_id": str,
    "argv": list,
    "env": dict,
    "cwd": str,
    "directory": str,
    "log": str,
    "command_hash": str,
    "stop_grace_s": (int, float),
    "tail_bytes": int,
}
_ROTATION_LEAST = {"max_bytes": 1, "keep": 0, "budget_bytes": 0}
_ROTATION_MOST = 2**53
PERIODS = ("hourly", "daily", "weekly", "never")


def encode(message: object) -> bytes:
    """Write one message as a line of JSON."""
    # one copy of a large answer less than with a line's end behind its bytes
    return (json.dumps(message, separators=(",", ":")) + "\n").encode()


def parse_message(line: bytes) -> Message:
    """Read one line of JSON.

    Raises: ValueError: it is not a JSON object; the caller answers so and goes on.
    """
    try:
        message = json.loads(line, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(message, dict):
        raise ValueError(f"expected a JSON object, got {type(message).__name__}")
    return message


def parse_spec(line: bytes) -> Spec:
    """Read a specification and check that each field is there and of its type.

    Raises: ValueError: something is missing or wrong, or the protocol's version is unknown.
    """
    spec = parse_message(line)
    if spec.get("protocol") != PROTOCOL:
        raise ValueError(f"protocol {spec.get('protocol')!r} is not {PROTOCOL}")
    for name, kind in _SPEC_TYPES.items():
        if not isinstance(spec.get(name), kind) or isinstance(spec.get(name), bool):
            raise ValueError(f"field {name!r} is {spec.get(name)!r}")
    if not spec["argv"]:
        raise ValueError("field 'argv' is empty")
    for name, words in (("argv", spec["argv"]), ("env", [*spec["env"], *spec["env"].values()])):
        if not all(isinstance(word, str) and "\0" not in word for word in words):
            raise ValueError(f"field {name!r} has something else than text without NUL in it")
    if not (0 <= spec["stop_grace_s"] <= MAX_GRACE_S and spec["tail_bytes"] > 0):
        raise ValueError(
            "fields 'stop_grace_s' and 'tail_bytes' are to be positive, and no wild numbers"
        )
    for name in ("secrets", "marks"):
        texts = spec.get(name, [])
        if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
            raise ValueError(f"field {name!r} is no list of text")
    spec["rotation"] = parse_rotation(spec.get("rotation"))
    return spec  # type: ignore[return-value]  # checked just above, field by field


def rotation_problem(given: object) -> str | None:
    """Return the sentence about what is wrong with a rotation, or None."""
    if not isinstance(given, dict):
        return "give an object with max_bytes, period, keep and budget_bytes"
    for name in ROTATION:
        if name in given and not _fits(name, given[name]):
            least = _ROTATION_LEAST.get(name)
            wanted = f"one of {', '.join(PERIODS)}" if least is None else f"{least} or more"
            return f"{name} is to be {wanted}"
    return None


def parse_rotation(given: object) -> Rotation:
    """Read when a log is rotated: field by field, `ROTATION`'s where there is none that fits."""
    rotation: Message = {**ROTATION}
    if isinstance(given, dict):
        for name in ROTATION:
            if _fits(name, given.get(name)):
                rotation[name] = given[name]
    return rotation  # type: ignore[return-value]  # checked just above, field by field


def _fits(name: str, value: object) -> bool:
    if name == "period":
        return isinstance(value, str) and value in PERIODS
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and _ROTATION_LEAST[name] <= value <= _ROTATION_MOST  # type: ignore[operator]


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
