"""systemd kills the engine before it has finished its requests."""

from collections.abc import Iterator

from vllmd.config.load import UNIT_MARGIN_S
from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity
from vllmd.util.units import format_duration

ID = "stop-timeout"


def check(case: Case) -> Iterator[Finding]:
    """Find a drain that is longer than TimeoutStopSec of the engine's unit."""
    engine, allowed = case.engine, case.host.stop_s
    needed = engine.drain_s + engine.stop_grace_s + UNIT_MARGIN_S
    if allowed is None or needed <= allowed:
        return
    yield Finding(
        ID,
        Severity.WARNING,
        f"a stop takes up to {format_duration(needed)} (drain_s, stop_grace_s), and TimeoutStopSec "
        f"is {format_duration(allowed)}",
        "systemd then kills the engine with requests in flight.",
        "systemctl edit vllmd-engine@.service: [Service] TimeoutStopSec="
        f"{int(needed)}; or shorten drain_s.",
    )
