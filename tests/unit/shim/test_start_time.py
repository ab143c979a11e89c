"""When an engine was started, without a descriptor to read it: by that it is known again."""

import errno
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import vllmd.shim.__main__ as shim_program
from tests.helpers.make import spec
from tests.helpers.site import wait_for
from vllmd.shim import proc, protocol
from vllmd.shim.record import read_record
from vllmd.shim.tree import EngineTree

WITHOUT_A_DESCRIPTOR = """
import sys
sys.path.insert(0, {root!r})
from vllmd.shim import main, proc
real = proc.read_stat
looks = 0
def read_stat(pid):
    global looks
    looks += 1
    return real(pid) if looks > 3 else None
proc.read_stat = read_stat
sys.exit(main.main())
"""


@pytest.mark.long
def test_shim_writes_down_when_its_engine_was_started_once_it_can_be_read(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    program = WITHOUT_A_DESCRIPTOR.format(root=str(Path(shim_program.__file__).parents[2]))
    with theirs:
        shim = subprocess.Popen([sys.executable, "-I", "-S", "-c", program], stdin=theirs.fileno())
    with ours, ours.makefile("rwb") as stream:
        stream.write(protocol.encode(spec(tmp_path, ["/bin/sleep", "60"])))
        stream.flush()
        pid = json.loads(stream.readline())["engine_pid"]
    began = proc.look_at(pid)
    assert began is not None

    def is_noted() -> bool:
        record = read_record(str(tmp_path / protocol.RUN_RECORD_NAME)) or {}
        return record.get("engine_start_ticks") == began.start_ticks

    wait_for("the time of its start", is_noted)
    shim.terminate()
    assert shim.wait(20) == 0


def test_start_of_a_process_that_was_reaped_is_not_read_of_another_with_its_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_descriptor(path: str, *_: object) -> None:
        raise OSError(errno.ENFILE, os.strerror(errno.ENFILE), path)

    tree = EngineTree.__new__(EngineTree)
    tree.pid, tree.start_ticks, tree.exited = os.getpid(), 0, False
    with monkeypatch.context() as patch:
        patch.setattr(proc, "open", no_descriptor, raising=False)
        tree.look_when_started()
    assert tree.start_ticks == 0
    tree.exited = True
    tree.look_when_started()
    assert tree.start_ticks == 0
    tree.exited = False
    tree.look_when_started()
    assert tree.start_ticks > 0
