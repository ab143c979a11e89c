"""Can an engine sleep as its table `[engines.NAME.sleep]` says?"""

from collections.abc import Iterator

from vllmd.config.sleep import DEV_MODE, DEV_ROUTES
from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, FindingSeverity

OFF = "Take the table sleep out."


def sleep(case: Case) -> Iterator[Finding]:
    """Find a platform without sleep mode, and routes that it opens to others."""
    engine = case.engine
    if engine.sleep is None or engine.is_stand_in:
        return
    if case.on_cpu:
        yield Finding(
            "sleep",
            FindingSeverity.ERROR,
            "[engines.NAME.sleep], and the engine computes on the CPU",
            "vLLM has no sleep mode on that platform, and ends at its start.",
            OFF,
        )
    if case.reachable:
        yield Finding(
            "sleep",
            FindingSeverity.WARNING,
            f"host = {engine.host!r} with sleep.expose_dev_mode",
            f"{DEV_MODE}=1 opens {', '.join(DEV_ROUTES)} there, without a key.",
            'Keep these paths from others by a proxy or a firewall, or set host = "127.0.0.1".',
        )
