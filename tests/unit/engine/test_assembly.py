from pathlib import Path

import attrs

from tests.helpers.clock import FakeClock
from tests.helpers.make import engine
from tests.helpers.scene import Scene
from vllmd.engine.assembly import assemble, redirect, watch_of
from vllmd.engine.engine_state import EngineState
from vllmd.engine.restart.state_file import RestartStateFile


def test_redirect_gives_the_watch_other_settings_and_leaves_the_ledger(tmp_path: Path) -> None:
    settings = Scene(tmp_path).settings
    engine_state = EngineState("chat", FakeClock(), RestartStateFile(tmp_path / "chat.json"))
    parts = assemble(settings, engine_state)
    watch = watch_of(settings, engine_state, parts, lambda: None)
    other = attrs.evolve(
        settings,
        engine=engine("port = 9001\nliveness = { stall_s = 7 }"),
        context=attrs.evolve(settings.context, poll_s=9.0),
    )
    again = assemble(other, engine_state, parts)
    redirect(watch, other, again)
    assert (watch.port, watch.limits.stall_s, watch.poll_s) == (9001, 7, 9)
    assert watch.diagnose == again.incidents.before_kill
    assert watch.engine_state is engine_state
