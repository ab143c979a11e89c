"""What a daemon may know, for tests of the status document and of the page."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import attrs

from tests.helpers.clock import FakeClock
from tests.helpers.make import DATA, gpu, gpu_device, gpu_figures, status
from tests.helpers.status_fakes import FakeLogs, FakePage
from tests.helpers.status_past import Past, live
from vllmd.engine.causes.base import Diagnosis, Kind
from vllmd.engine.doubts import Doubt, Doubts
from vllmd.engine.exits import Exit
from vllmd.engine.gpu_interface import Shortage
from vllmd.engine.restart.policy import Hold
from vllmd.engine.state_machine import HAS_PAGE, State
from vllmd.engine.status import EngineStatus
from vllmd.gpu.memory_shares import Owner
from vllmd.gpu.reader_process import ReaderProblem
from vllmd.gpu.snapshot import DeviceFigures, GpuFigures, SeenXid
from vllmd.scrape.families import parse_page
from vllmd.status.filesystems import Filesystem
from vllmd.status.load import Load, read_load
from vllmd.status.recorder import SeriesRecorder
from vllmd.status.service import StatusService, StatusSources
from vllmd.util.units import GIB

NOW = 1_796_007_600.0
"""What the clock of a scene says: 29 November 2026, 03:00."""
H200 = 141 * GIB
QWEN = "Qwen/Qwen3-32B"


def clock_at(wall: float) -> FakeClock:
    """Return a clock that reads so many seconds since the epoch."""
    clock = FakeClock()
    clock.epoch = wall - clock.now
    return clock


def about(**more: Any) -> dict[str, Any]:
    return {
        "version": "0.1.0",
        "pid": 812,
        "started_at": NOW - 1_036_800,
        "config": "/etc/vllmd/vllmd.toml",
        "problem": None,
        "disk_problem": None,
        "history_problem": None,
        "traces_problem": None,
        "late_s": 0.004,
        "failing": [],
        "listen": "0.0.0.0:9840",
        "exporter": "http://127.0.0.1:9840",
        "web_config": None,
        "web_config_problem": None,
        "run_dir": "/run/vllmd",
        "unconfigured": {},
        **more,
    }


@cache
def _recorded() -> Load:
    content = (DATA / "metrics" / "vllm-0.25-h200.prom").read_bytes()
    return read_load(parse_page(content, "chat").families)


def page_load(**more: Any) -> Load:
    """Return the load of a recorded page, changed."""
    return attrs.evolve(_recorded(), **more)


@attrs.define
class Scene:
    """Engines, GPUs and the rest, as they are to be known."""

    engines: Sequence[EngineStatus] = ()
    gpus: GpuFigures = attrs.field(factory=gpu_figures)
    adapters: Sequence[Mapping[str, Any]] = ()
    doubts: Mapping[str, Sequence[Doubt]] = attrs.field(factory=dict)
    logs: FakeLogs = attrs.field(factory=FakeLogs)
    daemon: Mapping[str, Any] = attrs.field(factory=about)
    folders: Mapping[str, Path] = attrs.field(factory=dict)
    avail_bytes: int = 1 << 39
    grafana: str | None = None
    busy: Mapping[str, float] = attrs.field(factory=dict)
    """By engine: tokens a second, of the last minutes."""
    past: Mapping[str, Past] = attrs.field(factory=dict)
    """By engine: what it did otherwise."""
    probes: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict)
    """By engine: how its answers stand."""
    clock: FakeClock = attrs.field(factory=lambda: clock_at(NOW))

    @property
    def sources(self) -> Mapping[str, FakePage]:
        return {each.name: FakePage() for each in self.engines if each.state in HAS_PAGE}

    def statuses(self) -> Sequence[EngineStatus]:
        return self.engines

    def figures(self) -> GpuFigures:
        return self.gpus

    def to_json(self) -> Sequence[Mapping[str, Any]]:
        return self.adapters

    def about(self) -> Mapping[str, Any]:
        return self.daemon

    def grafana_url(self) -> str | None:
        return self.grafana

    def known(self) -> Sequence[Filesystem]:
        return [
            Filesystem(role, str(path), 1 << 40, self.avail_bytes, self.clock.time())
            for role, path in self.folders.items()
        ]

    def service(self, mask: Callable[[Any], Any] = lambda value: value) -> StatusService:
        doubts = Doubts()
        for name, found in self.doubts.items():
            doubts.tell(name, "doctor", found)
        values = {d.device.uuid: d.values for d in self.gpus.devices}
        series = SeriesRecorder(self.clock, lambda: values, lambda: asyncio.sleep(0))
        for name, past in {**{n: Past(r) for n, r in self.busy.items()}, **self.past}.items():
            live(past, series, name, page_load(), self.clock.monotonic())
        series.look_at_gpus()
        sources = StatusSources(
            daemon=self,
            engines=self,
            logs=self.logs,
            gpus=self,
            adapters=self,
            doubts=doubts,
            series=series,
            filesystems=self,
            probe=self.probes.get,
        )
        return StatusService(sources, self.clock, mask)


def ready(name: str, **more: Any) -> EngineStatus:
    model = {"embed": "BAAI/bge-m3", "code": "Qwen/Qwen3-Coder-30B-A3B"}.get(name, QWEN)
    values: dict[str, Any] = {
        "since": NOW - 302_400,
        "model": model,
        "served_names": (more.get("model", model),),
        "requests_running": 7,
        "requests_waiting": 2,
        "pid": 4711,
        "shim_pid": 4700,
        "run_id": "run-1",
        "started_at": NOW - 302_500,
        "start_duration_s": 96.0,
        "command_hash": "abc",
    }
    return status(name, **{**values, **more})


IDLE: Mapping[str, Any] = {"requests_running": 0, "requests_waiting": 0}
"""Of an engine that nobody asks for anything."""
GONE: Mapping[str, Any] = {"requests_running": None, "requests_waiting": None, "pid": None}
"""Of an engine that does not run."""


def failure(ago_s: float, run_id: str = "run-0", **more: Any) -> Exit:
    why = Diagnosis(
        "kv_cache_too_small",
        Kind.CONFIGURATION,
        "The KV cache has no room for one request of max_model_len tokens.",
        "Set max_model_len = 74720, or give the engine more memory (gpu_memory_utilization).",
        ("ValueError: To serve at least one request, the prompt 'my secret prompt' …",),
    )
    values: dict[str, Any] = {"phase": "kv_cache", "diagnosis": why, **more}
    return Exit("1", False, NOW - ago_s, run_id, ("VLLM::EngineCore (pid 4712)",), **values)


def device(index: int, *engines: str, used: int = 120 * GIB, **more: Any) -> DeviceFigures:
    """Return a GPU of 141 GiB of which engines hold most."""
    uuid = f"GPU-{index:08x}-1111-2222-3333-444444444444"
    share = used // max(1, len(engines))
    owners: dict[Any, int] = {(Owner.ENGINE, name): share for name in engines}
    held = share * len(engines)
    owners |= {
        (Owner.ORPHAN, None): 0,
        (Owner.FOREIGN, None): 0,
        (Owner.RESERVED, None): GIB,
        (Owner.UNATTRIBUTED, None): GIB // 2,
        (Owner.FREE, None): H200 - held - GIB - GIB // 2,
    }
    values = {
        "memory_total_bytes": float(H200),
        "memory_used_bytes": float(held + GIB // 2),
        "memory_free_bytes": float(owners[Owner.FREE, None]),
        "busy_ratio": 0.93 if engines else 0.0,
        "power_watts": 512.0 if engines else 76.0,
        "power_limit_watts": 700.0,
        "temperature_celsius:gpu": 63.0 if engines else 31.0,
    }
    found: dict[str, Any] = {
        "device": gpu_device(uuid, index),
        "values": values,
        "owners": owners,
        "margins": dict.fromkeys(engines, 9.2 * GIB),
    }
    return gpu(uuid, **{**found, **more})


def adapters(engine: str, count: int, missing: int = 0) -> dict[str, Any]:
    listed = [
        {
            "name": f"customer-{n:02}",
            "source": "file",
            "condition": "failed" if n < missing else "loaded",
        }
        for n in range(count)
    ]
    return {"engine": engine, "adapters": listed}


def all_well() -> Scene:
    return Scene(
        [ready("chat"), ready("embed", requests_running=1, requests_waiting=0)],
        gpu_figures(device(0, "chat"), device(1, "embed", used=60 * GIB)),
        past={
            "chat": Past(1840.0),
            "embed": Past(12.0, requests=1, waiting=0, kv_cache=0.06, turn=2.0),
        },
        grafana="https://grafana.example.org/d/vllmd",
    )


def loading() -> Scene:
    engine = status(
        "chat",
        state=State.LOADING,
        since=NOW - 42,
        model=QWEN,
        served_names=(QWEN,),
        phase="weights",
        phases={"imports": 12.0, "weights": 30.0},
        start_left_s=58.0,
        started_at=NOW - 42,
        pid=4711,
    )
    doubt = Doubt(
        "kv-room",
        "warning",
        "max_model_len = 131072 leaves room for 1.2 requests at once",
        "Lower max_model_len, or take a model with fewer layers.",
        ("a line of the log",),
    )
    return Scene(
        [engine],
        gpu_figures(device(0, "chat", used=31 * GIB)),
        doubts={"chat": [doubt]},
        logs=FakeLogs(printing={"chat": "Loading safetensors: 43% my secret prompt"}),
    )


def backoff() -> Scene:
    engine = status(
        "chat",
        state=State.BACKOFF,
        since=NOW - 12,
        model=QWEN,
        served_names=(QWEN,),
        restarts=3,
        last_exit=failure(12),
        first_failure=failure(190, "run-first"),
        next_start_at=NOW + 28,
    )
    return Scene(
        [engine, ready("embed", **IDLE)],
        gpu_figures(device(0), device(1, "embed")),
        past={
            "chat": Past(1840.0, gaps=((190.0, 130.0), (95.0, 0.0))),
            "embed": Past(0.0, requests=0, waiting=0),
        },
    )


def restarted() -> Scene:
    why = Diagnosis(
        "cuda_out_of_memory",
        Kind.CONFIGURATION,
        "The GPU had no memory left for a batch: another process took some.",
        "Find who holds it with 'vllmd gpu', or lower gpu_memory_utilization.",
        ("torch.OutOfMemoryError: CUDA out of memory.",),
    )
    chat = ready(
        "chat",
        since=NOW - 94,
        started_at=NOW - 181,
        restarts=1,
        last_exit=attrs.evolve(failure(184, phase=None, diagnosis=why), killed=()),
    )
    shared = device(0, "chat", used=118 * GIB)
    owners = {**shared.owners, (Owner.FOREIGN, None): 11 * GIB}
    owners[Owner.FREE, None] = owners[Owner.FREE, None] - 11 * GIB
    return Scene(
        [chat, ready("embed", requests_running=1, requests_waiting=0)],
        gpu_figures(
            attrs.evolve(shared, owners=owners, margins={"chat": -1.8 * GIB}),
            device(1, "embed", used=60 * GIB),
        ),
        adapters=[adapters("chat", 12, 1)],
        past={
            "chat": Past(1840.0, gaps=((184.0, 95.0),)),
            "embed": Past(12.0, requests=1, waiting=0, kv_cache=0.06, turn=2.0),
        },
        grafana="https://grafana.example.org/d/vllmd",
    )


def held() -> Scene:
    reason = "The KV cache has no room for one request of max_model_len tokens."
    engine = status(
        "chat",
        state=State.HELD,
        since=NOW - 320,
        model=QWEN,
        served_names=(QWEN,),
        restarts=2,
        last_exit=failure(320),
        hold=Hold("kv_cache_too_small", reason, NOW - 320, NOW + 1480, "abc"),
    )
    return Scene([engine], gpu_figures(device(0)), grafana="https://grafana.example.org/d/vllmd")


def hang() -> Scene:
    engine = ready("chat", state=State.STALLED, since=NOW - 71, requests_running=31)
    return Scene([engine], gpu_figures(device(0, "chat")), past={"chat": Past(1840.0, still_s=71)})


def no_gpu() -> Scene:
    problem = ReaderProblem("disabled", "no NVIDIA GPU is in this host, or gpu.source is 'none'")
    gpus = gpu_figures(source="none", problem=problem, driver="", library="")
    return Scene([ready("chat", model="tiny")], gpus, past={"chat": Past(31.0, seconds=150.0)})


def eight_gpus() -> Scene:
    devices = [device(n, "chat") for n in range(4)]
    devices += [device(n, "code", used=100 * GIB) for n in range(4, 6)]
    orphan = device(6)
    owners = {**orphan.owners, (Owner.ORPHAN, None): 40 * GIB, (Owner.FOREIGN, None): 12 * GIB}
    owners[Owner.FREE, None] = owners[Owner.FREE, None] - 52 * GIB
    xid = SeenXid.of(79, 1, NOW - 200)
    devices += [
        attrs.evolve(orphan, owners=owners, margins={"embed": -31.0 * GIB}),
        device(7, lost="missing", values={}, owners={}, xids=(xid,)),
    ]
    shortage = Shortage("6", 31 * GIB, ("python3 (pid 991): 40.0 GiB",), True)
    engines = [
        ready("chat", requests_running=212, requests_waiting=37),
        ready("code"),
        ready("embed", state=State.STOPPED, since=NOW - 400, awaited_memory=shortage, **GONE),
    ]
    return Scene(
        engines,
        gpu_figures(*devices),
        past={
            "chat": Past(9120.0, requests=212, waiting=37, kv_cache=0.91),
            "code": Past(402.0, turn=1.0),
        },
    )


def many_adapters() -> Scene:
    engines = [ready("chat"), ready("code", command_changed=True), ready("embed", restarts=1)]
    return Scene(
        engines,
        gpu_figures(device(0, "chat", "code"), device(1, "embed")),
        adapters=[adapters("chat", 20), adapters("code", 20, 4), adapters("embed", 20)],
        busy={"chat": 1810.0, "code": 320.0, "embed": 64.0},
    )


SCENES: Mapping[str, Callable[[], Scene]] = {
    "all-well": all_well,
    "loading": loading,
    "backoff": backoff,
    "restarted": restarted,
    "held": held,
    "hang": hang,
    "no-gpu": no_gpu,
    "eight-gpus": eight_gpus,
    "many-adapters": many_adapters,
}
