"""The shims of engines, and of what keeps their weights: by them GPU memory has owners."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from vllmd.engine.process import orphans
from vllmd.engine.status import EngineStatus
from vllmd.gpu.attribution import WEIGHTS_OF


def running(engines: Iterable[EngineStatus], run_dir: Path) -> dict[int, str]:
    """Return the shims by process id, with the engine's name; those of weights behind `WEIGHTS_OF`.

    Those that are not configured any more are found by their folders.
    """
    found: dict[int, str] = {}
    for engine in engines:
        if engine.shim_pid:
            found[engine.shim_pid] = engine.name
        if engine.weights is not None and engine.weights.shim_pid:
            found[engine.weights.shim_pid] = f"{WEIGHTS_OF}{engine.name}"
    for folder, before in ((run_dir / "engines", ""), (run_dir / "weights", WEIGHTS_OF)):
        found |= dict(_alive(folder, before, set(found.values())))
    return found


def _alive(folder: Path, before: str, known: set[str]) -> Iterator[tuple[int, str]]:
    for each in folder.iterdir() if folder.is_dir() else ():
        name = f"{before}{each.name}"
        run = orphans.read_run(each) if name not in known else None
        if run is not None and orphans.shim_alive(run):
            yield run["shim_pid"], name
