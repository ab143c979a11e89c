from collections.abc import Iterator
from pathlib import Path

import attrs
import httpx
import pytest

from tests.helpers.clock import FakeClock
from tests.helpers.make import config
from vllmd.daemon.engine_probes import EngineProbes
from vllmd.daemon.engines import Engines, SharedServices
from vllmd.daemon.environment import Environment
from vllmd.daemon.reload import ConfigSnapshot, in_force
from vllmd.engine.output.service import OutputService
from vllmd.engine.state_machine import State, Trigger
from vllmd.gpu.service import GpuService
from vllmd.gpu.state_file import GpuStateFile
from vllmd.lora.service import LoraService
from vllmd.traces.spans import StartSpan
from vllmd.util.disk_thread import DiskThread

ENGINES = """
[daemon]
run_dir = "{folder}/run"
state_dir = "{folder}/state"
log_dir = "{folder}/log"
[gpu]
source = "none"
[engines.chat]
model = "m"
autostart = false
[engines.code]
model = "n"
port = 8001
"""


class Scene:
    """Engines that a test configures; nothing of them runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock, self.disk_thread, self.environment = FakeClock(), DiskThread(), Environment()
        self.client = httpx.AsyncClient(
            transport=httpx.MockTransport(lambda _: httpx.Response(500))
        )
        self.engines = Engines()
        self.now: ConfigSnapshot | None = None
        self.spent: list[tuple[str, str, int, int, int]] = []

    def configure(self, text: str = ENGINES, problem: str | None = None) -> None:
        wanted = ConfigSnapshot.of(config(text.format(folder=self.folder)), problem=problem)
        self.now = now = in_force(wanted, self.now, self.engines.runs(), ())
        if not hasattr(self, "outputs"):
            self.outputs = OutputService(now.config, self.clock)
            statuses = self.engines.statuses
            state_file = GpuStateFile(self.folder / "gpus.json")
            self.gpus = GpuService(now.config, now.commands, statuses, self.clock, state_file)
            self.adapters = LoraService(now.config, now.commands, statuses, self.client, self.clock)
            self.shared = SharedServices(
                self.environment,
                self.client,
                self.clock,
                self.disk_thread,
                self.outputs,
                self.gpus,
                self.adapters,
                told=lambda _engine, _page: None,
                ended=lambda: None,
                spent=lambda *what: self.spent.append(what),
            )
        self.outputs.configure(now.config)
        self.engines.configure(now, wanted, self.shared)
        self.engines.part_with(wanted.config.engines, ())


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.disk_thread.close()


async def test_configure_makes_a_supervisor_and_a_page_for_each_engine(scene: Scene) -> None:
    engines = scene.engines
    assert engines.statuses() == []
    scene.configure(problem="the file is broken")
    assert {s.name: (s.state, s.wanted, s.problem) for s in engines.statuses()} == {
        "chat": (State.STOPPED, False, "the file is broken"),
        "code": (State.STOPPED, True, "the file is broken"),
    }
    assert list(engines.sources) == ["chat", "code"]
    assert (engines.status("code"), engines.status("none")) == (engines.statuses()[1], None)
    assert engines.starting() == []
    engines.supervisors["code"]._state.to(Trigger.START)
    assert engines.starting() == [engines.status("code")]
    assert engines.running() == {}
    assert engines.runs() == {}
    assert engines.readable_sources() == []
    assert [part.name for part in engines.parts()] == ["engine:chat", "engine:code"]
    engines.note_span("chat", StartSpan("Load weights", 1.0, 2.0, failed=True))
    engines.note_span("unknown", StartSpan("Load weights", 1.0, 2.0))


async def test_weights_are_followed_of_engines_that_keep_some_alone(scene: Scene) -> None:
    scene.configure()
    assert list(scene.engines.weight_parts()) == []
    scene.folder = Path("/tmp/h")  # the sockets' path is to be short
    scene.configure(ENGINES.replace("port = 8001", "port = 8001\npreload = true"))
    assert [part.name for part in scene.engines.weight_parts()] == ["weights:code"]


async def test_configure_again_keeps_supervisors_and_their_order(scene: Scene) -> None:
    scene.configure()
    before = dict(scene.engines.supervisors)
    more = ENGINES.replace("[engines.chat]", '[engines.new]\nmodel = "o"\nport = 2\n[engines.chat]')
    scene.configure(more.replace("8001", "8002"))
    assert list(scene.engines.supervisors) == ["new", "chat", "code"]
    assert all(scene.engines.supervisors[name] is each for name, each in before.items())
    assert scene.engines.supervisors["code"].status.url == "http://127.0.0.1:8002"
    assert scene.engines.sources["code"]._url == "http://127.0.0.1:8002/metrics"


async def test_part_with_leaves_an_engine_until_its_supervisor_is_over(scene: Scene) -> None:
    scene.configure()
    chat = scene.engines.supervisors["chat"]
    without = (
        ENGINES[: ENGINES.index("[engines.chat]")] + ENGINES[ENGINES.index("[engines.code]") :]
    )
    scene.configure(without)
    assert list(scene.engines.supervisors) == ["code"]
    assert [part.name for part in scene.engines.parts()] == ["engine:chat", "engine:code"]
    scene.configure()  # it is back before it was let go of
    assert scene.engines.supervisors["chat"] is chat
    scene.configure(without)
    scene.engines.forget(lambda _: True, ["code"])
    assert [part.name for part in scene.engines.parts()] == ["engine:code"]
    assert list(scene.engines.sources) == ["code"]


async def test_what_an_engine_was_asked_is_told_of_the_run_that_there_is(scene: Scene) -> None:
    scene.configure()
    supervisor = scene.engines.supervisors["chat"]
    asks = attrs.evolve(supervisor.status, run_id=None)
    scene.engines.status = lambda name: asks  # type: ignore[method-assign]
    probes = supervisor._settings.probes
    assert isinstance(probes, EngineProbes)
    probes._spent(1, 1)
    assert scene.spent == [], "it has ended meanwhile"
    asks = attrs.evolve(asks, run_id="run-1")
    probes._spent(2, 1)
    assert scene.spent == [("chat", "run-1", 2, 1, 1)]
