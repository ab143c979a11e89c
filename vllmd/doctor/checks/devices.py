"""The engine's user cannot open the driver's device nodes."""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity

ID = "devices"


def check(case: Case) -> Iterator[Finding]:
    """Find nodes that are missing or closed although a driver is loaded."""
    if not case.host.closed_devices or case.on_cpu:
        return
    yield Finding(
        ID,
        Severity.ERROR,
        f"driver {case.host.driver} is loaded, but: {', '.join(case.host.closed_devices)}",
        "CUDA says that there is no device. The nodes are made by nvidia-modprobe, which a "
        "confined service may not run.",
        "As root: nvidia-modprobe -c 0 -u (once for each boot); and mode 0666, as the driver makes "
        "them.",
    )
