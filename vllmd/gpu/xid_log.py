"""The Xids that were seen: each once, whether NVML or the kernel's log told it, or both."""

import re
from collections import deque

import attrs
import structlog

from vllmd.events.base import emit
from vllmd.events.gpu import GpuXidSeen
from vllmd.gpu.latest import Device
from vllmd.gpu.snapshot import SeenXid
from vllmd.xids import XidAction, describe

MAX_XIDS = 100
SAME_S = 5.0
"""What NVML and the kernel's log tell within this time is one Xid."""
END_AFTER_S = 120.0
"""How long after an Xid an engine may end for it: vLLM notices a dead worker in seconds."""

_PID = re.compile(r"\bpid=(\d+)")

_log = structlog.get_logger()


@attrs.frozen
class XidEvent:
    """An Xid, as it came; `at` in seconds since the epoch, `text` the kernel's words or none."""

    at: float
    uuid: str
    code: int
    text: str = ""

    def concerns_an_end(self, at: float) -> bool:
        """Tell whether a process that ended at that time may have ended for it.

        A GPU that needs a reset stays so; what concerns one process is over with that.
        """
        return self.is_lasting or at - self.at <= END_AFTER_S

    @property
    def is_lasting(self) -> bool:
        """Whether the GPU stays as it is until it is reset."""
        return describe(self.code).action in (XidAction.RESET, XidAction.REBOOT)

    @property
    def pid(self) -> int | None:
        """The process that the kernel named, if it did."""
        match = _PID.search(self.text)
        return int(match[1]) if match else None

    def describe(self) -> str:
        """Say it in a sentence, without a full stop."""
        more = f" ({self.text})" if self.text else ""
        return f"the GPU reported Xid {self.code}: {describe(self.code).text}{more}"


class XidLog:
    """Counts since the boot, and the last events."""

    def __init__(self, counts: dict[tuple[str, int], tuple[int, float]]) -> None:
        """Make it; `counts` are by UUID and number: how often, and when last; they are added to."""
        self._counts = counts
        self._events: deque[XidEvent] = deque(maxlen=MAX_XIDS)

    def take(self, event: XidEvent, device: Device | None) -> bool:
        """Take an Xid; tell whether it was not known yet."""
        key = event.uuid, event.code
        count, last_at = self._counts.get(key, (0, 0.0))
        if abs(event.at - last_at) < SAME_S:
            self._add_words(event)
            return False
        self._counts[key] = count + 1, event.at
        self._events.append(event)
        known = describe(event.code)
        emit(
            _log,
            GpuXidSeen(
                gpu=device.label if device else None,
                uuid=event.uuid,
                xid=event.code,
                text=event.text or known.text,
                action=str(known.action),
            ),
        )
        return True

    def _add_words(self, event: XidEvent) -> None:
        """Keep the kernel's words for what NVML told before."""
        for index, known in enumerate(self._events):
            same = (known.uuid, known.code, known.text) == (event.uuid, event.code, "")
            if same and abs(event.at - known.at) < SAME_S:
                self._events[index] = attrs.evolve(known, text=event.text)

    def since(self, at: float) -> list[XidEvent]:
        """Return what came since then (epoch seconds), the oldest first."""
        return [event for event in self._events if event.at >= at]

    def of(self, uuid: str) -> tuple[SeenXid, ...]:
        """Return what one GPU reported since the boot, by number."""
        return tuple(
            SeenXid.of(code, count, at)
            for (seen, code), (count, at) in sorted(self._counts.items())
            if seen == uuid
        )
