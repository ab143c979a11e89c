"""What was measured of an engine with one version, as it is kept."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from vllmd.comparing.bench import LoadSpec, Round
from vllmd.errors import CompareError
from vllmd.shim.files import parse_json
from vllmd.shim.record import write_record


@attrs.frozen
class Measured:
    """One version under one load; the rounds have the seeds 1, 2, …"""

    engine: str
    version: str
    model: str
    load: LoadSpec
    program: str
    """The `vllm` that made the load."""
    at: float
    """When, in seconds since the epoch."""
    rounds: tuple[Round, ...]
    run_id: str = ""
    """The run of the engine that was measured: its prefix cache knows the prompts since."""
    again: tuple[str, ...] = ()
    """The answers to the first round's prompts when they were asked once more: how far a version
    agrees with itself."""

    def to_json(self) -> dict[str, Any]:
        """Return it as it is kept."""
        return attrs.asdict(self)


def from_json(record: dict[str, Any]) -> Measured:
    """Read what `to_json` made.

    Raises: KeyError, ValueError, TypeError: it is something else.
    """
    rounds = tuple(
        Round(**{**each, "answers": tuple(each["answers"])}) for each in record["rounds"]
    )
    if not rounds:
        raise ValueError("it has no rounds")
    return Measured(
        engine=str(record["engine"]),
        version=str(record["version"]),
        model=str(record["model"]),
        load=LoadSpec(**record["load"]),
        program=str(record["program"]),
        at=float(record["at"]),
        rounds=rounds,
        run_id=str(record["run_id"]),
        again=tuple(map(str, record["again"])),
    )


def keep(folder: Path, measured: Measured) -> Path:
    """Write a record beside the others; returns where.

    Raises: CompareError: the disk refuses.
    """
    version = re.sub(r"[^\w.+-]", "_", measured.version)
    path = folder / measured.engine / f"{version}-{int(measured.at)}.json"
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        write_record(str(path), measured.to_json(), sync=True)
    except OSError as error:
        raise CompareError(f"{path} cannot be written: {error.strerror}") from None
    return path


def kept(folder: Path, engine: str) -> Iterator[Measured]:
    """Yield the records of an engine, the newest first; what is no record is passed over."""
    found = []
    for path in (folder / engine).glob("*.json"):
        try:
            found.append(from_json(parse_json(path.read_text())))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    yield from sorted(found, key=lambda each: each.at, reverse=True)


def of_run(folder: Path, engine: str, run_id: str, load: LoadSpec) -> Measured | None:
    """Return the record of a run under a load; None if it was not measured with it."""
    found = (each for each in kept(folder, engine) if (each.run_id, each.load) == (run_id, load))
    return next(found, None)


def before(folder: Path, engine: str, model: str, version: str, load: LoadSpec) -> Measured | None:
    """Return the newest record of another version under the same load; None if there is none."""
    same = (each for each in kept(folder, engine) if (each.model, each.load) == (model, load))
    return next((each for each in same if each.version != version), None)
