"""Things that many tests need one of."""

from pathlib import Path
from typing import Any

from vllmd.config.load import parse
from vllmd.config.model import Config, EngineConfig
from vllmd.engine.state_machine import State
from vllmd.engine.status import EngineStatus
from vllmd.gpu.latest import Device
from vllmd.gpu.snapshot import DeviceFigures, GpuFigures
from vllmd.shim.protocol import Spec

DATA = Path(__file__).parents[1] / "data"


def config(text: str) -> Config:
    return parse(text)[0]


def engine(text: str = "", model: str = "m", name: str = "chat") -> EngineConfig:
    return config(f'[engines.{name}]\nmodel = "{model}"\n{text}').engines[name]


def status(name: str = "chat", **more: Any) -> EngineStatus:
    values: dict[str, Any] = {
        "name": name,
        "state": State.READY,
        "since": 1_000_500.0,
        "wanted": True,
        "model": "m",
        "served_names": ("m",),
        "url": "http://127.0.0.1:8000",
        "log": "/nonexistent/chat.log",
    }
    return EngineStatus(**{**values, **more})


def gpu_device(uuid: str = "GPU-1", index: int = 0, **more: Any) -> Device:
    return Device(uuid, index, more.pop("name", "NVIDIA H200"), "00000000:00:06.0", **more)


def gpu(uuid: str = "GPU-1", **more: Any) -> DeviceFigures:
    values: dict[str, Any] = {
        "device": gpu_device(uuid),
        "lost": None,
        "values": {},
        "peaks": {},
        "owners": {},
        "holders": (),
        "margins": {},
        "xids": (),
    }
    return DeviceFigures(**{**values, **more})


def gpu_figures(*devices: DeviceFigures, **more: Any) -> GpuFigures:
    values: dict[str, Any] = {
        "source": "nvml",
        "problem": None,
        "driver": "580.1",
        "library": "580.1",
        "mismatch": None,
        "devices": devices,
        "growth": {},
        "errors": {},
        "cpu_s": 1.5,
        "rss_bytes": 16_000_000,
        "took_s": {"fast": 0.0002},
        "success_at": 1_000_000.0,
        "starts": 1,
        "stuck": 0,
        "disabled": (),
        "host_memory_floor": 0.02,
        "kernel_log": True,
    }
    return GpuFigures(**{**values, **more})


def spec(directory: Path, argv: list[str], **more: Any) -> Spec:
    values: dict[str, Any] = {
        "protocol": 1,
        "engine": "chat",
        "run_id": "run-1",
        "argv": argv,
        "env": {"PATH": "/usr/bin:/bin"},
        "cwd": "/",
        "directory": str(directory),
        "log": str(directory / "chat.log"),
        "command_hash": "hash",
        "stop_grace_s": 5.0,
        "tail_bytes": 4096,
    }
    result: Spec = {**values, **more}  # type: ignore[typeddict-item]
    return result
