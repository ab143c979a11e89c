"""Things that many tests need one of."""

from pathlib import Path
from typing import Any

from vllmd.config.load import parse
from vllmd.config.model import Config, Engine
from vllmd.engine.state import State
from vllmd.engine.status import EngineStatus
from vllmd.shim.protocol import Spec

DATA = Path(__file__).parents[1] / "data"


def config(text: str) -> Config:
    return parse(text)[0]


def engine(text: str = "") -> Engine:
    return config(f'[engines.chat]\nmodel = "m"\n{text}').engines["chat"]


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
