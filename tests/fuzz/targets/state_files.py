"""Files that outlive a daemon: each is read, or set aside; what was read can be written again.

An input is the name of a kind of file, a NUL, and what is in the file.
"""

import contextlib
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.fuzz.target import Target
from tests.helpers.clock import FakeClock
from tests.unit.engine.process.test_run_state import STATE
from tests.unit.engine.restart.test_state_file import KNOWN
from tests.unit.gpu.test_state_file import state as gpu_state
from vllmd.advise.day_files import ObservedDays
from vllmd.advise.observed import Observed
from vllmd.advise.observer import Slot
from vllmd.cost.day_files import DayFiles
from vllmd.cost.meter import Meter
from vllmd.cost.usage import Activity, HourUsage, Usage
from vllmd.daemon.lifetime import Lifetime
from vllmd.engine.process.run_state import RunStates
from vllmd.engine.restart.state_file import RestartStateFile
from vllmd.engine.sleeping.rules import Wish
from vllmd.engine.sleeping.wish_file import WishFile
from vllmd.engine.stopped_engines import StoppedEngines
from vllmd.engine.weights.loaded import Loaded, LoadedFile
from vllmd.gpu.state_file import GpuStateFile
from vllmd.lora.desired import AdapterStateFile
from vllmd.shim.proc import boot_id
from vllmd.util.days import day_of
from vllmd.util.state_file import NotRead

END_OF_NAME = b"\0"
NOON = 1_795_867_200.0
DAY = day_of(NOON)


def _restarts(path: Path) -> None:
    known = RestartStateFile(path).load()
    RestartStateFile(path).save(known)
    assert RestartStateFile(path).load() == known


def _gpus(path: Path) -> None:
    known = GpuStateFile(path).load()
    GpuStateFile(path).save(known)
    assert GpuStateFile(path).load() == known


def _run_of(path: Path) -> None:
    if (known := RunStates(path).load(FakeClock())) is not None:
        RunStates(path).save(known)
        assert RunStates(path).load(FakeClock()) == known


def _loaded(path: Path) -> None:
    file = LoadedFile(path.parent)
    if (known := file.load()) is not None:
        file.save(known)
        assert file.load() == known


def _wish(path: Path) -> None:
    file = WishFile(path.parent)
    if (known := file.load()) is not None:
        file.save(known)
        assert file.load() == known


def _adapters(path: Path) -> None:
    file = AdapterStateFile(path)
    file.read()
    file.write()


def _observed(path: Path) -> None:
    days = ObservedDays(path.parents[1], 400)
    days.last()
    seen = days.read(NOON - 86400 * 3, NOON + 86400 * 3)
    days.add(seen, {})
    days.write(NOON)


def _usage(path: Path) -> None:
    days, meter = DayFiles(path.parents[1], 400), Meter(1, 1, "b")
    days.read_state(meter.resume)
    read = days.read_day(DAY)
    assert not isinstance(read, NotRead)
    used, state = read
    if state is not None:
        with contextlib.suppress(KeyError, ValueError, TypeError, AttributeError):
            meter.resume(state)  # as the service does
    days.write(used, meter.state(), NOON)


KINDS: Mapping[str, tuple[str, Callable[[Path], Any]]] = {
    "restarts": ("chat.json", _restarts),
    "gpus": ("gpus.json", _gpus),
    "run": ("state.json", _run_of),
    "loaded": ("loaded.json", _loaded),
    "wish": ("sleep.json", _wish),
    "adapters": ("lora.json", _adapters),
    "stopped": ("stopped.json", StoppedEngines),
    "lifetime": ("lifetime.json", lambda path: Lifetime(path, FakeClock()).begin()),
    "observed": (f"{DAY}.json", _observed),
    "usage": (f"{DAY}.json", _usage),
    "usage_state": ("state.json", _usage),
}


def _run(data: bytes) -> None:
    name, _, content = data.partition(END_OF_NAME)
    kind = KINDS.get(name.decode(errors="replace"))
    if kind is None:
        return
    with tempfile.TemporaryDirectory(prefix="f-") as folder:
        path = _place(Path(folder), *kind)
        path.write_bytes(content)
        kind[1](path)


def _place(folder: Path, file_name: str, use: Callable[[Path], Any]) -> Path:
    below = "advise" if use is _observed else "usage" if use is _usage else "state"
    (folder / below).mkdir()
    return folder / below / file_name


def _corpus() -> list[bytes]:
    found = []
    for name, (_, use) in KINDS.items():
        with tempfile.TemporaryDirectory(prefix="f-") as folder:
            path = _place(Path(folder), *KINDS[name])
            _write(name, path)
            found.append(name.encode() + END_OF_NAME + path.read_bytes())
            use(path)
    return found


def _write(name: str, path: Path) -> None:
    """Write a file of a kind as the daemon does."""
    match name:
        case "restarts":
            RestartStateFile(path).save(KNOWN)
        case "gpus":
            GpuStateFile(path).save(gpu_state())
        case "run":
            RunStates(path).save(STATE)
        case "loaded":
            LoadedFile(path.parent).save(Loaded("r", {"/a": ("b", "c")}, True, True, True))
            next(path.parent.glob("*.json")).replace(path)
        case "wish":
            WishFile(path.parent).save(Wish(True, "root", 5.0, 1))
            next(path.parent.glob("*.json")).replace(path)
        case "adapters":
            AdapterStateFile(path, {"sql": "/a"}, {"sql"}).write()
        case "stopped":
            path.write_text(json.dumps({"boot_id": boot_id(), "stopped": ["chat"]}))
        case "lifetime":
            Lifetime(path, FakeClock()).begin()
        case "observed":
            days = ObservedDays(path.parents[1], 400)
            seen = Observed(1.0, 2.0, 3.0, 4.0, counts={"finished/stop": 3.0}, highest={"a": 1.0})
            days.add(
                {Slot(DAY, "chat", "hash"): seen},
                {"chat": {"run_id": "r", "observed": seen.to_json()}},
            )
            days.write(NOON)
        case _:
            usage = {HourUsage(int(NOON), "chat", Activity.BUSY): Usage(7)}
            DayFiles(path.parents[1], 400).write(usage, Meter(1, 1, "b").state(), NOON)


TARGET = Target(
    "state_files",
    _run,
    _corpus,
    scraps=(
        *(
            b'"',
            b": ",
            b"null",
            b"[]",
            b"{}",
            b"-1",
            b"0",
            b"1e308",
            b"1.5",
            b"true",
            b'"a"',
            b"[[1, 2], 3]",
        ),
        *(b'{"a": 1}', b"\\ud800", b'"version": 99', boot_id().encode()),
    ),
)
