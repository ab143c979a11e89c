from pathlib import Path

import attrs
import pytest

from tests.helpers.clock import FakeClock
from tests.helpers.make import engine
from tests.helpers.scene import Scene
from vllmd.engine.assembly import assemble, redirect, watch_of
from vllmd.engine.engine_state import EngineState
from vllmd.engine.process.run_state import Endpoint, Run, RunStates
from vllmd.engine.restart.state_file import RestartStateFile
from vllmd.engine.state_machine import Trigger


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


@pytest.mark.parametrize(
    ("probe", "wrong"),
    [
        ("", None),
        ('probe = {on_mismatch = "alert"}', None),
        ('probe = {on_mismatch = "drain"}', "far"),
    ],
)
def test_wrong_answers_outlive_the_daemon_only_where_a_probe_lets_requests_come_again(
    tmp_path: Path, probe: str, wrong: str | None
) -> None:
    clock, scene = FakeClock(), Scene(tmp_path)
    states = RunStates(tmp_path / "run.json")

    def daemon(table: str) -> EngineState:
        memory = RestartStateFile(tmp_path / "chat.json")
        known = EngineState("chat", clock, memory, states)
        assemble(attrs.evolve(scene.settings, engine=engine(table)), known)
        return known

    first = daemon('probe = {on_mismatch = "drain"}')
    first.spawned(Run("r", "hash", Endpoint("127.0.0.1", 8000, "m")), seen=True)
    first.to(Trigger.START)
    first.answers.withhold("far")
    then = daemon(probe)
    assert then.resume("r", ending=False)
    assert then.answers.wrong == wrong
    assemble(attrs.evolve(scene.settings, engine=engine("")), then)
    assert then.answers.wrong is None
