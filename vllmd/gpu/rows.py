"""Every figure that is read of a GPU: one row each, with its name, its help, and how it is read.

The table is used on both sides: the reader (`reader.py`, a small process: the standard library
only) asks NVML what a row names, and the collector knows its name, help and labels. A row is one
sample; rows that share a name differ in one label.

Source: what calls cost, nvml.md of an H200 and docs/gpu.md of an H100 (driver 580.159).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

FAST, SLOW, ONCE = "fast", "slow", "once"
"""When a row is read: every second, every quarter of a minute, or once for each device."""


class Call(NamedTuple):
    """A function of NVML that takes a device. `constants` are names of more arguments."""

    function: str
    constants: tuple[str, ...] = ()


class Field(NamedTuple):
    """A field value of NVML. Each is asked for alone: of a call that crashes it is known which."""

    name: str
    scope: int | None = None


class NvmlRow(NamedTuple):
    """One figure."""

    name: str
    """The metric, without `vllmd_gpu_`."""
    help: str
    when: str
    source: Call | Field
    take: Callable[[Any], float] = float
    """Makes the figure, in the unit of its name, of what NVML answered."""
    label: tuple[str, str] | None = None
    wraps: int = 0
    """Where the counter begins anew although nothing was reset; 0 if it does not."""

    @property
    def key(self) -> str:
        """What tells it from all other rows."""
        return f"{self.name}:{self.label[1]}" if self.label else self.name


MEMORY = Call("nvmlDeviceGetMemoryInfo", ("nvmlMemory_v2",))
UTILIZATION = Call("nvmlDeviceGetUtilizationRates")
REASONS = Call("nvmlDeviceGetCurrentClocksEventReasons")
REMAPPED = Call("nvmlDeviceGetRemappedRows")

CLOCK_REASONS = {
    "gpu_idle": 0x1,
    "application_clocks": 0x2,
    "sw_power_cap": 0x4,
    "hw_slowdown": 0x8,
    "sync_boost": 0x10,
    "sw_thermal": 0x20,
    "hw_thermal": 0x40,
    "hw_power_brake": 0x80,
    "display_clocks": 0x100,
}
"""Why the clocks are not at their highest. Source: nvml.h, nvmlClocksEventReason*."""

_THROTTLE_FIELDS = {
    "sw_power_cap": "NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_POWER_CAP",
    "sync_boost": "NVML_FI_DEV_CLOCKS_EVENT_REASON_SYNC_BOOST",
    "sw_thermal": "NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN",
    "hw_thermal": "NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN",
    "hw_power_brake": "NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN",
    "board_limit": "NVML_FI_DEV_PERF_POLICY_BOARD_LIMIT",
    "reliability": "NVML_FI_DEV_PERF_POLICY_RELIABILITY",
}

_ACTIVE = "1 while this reason keeps the clocks below their highest."
_HELD_BACK = "How long this reason kept the clocks below their highest, in seconds."
_TEMPERATURE = "Temperature in degrees Celsius, by sensor."
_CLOCK = "Clock in hertz, by domain."
_CLOCK_MAX = "Highest clock in hertz, by domain."
_ECC = "ECC errors since the driver was loaded."
_ECC_LIFETIME = "ECC errors in the life of the GPU."
_REMAPPED = "Rows of memory that were replaced by spare ones, by cause."
_PCIE = (
    "At least so many bytes moved over PCIe: NVML's counter wraps at 4 GiB, and of more than that "
    "between two readings the rest is not seen."
)
_NVLINK = "Bytes of data moved over all NVLinks."
_ALL_LINKS = 0xFFFFFFFF


def _mega(value: float) -> float:
    return value * 1e6


def _milli(value: float) -> float:
    return value / 1e3


def _percent(value: float) -> float:
    return value / 100


def _nano(value: float) -> float:
    return value / 1e9


def _kibi(value: float) -> float:
    return value * 1024


def _bit(mask: int) -> Callable[[int], float]:
    return lambda value: float(bool(value & mask))


def _item(index: int) -> Callable[[Any], float]:
    return lambda value: float(value[index])


ROWS: tuple[NvmlRow, ...] = (
    NvmlRow(
        "memory_total_bytes",
        "Memory in bytes. CUDA, and so vLLM, counts what is left of it without the reserved part.",
        FAST,
        MEMORY,
        lambda m: float(m.total),
    ),
    NvmlRow(
        "memory_reserved_bytes",
        "Memory in bytes that the driver and the firmware keep for themselves.",
        FAST,
        MEMORY,
        lambda m: float(m.reserved),
    ),
    NvmlRow(
        "memory_used_bytes",
        "Memory in bytes that is allocated; the reserved part is not in it.",
        FAST,
        MEMORY,
        lambda m: float(m.used),
    ),
    NvmlRow(
        "memory_free_bytes", "Memory in bytes that is free.", FAST, MEMORY, lambda m: float(m.free)
    ),
    NvmlRow(
        "busy_ratio",
        "Share of the last sample period (1/6 to 1 s) in which a kernel ran, 0 to 1.",
        FAST,
        UTILIZATION,
        lambda u: _percent(u.gpu),
    ),
    NvmlRow(
        "memory_bus_busy_ratio",
        "Share of the last sample period in which memory was read or written, 0 to 1.",
        FAST,
        UTILIZATION,
        lambda u: _percent(u.memory),
    ),
    NvmlRow("power_watts", "Power in watts.", FAST, Call("nvmlDeviceGetPowerUsage"), _milli),
    NvmlRow(
        "temperature_celsius",
        _TEMPERATURE,
        FAST,
        Call("nvmlDeviceGetTemperature", ("NVML_TEMPERATURE_GPU",)),
        label=("sensor", "gpu"),
    ),
    NvmlRow(
        "temperature_celsius",
        _TEMPERATURE,
        SLOW,
        Field("NVML_FI_DEV_MEMORY_TEMP"),
        label=("sensor", "memory"),
    ),
    *(
        NvmlRow(
            "clock_hertz",
            _CLOCK,
            FAST,
            Call("nvmlDeviceGetClockInfo", (constant,)),
            _mega,
            ("domain", domain),
        )
        for domain, constant in (("sm", "NVML_CLOCK_SM"), ("memory", "NVML_CLOCK_MEM"))
    ),
    *(
        NvmlRow(
            "clock_max_hertz",
            _CLOCK_MAX,
            ONCE,
            Call("nvmlDeviceGetMaxClockInfo", (constant,)),
            _mega,
            ("domain", domain),
        )
        for domain, constant in (("sm", "NVML_CLOCK_SM"), ("memory", "NVML_CLOCK_MEM"))
    ),
    *(
        NvmlRow("clock_event_active", _ACTIVE, FAST, REASONS, _bit(mask), ("reason", reason))
        for reason, mask in CLOCK_REASONS.items()
    ),
    *(
        NvmlRow(
            "clock_event_seconds_total", _HELD_BACK, SLOW, Field(field), _nano, ("reason", reason)
        )
        for reason, field in _THROTTLE_FIELDS.items()
    ),
    NvmlRow(
        "power_limit_watts",
        "Power limit that is enforced, in watts.",
        SLOW,
        Call("nvmlDeviceGetEnforcedPowerLimit"),
        _milli,
    ),
    NvmlRow(
        "energy_joules_total",
        "Energy used since the driver was loaded, in joules.",
        SLOW,
        Call("nvmlDeviceGetTotalEnergyConsumption"),
        _milli,
    ),
    *(
        NvmlRow(
            name,
            text,
            SLOW,
            Call("nvmlDeviceGetTotalEccErrors", (kind, counter)),
            label=("error", error),
        )
        for name, text, counter in (
            ("ecc_errors_total", _ECC, "NVML_VOLATILE_ECC"),
            ("ecc_lifetime_errors_total", _ECC_LIFETIME, "NVML_AGGREGATE_ECC"),
        )
        for error, kind in (
            ("corrected", "NVML_MEMORY_ERROR_TYPE_CORRECTED"),
            ("uncorrected", "NVML_MEMORY_ERROR_TYPE_UNCORRECTED"),
        )
    ),
    NvmlRow("remapped_rows", _REMAPPED, SLOW, REMAPPED, _item(0), ("cause", "corrected")),
    NvmlRow("remapped_rows", _REMAPPED, SLOW, REMAPPED, _item(1), ("cause", "uncorrected")),
    NvmlRow(
        "row_remap_pending",
        "1 if rows of memory are to be replaced at the next reset.",
        SLOW,
        REMAPPED,
        _item(2),
    ),
    NvmlRow(
        "row_remap_failed",
        "1 if a row of memory could not be replaced: the GPU is to be exchanged.",
        SLOW,
        REMAPPED,
        _item(3),
    ),
    NvmlRow(
        "recovery_action",
        "What the driver asks for: 0 nothing, 1 GPU reset, 2 reboot, 3 drain peers, 4 drain and "
        "reset, 5 recover IMEX domain, 6 bus reset, 7 reboot of the system.",
        SLOW,
        Field("NVML_FI_DEV_GET_GPU_RECOVERY_ACTION"),
    ),
    NvmlRow(
        "pcie_replays_total",
        "PCIe packets that were sent again.",
        SLOW,
        Call("nvmlDeviceGetPcieReplayCounter"),
    ),
    NvmlRow(
        "pcie_link_generation",
        "Generation of the PCIe link now; an idle GPU may lower it.",
        SLOW,
        Call("nvmlDeviceGetCurrPcieLinkGeneration"),
    ),
    NvmlRow(
        "pcie_link_width",
        "Lanes of the PCIe link now.",
        SLOW,
        Call("nvmlDeviceGetCurrPcieLinkWidth"),
    ),
    NvmlRow(
        "pcie_link_generation_max",
        "Highest generation of the PCIe link that GPU and slot allow.",
        ONCE,
        Call("nvmlDeviceGetMaxPcieLinkGeneration"),
    ),
    NvmlRow(
        "pcie_link_width_max",
        "Most lanes of the PCIe link that GPU and slot allow.",
        ONCE,
        Call("nvmlDeviceGetMaxPcieLinkWidth"),
    ),
    *(
        NvmlRow(
            f"pcie_{way}_bytes_total",
            _PCIE,
            SLOW,
            Field(f"NVML_FI_DEV_PCIE_COUNT_{short}_BYTES"),
            wraps=2**32,
        )
        for way, short in (("transmit", "TX"), ("receive", "RX"))
    ),
    *(
        NvmlRow(
            f"nvlink_{way}_bytes_total",
            _NVLINK,
            SLOW,
            Field(f"NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_{short}", _ALL_LINKS),
            _kibi,
        )
        for way, short in (("transmit", "TX"), ("receive", "RX"))
    ),
)

SAME_CALL: dict[Call | Field, list[NvmlRow]] = {}
for _row in ROWS:
    SAME_CALL.setdefault(_row.source, []).append(_row)
"""All rows that one answer gives; the first names the call (`calls.py`)."""

FAMILIES: dict[str, list[NvmlRow]] = {}
for _row in ROWS:
    FAMILIES.setdefault(_row.name, []).append(_row)


def rows_of_call(name: str) -> list[str]:
    """Return the keys of all rows that come with a call, which the first of them names."""
    for rows in SAME_CALL.values():
        if rows[0].key == name:
            return [row.key for row in rows]
    return [name]
