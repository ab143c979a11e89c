"""A stand-in for NVIDIA's library, driven by a script, under the real pynvml."""

import json
from pathlib import Path
from typing import Any

from tests.helpers.built import built
from tests.helpers.make import DATA
from tests.helpers.site import skip_or_fail

SOURCE = Path(__file__).parents[1] / "fake_nvml" / "nvml.c"
RECORDED: dict[str, Any] = json.loads((DATA / "nvml" / "h200.json").read_text())
UUID = RECORDED["nvmlDeviceGetUUID"]["value"]
GIB = 1024**3


def library() -> Path:
    """Return the folder of the built library."""
    try:
        return built(SOURCE, "libnvidia-ml.so.1", "-lpthread").parent
    except FileNotFoundError:
        skip_or_fail("cc is not installed (see tools/system.sh)")


def _value(name: str) -> Any:
    return RECORDED[name]["value"]


def h200(index: int = 0, uuid: str = UUID, **changes: Any) -> dict[str, Any]:
    """Return the script of one healthy H200 that was recorded; `changes` by key, None removes."""
    memory, pci = _value("MemoryInfo_v2"), _value("nvmlDeviceGetPciInfo")
    script = {
        "uuid": uuid,
        "name": _value("nvmlDeviceGetName"),
        "serial": _value("nvmlDeviceGetSerial"),
        "vbios": _value("nvmlDeviceGetVbiosVersion"),
        "pci": pci["busId"],
        "pci_ids": f"{pci['pciDeviceId']} {pci['pciSubSystemId']}",
        "memory": " ".join(str(memory[k]) for k in ("total", "reserved", "free", "used")),
        "utilization": "96 23",
        "power": _value("nvmlDeviceGetPowerUsage"),
        "power_limit": _value("nvmlDeviceGetEnforcedPowerLimit"),
        "power_management_limit": _value("nvmlDeviceGetPowerManagementLimit"),
        "energy": _value("nvmlDeviceGetTotalEnergyConsumption"),
        "temperature": _value("temp_gpu"),
        "clock.0": _value("clock_graphics"),
        "clock.1": _value("clock_sm"),
        "clock.2": _value("clock_mem"),
        "clock.3": _value("clock_video"),
        "clock_max.0": _value("maxclock_graphics"),
        "clock_max.1": _value("maxclock_sm"),
        "clock_max.2": _value("maxclock_mem"),
        "clock_max.3": _value("maxclock_video"),
        "reasons": _value("nvmlDeviceGetCurrentClocksEventReasons"),
        "reasons_supported": _value("nvmlDeviceGetSupportedClocksEventReasons"),
        "remapped": "0 0 0 0",
        "ecc_mode": "1 1",
        "mig_mode": "0 0",
        "mig_max": _value("nvmlDeviceGetMaxMigDeviceCount"),
        "pstate": _value("nvmlDeviceGetPerformanceState"),
        "persistence": _value("nvmlDeviceGetPersistenceMode"),
        "compute_mode": _value("nvmlDeviceGetComputeMode"),
        "compute_capability": "9 0",
        "architecture": _value("nvmlDeviceGetArchitecture"),
        "minor": _value("nvmlDeviceGetMinorNumber"),
        "pcie_replays": _value("nvmlDeviceGetPcieReplayCounter"),
        "pcie_generation": _value("nvmlDeviceGetCurrPcieLinkGeneration"),
        "pcie_width": _value("nvmlDeviceGetCurrPcieLinkWidth"),
        "pcie_generation_max": _value("nvmlDeviceGetMaxPcieLinkGeneration"),
        "bar1": " ".join(str(v) for v in _value("nvmlDeviceGetBAR1MemoryInfo").values()),
        "event_types": _value("nvmlDeviceGetSupportedEventTypes"),
        "processes": " ".join(
            f"{p['pid']}:{p['usedGpuMemory']}"
            for p in _value("nvmlDeviceGetComputeRunningProcesses")
        ),
        "graphics": "",
        "mps": "",
        **{
            f"ecc.{error}.{counter}": _value(f"ecc_{error}_{counter}")
            for error in (0, 1)
            for counter in (0, 1)
        },
        **{
            f"field.{number}": f"{kind} {value}"
            for number, (code, kind, value) in recorded_fields().items()
            if code == 0
        },
    }
    script.update(changes)
    return {f"gpu.{index}.{k}": v for k, v in script.items() if v is not None}


def recorded_fields() -> dict[int, tuple[int, int, int]]:
    """Return the recorded field values by NVML's number: return code, type, value."""
    import pynvml

    return {getattr(pynvml, name): tuple(v) for name, v in RECORDED["field_values"].items()}


class FakeNvml:
    """One script, changed while it is used."""

    def __init__(self, folder: Path, *gpus: dict[str, Any]) -> None:
        """Write the script of these GPUs; of one recorded H200 if none is given."""
        self.path = folder / "nvml.script"
        self.script: dict[str, Any] = {
            "driver": RECORDED["driver"],
            "nvml": RECORDED["nvml"],
            "cuda": RECORDED["cuda"],
        }
        for gpu in gpus or (h200(),):
            self.script.update(gpu)
        self.write()

    @property
    def env(self) -> dict[str, str]:
        """What a process needs to load it."""
        return {"LD_LIBRARY_PATH": str(library()), "VLLMD_FAKE_NVML": str(self.path)}

    def write(self) -> None:
        aside = self.path.with_suffix(".new")
        aside.write_text("".join(f"{k} = {v}\n" for k, v in self.script.items()))
        aside.rename(self.path)

    def change(self, **changes: Any) -> None:
        """Change GPU 0, by key; None removes."""
        self.change_keys({f"gpu.0.{k}": v for k, v in changes.items()})

    def change_keys(self, changes: dict[str, Any]) -> None:
        for key, value in changes.items():
            if value is None:
                self.script.pop(key, None)
            else:
                self.script[key] = value
        self.write()

    def uses(self, *processes: tuple[int, int | None], index: int = 0) -> None:
        """Let these processes hold so many bytes of a GPU; what is free follows."""
        total, reserved = (int(v) for v in str(self.script[f"gpu.{index}.memory"]).split()[:2])
        used = sum(size or 0 for _, size in processes)
        listed = " ".join(f"{pid}:{'-' if size is None else size}" for pid, size in processes)
        self.change_keys(
            {
                f"gpu.{index}.processes": listed,
                f"gpu.{index}.memory": f"{total} {reserved} {total - reserved - used} {used}",
            }
        )
