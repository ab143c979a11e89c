from pathlib import Path

import pytest

from tests.helpers.top import SOCKET
from vllmd.cli.screen import actions


def test_command_of_a_key_is_what_a_person_would_type() -> None:
    engine = {"name": "chat", "state": "ready", "requests_running": 3, "requests_waiting": None}
    action = actions.on_engine("stop", engine, SOCKET)
    assert action.shown == "vllmd stop chat --socket /run/vllmd/control.sock"
    assert "3 requests run there, 0 wait" in action.note
    assert "until it is started, or the next boot" in action.note
    restart = actions.on_engine("restart", {**engine, "requests_running": None}, Path("/a b"))
    assert restart.shown == "vllmd restart chat --socket '/a b'"
    assert restart.note == "chat is ready."


def test_reap_names_the_orphans() -> None:
    action = actions.reap([("0", 77, 1 << 30), ("1", 78, None)], SOCKET)
    assert action.note.startswith("pid 77 on GPU 0, 1.0 GiB; pid 78 on GPU 1.")


@pytest.mark.long
async def test_run_is_the_command_itself(tmp_path: Path) -> None:
    socket = tmp_path / "none.sock"
    done = await actions.run(actions.Action("", ("start", "chat", "--socket", str(socket))))
    assert done.code == 69
    assert f"no vllmd answers on {socket}" in done.output
