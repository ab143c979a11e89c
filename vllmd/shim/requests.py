"""What clients ask of a shim: read, checked, and refused with a sentence."""

import math
from collections.abc import Callable

from vllmd.shim import protocol
from vllmd.shim.protocol import MAX_GRACE_S, Message, Rotation

KNOWN_OPS = "status, tail, stop, watch, rotate, rotation"
DEFAULT_TAIL_LINES = 20
MAX_TAIL_LINES = 1_000_000
SHOWN_CHARACTERS = 80


class RequestError(ValueError):
    """A request that cannot be answered; the text is a sentence for whoever asked."""


class Requests:
    """Answers requests by what a shim can do. `answer` raises nothing but by a mistake below it."""

    def __init__(
        self,
        *,
        status: Callable[[], Message],
        tail: Callable[[int], list[str]],
        stop: Callable[[float], None],
        rotate: Callable[[], None],
        set_rotation: Callable[[Rotation], None],
        stop_grace_s: float,
    ) -> None:
        self._status = status
        self._tail = tail
        self._stop = stop
        self._rotate = rotate
        self._set_rotation = set_rotation
        self._stop_grace_s = stop_grace_s

    def answer(self, request: Message) -> Message:
        """Do what is asked; what is asked wrongly changes nothing and is answered so."""
        try:
            return self._do(request)
        except RequestError as error:
            return {"error": str(error)}

    def _do(self, request: Message) -> Message:
        match request.get("op"):
            case "status":
                return self._status()
            case "tail":
                return {"lines": self._tail(_lines(request.get("lines", DEFAULT_TAIL_LINES)))}
            case "rotate":
                self._rotate()
            case "rotation":
                self._set_rotation(_rotation(request.get("rotation")))
            case "stop":
                self._stop(_grace_s(request.get("grace_s", self._stop_grace_s)))
            case unknown:
                raise RequestError(f"unknown op {_shown(unknown)}; known: {KNOWN_OPS}")
        return {"ok": True}


def _lines(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_TAIL_LINES:
        raise RequestError(
            f"lines is {_shown(value)}; give a whole number from 0 to {MAX_TAIL_LINES}"
        )
    return value


def _grace_s(value: object) -> float:
    """Read a number of seconds; one that compares with nothing would kill at once."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= MAX_GRACE_S:  # type: ignore[operator]  # a number
        raise RequestError(
            f"grace_s is {_shown(value)}; give a number of seconds from 0 to {MAX_GRACE_S:.0f}"
        )
    return float(value)  # type: ignore[arg-type]  # a number


def _rotation(value: object) -> Rotation:
    problem = protocol.rotation_problem(value)
    if problem is not None:
        raise RequestError(f"rotation: {problem}; the log is rotated as before")
    return protocol.parse_rotation(value)


def _shown(value: object) -> str:
    """Show what was sent, shortened; what is nested may be nested too deep to be printed."""
    if isinstance(value, list | dict):
        return f"a {type(value).__name__}"
    if isinstance(value, float) and not math.isfinite(value):
        return "no finite number"
    if isinstance(value, int) and value.bit_length() > SHOWN_CHARACTERS:
        return "a number of many digits"
    shown = repr(value if not isinstance(value, str) else value[: SHOWN_CHARACTERS + 1])
    return shown if len(shown) <= SHOWN_CHARACTERS else f"{shown[:SHOWN_CHARACTERS]}…"
