"""Are the GPUs well, and can they be read?"""

from collections.abc import Iterator

from vllmd.monitoring.expressions import AGAIN, GAP, comes_and_goes, condition_again, last, still
from vllmd.monitoring.rules import GPU, HOST, Alert, AlertSeverity, RuleGroup
from vllmd.monitoring.settings import RuleSettings, quoted

XID = "vllmd_gpu_xid_last_timestamp_seconds"
LASTING = f'{XID}{{action=~"reset|reboot"}}'
PASSING = f'{XID}{{action="restart_engine"}}'
FLOOR = "vllmd_gpu_memory_floor_bytes"
UNCORRECTED = 'vllmd_gpu_ecc_errors_total{error="uncorrected"}'
OWN_REASON = f'max_over_time(vllmd_nvml_problem{{reason=~"released|driver_mismatch"}}[{AGAIN}])'
"""A person let go of the GPUs, or a driver that was upgraded has its own alert."""
NEW_S = 900
"""So long an Xid is news; after that it is work that waits."""
SHOW = "vllmd gpu"


def group(settings: RuleSettings) -> RuleGroup:
    """Return the alerts of GPUs. Temperature and use are none: nobody can act on those."""
    return RuleGroup(
        "vllmd-gpu",
        "Are the GPUs well, and can they be read?",
        [*_gone(settings), *_xids(), *_memory(), *_slow(), *_unread()],
    )


def _listed(window: str) -> str:
    """Return how many GPUs a host had within a window, by index: an exchanged one has its place.

    Instances of a GPU (MIG) are made and removed by people.
    """
    instances = f'last_over_time(vllmd_gpu_info{{parent!=""}}[{window}])'
    listed = f"last_over_time(vllmd_gpu_up[{window}]) unless on (instance, uuid) {instances}"
    return f"count by (instance) (count by (instance, gpu) ({listed}))"


def _gone(settings: RuleSettings) -> Iterator[Alert]:
    yield Alert(
        "VllmdGpuLost",
        AlertSeverity.CRITICAL,
        # where NVML as a whole does not answer, that says nothing of one GPU
        f"""
        ({last("vllmd_gpu_up")} == 0
            unless on (instance) {last("vllmd_nvml_up")} == 0)
          or ({comes_and_goes("vllmd_gpu_up")}
            unless on (instance) min_over_time(vllmd_nvml_up[{AGAIN}]) == 0)
        """,
        f"{GPU} does not answer, or only at times, and NVML does",
        "It fell off the bus, needs a reset, or was taken away: the kernel's log has the Xid. "
        "After a fall only a reboot brings it back. 'vllmd gpu' says since when.",
        SHOW,
        wait="1m",
    )
    yield Alert(
        "VllmdGpuMissing",
        AlertSeverity.WARNING,
        # of a host that is there: one that shows no GPU at all lost each
        f"""
        {_listed("7d")}
          - ({_listed(GAP)} or 0 * {_listed("7d")})
          > 0
          and on (instance) max_over_time(up{{job={quoted(settings.job)}}}[{GAP}]) == 1
          unless on (instance) {last("vllmd_nvml_up")} == 0
        """,
        f"{HOST} has {{{{ $value }}}} GPUs fewer than it had within the last week",
        "The driver does not list them any more, mostly since a reboot: the kernel's log of the "
        "boot says why. If somebody took them out, or they are not to be read, silence this for a "
        "week.",
        SHOW,
        wait="15m",
    )


def _xids() -> Iterator[Alert]:
    yield Alert(
        "VllmdGpuXidFatal",
        AlertSeverity.CRITICAL,
        f"time() - {last(LASTING)} < {NEW_S}",
        f"{GPU}: Xid {{{{ $labels.xid }}}}, which asks for a {{{{ $labels.action }}}}",
        "The driver gave up on what ran there.",
        SHOW,
    )
    yield Alert(
        "VllmdGpuXidNotCleared",
        AlertSeverity.WARNING,
        # vllmd forgets Xids at a boot; newer drivers say what is still to be done
        f"""
        {last(LASTING)} > 0
          unless on (instance, uuid) {last("vllmd_gpu_recovery_action")} == 0
        """,
        f"{GPU} still needs a {{{{ $labels.action }}}}, for Xid {{{{ $labels.xid }}}}",
        "Nobody has done it since. What runs there may fail at any time.",
        SHOW,
        wait="15m",
    )
    yield Alert(
        "VllmdGpuXidRestart",
        AlertSeverity.WARNING,
        f"time() - {last(PASSING)} < {NEW_S}",
        f"{GPU}: Xid {{{{ $labels.xid }}}}, which ends what ran there",
        "The GPU is well, but what an engine computed at that time is lost or wrong. vllmd "
        "restarts an engine that ended; one that goes on serving is to be restarted.",
        SHOW,
    )
    yield Alert(
        "VllmdGpuRecoveryAction",
        AlertSeverity.CRITICAL,
        f"{last('vllmd_gpu_recovery_action')} > 0",
        f"{GPU}: the driver asks for recovery action {{{{ $value }}}}",
        "1 GPU reset, 2 reboot, 3 drain peers, 4 drain and reset, 5 recover the IMEX domain, "
        "6 bus reset, 7 reboot of the system. First 'vllmd stop', which drains.",
        SHOW,
    )


def _memory() -> Iterator[Alert]:
    yield Alert(
        "VllmdGpuEccUncorrected",
        AlertSeverity.CRITICAL,
        # a reset begins the count anew, and is the end of it
        f"increase({UNCORRECTED}[1h]) > 0 and {last(UNCORRECTED)} > 0",
        f"{GPU} had uncorrected ECC errors within the last hour",
        "What it computed may be wrong. Stop its engine, reset the GPU, and watch whether they "
        "come back.",
        SHOW,
    )
    yield Alert(
        "VllmdGpuEccNotCleared",
        AlertSeverity.WARNING,
        f"{last(UNCORRECTED)} > 0",
        f"{GPU}: {{{{ $value }}}} uncorrected ECC errors since the driver was loaded",
        "Rows that go bad are replaced at the next reset: plan one in a quiet hour.",
        SHOW,
        wait="15m",
    )
    yield Alert(
        "VllmdGpuRowRemapFailed",
        AlertSeverity.CRITICAL,
        f"{last('vllmd_gpu_row_remap_failed')} == 1",
        f"{GPU} has bad memory and no spare rows left",
        "It is to be exchanged: take it out of use, and open a case with its vendor.",
        "nvidia-smi -q -d ROW_REMAPPER -i {{ $labels.gpu }}",
    )
    yield Alert(
        "VllmdGpuRowRemapPending",
        AlertSeverity.WARNING,
        f"{last('vllmd_gpu_row_remap_pending')} == 1",
        f"{GPU} replaces rows of its memory at its next reset",
        "It works until then. Plan a reset in a quiet hour.",
        SHOW,
        wait="15m",
    )
    yield Alert(
        "VllmdHostMemoryLow",
        AlertSeverity.CRITICAL,
        # what is left goes up and down: then the least of it is told
        f"""
        {last("vllmd_gpu_memory_free_bytes")} < 1.5 * {last(FLOOR)}
          or (min_over_time(vllmd_gpu_memory_free_bytes[{AGAIN}])
            and {condition_again(f"vllmd_gpu_memory_free_bytes < bool 1.5 * {FLOOR}")})
        """,
        f"{GPU} shares the host's memory, and {{{{ $value | humanize1024 }}}}B are left",
        "Such a host locks up instead of ending a process. Below the floor vllmd drains the engine "
        "that holds most.",
        SHOW,
    )


def _slow() -> Iterator[Alert]:
    yield Alert(
        "VllmdGpuThrottled",
        AlertSeverity.WARNING,
        f"""
        rate(vllmd_gpu_clock_event_seconds_total{{reason=~"hw_thermal|hw_power_brake"}}[5m])
          > 0.05
          {still("vllmd_gpu_clock_event_seconds_total", "instance, uuid")}
        """,
        f"{GPU} is held back {{{{ $value | humanizePercentage }}}} of the time: "
        "{{ $labels.reason }}",
        "Its cooling or its power supply fails it. Answers are slow until that is fixed.",
        SHOW,
        wait="10m",
    )
    yield Alert(
        "VllmdGpuPcieDegraded",
        AlertSeverity.WARNING,
        # an idle link goes slower to save power, but not narrower
        f"""
        max_over_time(vllmd_gpu_pcie_link_width[15m])
            < {last("vllmd_gpu_pcie_link_width_max")}
          or (
            max_over_time(vllmd_gpu_pcie_link_generation[15m])
                < {last("vllmd_gpu_pcie_link_generation_max")}
              and on (instance, uuid) avg_over_time(vllmd_gpu_busy_ratio[15m]) > 0.5
          )
        """,
        f"{GPU}: its PCIe link is below its best, {{{{ $value }}}} (lanes, or generation)",
        "Loads and transfers between GPUs are slow. A card that sits badly, a riser or the "
        "mainboard's settings are the usual reasons.",
        "nvidia-smi -q -i {{ $labels.gpu }}",
        wait="15m",
    )


def _unread() -> Iterator[Alert]:
    yield Alert(
        "VllmdDriverMismatch",
        AlertSeverity.WARNING,
        f"{last('vllmd_nvml_driver_mismatch')} == 1",
        f"{HOST}: the NVIDIA driver was upgraded under what runs",
        "Engines serve on, and none could start again. Do not restart any: drain the host and "
        "reboot it.",
        SHOW,
    )
    yield Alert(
        "VllmdGpuReaderDown",
        AlertSeverity.WARNING,
        f"""
        ({last("vllmd_nvml_up")} == 0 or {comes_and_goes("vllmd_nvml_up", times=3)})
          unless on (instance) {OWN_REASON} == 1
        """,
        f"{HOST}: GPUs are not read, or only at times",
        "NVML as a whole does not answer, or what reads it: nothing is known of any GPU's memory "
        "and health. vllmd says why; try nvidia-smi too.",
        SHOW,
        wait="5m",
    )
