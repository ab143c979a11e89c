"""GPUs whose readings a test makes, with engines that it names."""

from pathlib import Path
from typing import Any

from tests.helpers.clock import FakeClock
from tests.helpers.make import config, status
from vllmd.config import command
from vllmd.engine.gpu_interface import EngineGpus
from vllmd.engine.state_machine import State
from vllmd.gpu.attribution import WEIGHTS_OF
from vllmd.gpu.engine_view import view_of
from vllmd.gpu.memory_shares import Holder, Owner
from vllmd.gpu.service import GpuService
from vllmd.gpu.state_file import GpuStateFile
from vllmd.util.units import GIB

G1, G2 = "GPU-1", "GPU-2"
TOTAL, RESERVED = 101 * GIB, GIB
CHAT = (G1, 10, 50, Owner.ENGINE, "chat")
"""What `GpuScene.holds` takes of an engine on its GPU."""

TEXT = """
[gpu]
source = "nvml"
[engines.chat]
model = "m"
gpu_memory_utilization = 0.5
executable = "/opt/vllm/bin/vllm"
env = { CUDA_VISIBLE_DEVICES = "0" }
[engines.code]
model = "m"
port = 8001
gpu_memory_utilization = 0.4
executable = "/opt/vllm/bin/vllm"
flags = { tensor-parallel-size = 2 }
"""


class GpuScene:
    """Two GPUs of 100 GiB and two engines: `chat` on the first, `code` on both."""

    def __init__(self, folder: Path, monkeypatch: Any, text: str = TEXT) -> None:
        self.clock = FakeClock()
        self.engines = {name: status(name, run_id=f"run-{name}") for name in ("chat", "code")}
        head = f'[daemon]\nrun_dir = "{folder}/run"\n'
        self.config = config(head + text)
        self.owners: dict[int, Holder] = {}
        monkeypatch.setattr("vllmd.gpu.attribution.identify", self._identify)
        monkeypatch.setattr("vllmd.gpu.hardware.kernel_driver_version", lambda: self.kernel)
        monkeypatch.setattr("vllmd.gpu.hardware.library_version", lambda _: self.library)
        self.kernel: str | None = "580.1"
        self.library: str | None = "580.1"
        self.told: list[str] = []
        self._folder, self._monkeypatch = folder, monkeypatch
        self.begin_anew()
        self.fast()

    def begin_anew(self) -> None:
        """Let another daemon begin, with what the one before wrote down; it has read nothing."""
        self.gpus = GpuService(
            self.config,
            command.build_all(self.config),
            lambda: list(self.engines.values()),
            self.clock,
            GpuStateFile(self._folder / "gpus.json"),
        )
        self._monkeypatch.setattr(self.gpus.reader, "tell", self._tell)
        self.gpus.reader.fast.problem = None
        self.titles: dict[int, str] = {}
        self.say("hello", source="nvml", driver="580.1", library="/x/libnvidia-ml.so.580.1")
        self.say("devices", devices=[self.device(G1, 0), self.device(G2, 1)])

    def _identify(self, pid: int, size: int | None, _shims: Any, notes: Any) -> Holder:
        owner = self.owners[pid]
        if owner.owner is Owner.ENGINE and owner.engine:
            notes.processes[pid, 1] = owner.engine
        if owner.owner is Owner.WEIGHTS:
            notes.processes[pid, 1] = f"{WEIGHTS_OF}{owner.engine}"
        return Holder(pid, size, owner.owner, owner.engine, owner.name, "user", 1)

    def _tell(self, words: str) -> bool:
        self.told.append(words)
        return True

    @staticmethod
    def device(uuid: str, index: int) -> dict[str, Any]:
        return {
            "uuid": uuid,
            "index": index,
            "name": "NVIDIA H200",
            "pci_bus_id": f"00000000:00:0{6 + index}.0",
        }

    def say(self, kind: str, **content: Any) -> None:
        """Let the source say something."""
        self.gpus._take({"v": 1, "kind": kind, **content})

    def read(self, kind: str, lost: dict[str, str], **values: float) -> None:
        both = {uuid: dict(values) for uuid in (G1, G2) if uuid not in lost}
        self.read_of(kind, both, lost)

    def read_of(
        self, kind: str, values: dict[str, dict[str, float]], lost: dict[str, str] | None = None
    ) -> None:
        """Have each GPU read with figures of its own."""
        self.say(
            kind,
            at=self.clock.time(),
            values=values,
            lost=lost or {},
            errors={},
            took_s=0.0,
            cpu_s=0.0,
            rss=0,
        )

    def fast(self, lost: dict[str, str] | None = None, **values: float) -> None:
        self.read("fast", lost or {}, busy_ratio=0.0, **values)

    def slow(self, **values: float) -> None:
        self.read("slow", {}, recovery_action=0.0, **values)

    def holds(self, *held: tuple[str, int, int, Owner, str | None]) -> None:
        """List processes: the GPU, process id, GiB, owner and engine of each."""
        devices = {}
        self.owners = {
            pid: Holder(pid, 0, o, e, self.titles.get(pid, f"proc{pid}"))
            for _, pid, _, o, e in held
        }
        for uuid in (G1, G2):
            mine = [(pid, gib * GIB) for u, pid, gib, _, _ in held if u == uuid]
            used = sum(size for _, size in mine)
            free = TOTAL - RESERVED - used
            memory = {"total": TOTAL, "reserved": RESERVED, "free": free, "used": used}
            devices[uuid] = {"memory": memory, "processes": mine}
        self.say("processes", at=self.clock.time(), took_s=0.0, devices=devices)

    def becomes(self, name: str, state: State, **more: Any) -> None:
        values = {"run_id": f"run-{name}", "since": self.clock.time(), **more}
        self.engines[name] = status(name, state=state, **values)


def view(scene: GpuScene, name: str = "chat") -> EngineGpus:
    """Return what an engine is told of its GPUs."""
    return view_of(scene.gpus, scene.config.engines[name])
