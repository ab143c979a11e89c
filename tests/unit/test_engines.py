from pathlib import Path

import httpx

from tests.helpers.clock import FakeClock
from tests.helpers.make import config
from vllmd.adapters import Adapters
from vllmd.aside import Aside
from vllmd.config import command
from vllmd.engine.state import State
from vllmd.engines import Engines
from vllmd.gpu.notebook import Notebook
from vllmd.gpus import Gpus
from vllmd.outputs import Outputs
from vllmd.surroundings import Surroundings
from vllmd.traces.spans import StartSpan

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


async def test_build_makes_a_supervisor_and_a_page_for_each_engine(tmp_path: Path) -> None:
    given = config(ENGINES.format(folder=tmp_path))
    clock, surroundings, aside = FakeClock(), Surroundings(), Aside()
    client = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(500)))
    built, engines = command.build_all(given), Engines()
    assert engines.statuses() == []
    gpus = Gpus(given, engines.statuses, clock, Notebook(tmp_path / "gpus.json"))
    engines.build(
        given,
        surroundings,
        built,
        client=client,
        clock=clock,
        aside=aside,
        outputs=Outputs(given, clock),
        gpus=gpus,
        told=lambda _engine, _page: None,
        adapters=Adapters(given, built, engines.statuses, client, clock),
        start_nothing="the file is broken",
    )
    aside.close()
    assert {s.name: (s.state, s.wanted) for s in engines.statuses()} == {
        "chat": (State.STOPPED, False),
        "code": (State.STOPPED, True),
    }
    assert list(engines.sources) == ["chat", "code"]
    assert engines.running() == {}
    assert engines.readable_sources() == []
    engines.note_span("chat", StartSpan("Load weights", 1.0, 2.0))
