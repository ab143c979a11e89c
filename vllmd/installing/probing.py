"""Ask a vLLM what it is, once, and keep the answer beside it."""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from vllmd.errors import InstallError
from vllmd.installing import flags
from vllmd.installing.command_runner import CommandRunner
from vllmd.installing.flags import FlagTable
from vllmd.installing.layout import RECORDS, InstalledEngines, InstallRecord
from vllmd.shim.files import read_json
from vllmd.shim.record import read_record, write_record

PROBE = str(resources.files("vllmd.installing") / "probe.py")
QUIET = {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
FLAGS = ".flags.json"


def ask(
    runner: CommandRunner, python: str, engines: InstalledEngines, name: str
) -> Mapping[str, Any]:
    """Import that vLLM, read its parser, and keep the flags.

    Returns: its versions.
    Raises: InstallError: it cannot be imported, or says nothing that can be used.
    """
    said = engines.beside(name, ".probed")
    try:
        runner.run([python, "-I", PROBE, str(said)])
        found = read_json(said)
    except (OSError, ValueError) as error:
        raise InstallError(f"{python} said nothing that can be used: {error}") from None
    finally:
        said.unlink(missing_ok=True)
    path = engines.beside(name, FLAGS)
    write_record(str(path), {"version": found["version"], "flags": found["flags"]})
    path.chmod(0o644)
    return {key: found[key] for key in ("version", "torch", "cuda", "python")}


def record_of(
    name: str, program: Path, found: Mapping[str, Any], at: float, *, adopted: bool = False
) -> InstallRecord:
    """Return the record of an engine that was asked."""
    return InstallRecord(
        name=name, program=str(program), installed_at=at, adopted=adopted, **dict(found)
    )


def flag_table(engines: InstalledEngines, name: str) -> FlagTable | None:
    """Return the flags of an engine; None if they were never read."""
    kept = read_record(str(engines.beside(name, FLAGS)))
    return None if kept is None else flags.read(kept)


def installed_as(program: str) -> tuple[InstalledEngines, str] | None:
    """Return where and as what the engine is installed that a `vllm` belongs to; None if it is not.

    By where it lies, ``<prefix>/<name>/bin/vllm``, so that any prefix will do.
    """
    path = Path(program)
    if len(path.parents) < 4:
        return None
    engines, name = InstalledEngines(path.parents[2]), path.parents[1].name
    if not (engines.prefix / RECORDS).is_dir():
        return None
    return engines, engines.linked(name) or name


def table_for(program: str) -> FlagTable | None:
    """Return the flags that a `vllm` takes; None if none are kept."""
    place = installed_as(program)
    return None if place is None else flag_table(*place)


def record_for(program: str) -> InstallRecord | None:
    """Return what is known of a `vllm`; None if nothing is."""
    place = installed_as(program)
    return None if place is None else place[0].record(place[1])
