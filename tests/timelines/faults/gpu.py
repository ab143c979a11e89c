"""Faults of GPUs."""

from tests.timelines.signals import (
    Alike,
    Fault,
    Signal,
    brief,
    bursts,
    counter,
    gauge,
    shaped,
    stamp,
)

GPU = {"gpu": "0", "uuid": "GPU-0"}
XID = "vllmd_gpu_xid_last_timestamp_seconds"
RELEASED = gauge("vllmd_nvml_problem", 0, 1, reason="released")


def fine(name: str, bad: float, lasts: int | None = None, **labels: str) -> Signal:
    """Return a figure that is to be 0; `lasts` where it is well again by itself."""
    return (
        gauge(name, 0, bad, **GPU, **labels) if lasts is None else brief(name, 0, bad, lasts, **GPU)
    )


FAULTS = (
    Fault(
        "VllmdGpuLost",
        "a GPU fell off the bus",
        [gauge("vllmd_gpu_up", 1, 0, **GPU), gauge("vllmd_nvml_up", 1, 1)],
        Alike(
            "NVML as a whole does not answer",
            [gauge("vllmd_gpu_up", 1, 0, **GPU), gauge("vllmd_nvml_up", 1, 0)],
        ),
    ),
    Fault(
        "VllmdGpuMissing",
        "one of two GPUs is not listed any more",
        [
            gauge("vllmd_gpu_up", 1, 1, **GPU),
            gauge("vllmd_gpu_up", 1, None, gpu="1", uuid="GPU-1"),
        ],
        Alike(
            "another GPU in its place",
            [
                gauge("vllmd_gpu_up", 1, None, **GPU),
                gauge("vllmd_gpu_up", None, 1, gpu="0", uuid="GPU-9"),
            ],
        ),
    ),
    Fault(
        "VllmdGpuXidFatal",
        "Xid 79",
        [stamp(XID, **GPU, xid="79", action="reboot")],
        Alike("a mistake of a program", [stamp(XID, **GPU, xid="13", action="restart_engine")]),
        once=True,
    ),
    Fault(
        "VllmdGpuXidNotCleared",
        "Xid 79, and nobody reboots",
        [stamp(XID, **GPU, xid="79", action="reboot")],
        Alike(
            "the driver says that it is done",
            [
                stamp(XID, **GPU, xid="79", action="reboot"),
                gauge("vllmd_gpu_recovery_action", 0, 0, **GPU),
            ],
        ),
    ),
    Fault(
        "VllmdGpuXidRestart",
        "Xid 31",
        [stamp(XID, **GPU, xid="31", action="restart_engine")],
        Alike("one that asks for nothing", [stamp(XID, **GPU, xid="63", action="none")]),
        once=True,
    ),
    Fault(
        "VllmdGpuRecoveryAction",
        "the driver asks for a reset",
        [fine("vllmd_gpu_recovery_action", 1)],
        Alike("it asks for nothing", [fine("vllmd_gpu_recovery_action", 0)]),
        flapping="it is asked for until it is done",
    ),
    Fault(
        "VllmdGpuEccUncorrected",
        "two uncorrected ECC errors",
        [bursts("vllmd_gpu_ecc_errors_total", 2, **GPU, error="uncorrected")],
        Alike(
            "corrected ones",
            [counter("vllmd_gpu_ecc_errors_total", 0, 7, **GPU, error="corrected")],
        ),
        lasts=120,
        once=True,
    ),
    Fault(
        "VllmdGpuEccNotCleared",
        "two of them before vllmd came, and nobody resets",
        [gauge("vllmd_gpu_ecc_errors_total", None, 2, **GPU, error="uncorrected")],
        Alike(
            "reset within ten minutes",
            [brief("vllmd_gpu_ecc_errors_total", 0, 2, 10, **GPU, error="uncorrected")],
        ),
    ),
    Fault(
        "VllmdGpuRowRemapFailed",
        "no spare rows are left",
        [fine("vllmd_gpu_row_remap_failed", 1)],
        Alike("rows are to be replaced", [fine("vllmd_gpu_row_remap_pending", 1)]),
        flapping="no rows come back",
    ),
    Fault(
        "VllmdGpuRowRemapPending",
        "rows are to be replaced",
        [fine("vllmd_gpu_row_remap_pending", 1)],
        Alike("reset within ten minutes", [fine("vllmd_gpu_row_remap_pending", 1, 10)]),
    ),
    Fault(
        "VllmdHostMemoryLow",
        "a GPU shares the host's memory, and little is left",
        [
            gauge("vllmd_gpu_memory_free_bytes", 20e9, 2e9, **GPU),
            gauge("vllmd_gpu_memory_floor_bytes", 2.4e9, 2.4e9, **GPU),
        ],
        Alike(
            "one with memory of its own is full",
            [gauge("vllmd_gpu_memory_free_bytes", 20e9, 2e9, **GPU)],
        ),
    ),
    Fault(
        "VllmdGpuThrottled",
        "a fan fails: 12 s of each minute",
        [counter("vllmd_gpu_clock_event_seconds_total", 0, 12, **GPU, reason="hw_thermal")],
        Alike(
            "it is at its power limit",
            [counter("vllmd_gpu_clock_event_seconds_total", 0, 55, **GPU, reason="sw_power_cap")],
        ),
    ),
    Fault(
        "VllmdGpuPcieDegraded",
        "8 of 16 lanes",
        [
            gauge("vllmd_gpu_pcie_link_width", 16, 8, **GPU),
            gauge("vllmd_gpu_pcie_link_width_max", 16, 16, **GPU),
        ],
        Alike(
            "an idle link of an older generation",
            [
                gauge("vllmd_gpu_pcie_link_generation", 5, 1, **GPU),
                gauge("vllmd_gpu_pcie_link_generation_max", 5, 5, **GPU),
                gauge("vllmd_gpu_busy_ratio", 0.9, 0, **GPU),
            ],
        ),
        lasts=90,
    ),
    Fault(
        "VllmdDriverMismatch",
        "the driver was upgraded underneath",
        [gauge("vllmd_nvml_driver_mismatch", 0, 1)],
        Alike("a person let go of the GPUs", [gauge("vllmd_nvml_driver_mismatch", 0, 0), RELEASED]),
        flapping="it is so until the next boot",
    ),
    Fault(
        "VllmdGpuReaderDown",
        "NVML does not answer",
        [gauge("vllmd_nvml_up", 1, 0)],
        Alike(
            "its reader is started again",
            [shaped("vllmd_nvml_up", lambda m: float(m not in (1, 2)))],
        ),
    ),
)
