"""Was a launcher read right? What it starts beside what runs on this host now."""

from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from vllmd.cli.import_process import Running, running
from vllmd.importing.comparison import values_of
from vllmd.importing.result import Engine
from vllmd.importing.unknown import is_unknown
from vllmd.util.redact import masked


@attrs.frozen
class EngineCheck:
    """One engine beside the process that serves at its port."""

    engine: str
    port: int
    pid: int | None
    """None: no vLLM that runs here listens there."""
    differences: tuple[tuple[str, Any, Any], ...]
    """What it is of, what was read, and what runs; secrets are masked."""


@attrs.frozen
class RunningComparison:
    """All engines of a source beside what runs."""

    engines: tuple[EngineCheck, ...]

    @property
    def same(self) -> bool:
        """Whether each of them runs, as it was read."""
        return all(each.pid is not None and not each.differences for each in self.engines)

    def lines(self) -> Iterator[str]:
        """Yield it for people."""
        for each in self.engines:
            if each.pid is None:
                yield f"check {each.engine}: no vLLM runs here with port {each.port}"
            elif not each.differences:
                yield f"check {each.engine}: process {each.pid} runs as it was read"
            else:
                yield f"check {each.engine}: process {each.pid} does not run as it was read:"
                for name, read, runs in each.differences:
                    yield f"  {name}: read {_shown(read)}, runs with {_shown(runs)}"

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {"same": self.same, "engines": [attrs.asdict(each) for each in self.engines]}


def _shown(value: Any) -> str:
    return "nothing" if value is None else repr(value)


def check_running(engines: Sequence[Engine]) -> RunningComparison:
    """Compare engines with the processes that serve at their ports."""
    return RunningComparison(tuple(_check(each, list(running())) for each in engines))


def _check(engine: Engine, found: Sequence[Running]) -> EngineCheck:
    read = values_of(engine.launch.arguments)
    port = read["port"]
    for each in found:
        runs = values_of(each.arguments)
        if runs["port"] == port:
            return EngineCheck(
                engine.name, int(port), each.pid, tuple(_differences(engine, read, runs, each))
            )
    return EngineCheck(engine.name, int(port), None, ())


def _differences(
    engine: Engine, read: dict[str, Any], runs: dict[str, Any], process: Running
) -> Iterator[tuple[str, Any, Any]]:
    for name in dict.fromkeys((*read, *runs)):
        one, other = read.get(name), runs.get(name)
        if one != other and not is_unknown(str(one)):
            flag = f"--{name}"
            yield flag, masked(flag, one), masked(flag, other)
    for name, value in engine.launch.variables.items():
        runs_with = process.variables.get(name)
        if value != runs_with and not is_unknown(value):
            yield name, masked(name, value), masked(name, runs_with)
