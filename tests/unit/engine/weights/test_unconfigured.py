import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.helpers.clock import FakeClock
from tests.helpers.make import spec
from tests.helpers.shims import FakeShim, end_processes
from vllmd.engine.process import orphans
from vllmd.engine.weights.unconfigured import UnconfiguredWeights
from vllmd.shim.protocol import RunRecord


class Host:
    """The run directory of a daemon whose configuration a test holds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.configured: set[str] = set()
        self.problem: str | None = None
        self.looks = UnconfiguredWeights(
            folder, lambda: self.configured, lambda: self.problem, FakeClock()
        )

    async def shim(self, folder: str, name: str) -> FakeShim:
        directory = self.folder / folder / name
        directory.mkdir(parents=True)
        shim = FakeShim(spec(directory, ["x"]))
        await shim.listen()
        return shim


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    end_processes()
    yield Host(tmp_path)
    end_processes()


def told(records: Sequence[Mapping[str, object]]) -> list[tuple[object, object]]:
    return [(each["event"], each.get("consequence", each.get("code"))) for each in records]


async def test_weights_of_no_engine_are_ended_by_their_shim_and_told_once(host: Host) -> None:
    shim = await host.shim("weights", "old")
    with capture_logs() as records:
        await host.looks.look()
        assert shim.process.wait() == -signal.SIGTERM
        shim.vanish()
        for _ in range(3):
            await host.looks.look()
    assert told(records) == [
        ("weights.unconfigured", "they are ended: no engine maps them"),
        ("weights.ended", "shim_lost"),
    ]
    assert records[-1]["requested"] is True
    assert orphans.read_run(shim.directory) is None, "nobody looks for them again"


async def test_weights_that_an_engine_maps_or_that_are_configured_stay(host: Host) -> None:
    shim, engine = await host.shim("weights", "old"), await host.shim("engines", "old")
    with capture_logs() as records:
        for _ in range(3):
            await host.looks.look()
        assert shim.process.poll() is None
        host.configured = {"old"}
        engine.vanish()
        await host.looks.look()
        assert shim.process.poll() is None
        host.configured = set()
        await host.looks.look()
    assert shim.process.wait() == -signal.SIGTERM
    consequences = [str(consequence) for _, consequence in told(records)]
    assert "maps them" in consequences[0]
    assert consequences[1] == "they are ended: no engine maps them"
    shim.vanish()


async def test_configuration_that_cannot_be_used_ends_nothing_and_names_the_command(
    host: Host,
) -> None:
    shim = await host.shim("weights", "old")
    host.problem = "line 3"
    with capture_logs() as records:
        for _ in range(3):
            await host.looks.look()
    assert shim.process.poll() is None
    ((_, consequence),) = told(records)
    assert f"'kill {shim.pid}' ends them" in str(consequence)
    shim.vanish()


async def test_shim_that_hears_no_signal_is_killed_and_what_does_not_die_is_named(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stays(_: RunRecord) -> list[str]:
        raise TimeoutError("still there after SIGKILL: x (pid 7)")

    shim = await host.shim("weights", "old")
    monkeypatch.setattr(orphans, "ask_end", lambda _: None)
    with capture_logs() as records:
        for _ in range(5):
            await host.looks.look()
        assert shim.process.poll() is None
        await host.looks.look()
        assert shim.process.wait() == -signal.SIGKILL
        shim.vanish()
        with monkeypatch.context() as patch:
            patch.setattr(orphans, "kill", stays)
            for _ in range(3):
                await host.looks.look()
        await host.looks.look()
    said = [str(consequence) for _, consequence in told(records)]
    assert said[1] == "still there after SIGKILL: x (pid 7); a reboot may be needed"
    assert said[2:] == ["shim_lost"]
