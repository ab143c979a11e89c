import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vllmd.gpu.attribution import WEIGHTS_OF, forget_ended, identify, title
from vllmd.gpu.memory_shares import Owner
from vllmd.gpu.state_file import GpuState
from vllmd.shim import proc

TREE = "import subprocess,sys; p=subprocess.Popen(['sleep','60']); print(p.pid,flush=True); input()"


class Tree:
    """A process with a child, in a session of its own: a shim and its engine."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", TREE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.child = int(self.process.stdout.readline())
        self.shims = {self.process.pid: "chat"}

    def end(self) -> None:
        while left := proc.session_members(self.process.pid):
            for stat in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(stat.pid, 9)
            self.process.poll()
        self.process.wait()


@pytest.fixture
def tree() -> Iterator[Tree]:
    made = Tree()
    yield made
    made.end()


def test_process_below_a_shim_is_the_engines(tree: Tree) -> None:
    notes = GpuState()
    found = identify(tree.child, 5, tree.shims, notes)
    assert (found.owner, found.engine, found.bytes) == (Owner.ENGINE, "chat", 5)
    assert found.user
    assert "sleep" in found.name
    assert list(notes.processes.values()) == ["chat"]


def test_process_seen_in_an_engine_is_an_orphan_without_its_shim(tree: Tree) -> None:
    notes = GpuState()
    identify(tree.child, 5, tree.shims, notes)
    found = identify(tree.child, 5, {}, notes)
    assert (found.owner, found.engine) == (Owner.ORPHAN, "chat")


def test_process_below_the_shim_of_weights_keeps_them_and_is_an_orphan_without_it(
    tree: Tree,
) -> None:
    notes = GpuState()
    found = identify(tree.child, 5, {tree.process.pid: f"{WEIGHTS_OF}chat"}, notes)
    assert (found.owner, found.engine) == (Owner.WEIGHTS, "chat")
    assert not found.is_of("chat"), "an engine's end has nothing to do with it"
    assert found.is_weights_of("chat")
    found = identify(tree.child, 5, {}, notes)
    assert (found.owner, found.engine) == (Owner.ORPHAN, "weights of chat")


def test_process_of_an_engines_session_is_an_orphan(tree: Tree) -> None:
    """It took memory only after the last listing, then its shim was killed."""
    found = identify(tree.child, 5, {}, GpuState(sessions={tree.process.pid: "chat"}))
    assert (found.owner, found.engine) == (Owner.ORPHAN, "chat")


def test_process_in_the_group_of_an_engines_unit_is_an_orphan(tree: Tree, tmp_path: Path) -> None:
    place = tmp_path / str(tree.child)
    place.mkdir()
    (place / "cgroup").write_text("0::/system.slice/system-vllmd\\x2dengine.slice/vllmd-engine@3")
    found = identify(tree.child, 5, {}, GpuState(), root=str(tmp_path))
    assert found.owner is Owner.ORPHAN


def test_session_whose_id_another_has_by_now_makes_no_orphan(tree: Tree) -> None:
    """An engine ended while nobody looked, and a person's shell got the id of its session."""
    notes = GpuState(sessions={tree.process.pid: "chat"}, leaders={tree.process.pid: 1})
    assert identify(tree.child, 5, {}, notes).owner is Owner.FOREIGN
    forget_ended(notes, {tree.child})
    assert (notes.sessions, notes.leaders) == ({}, {})


def test_session_is_known_by_the_start_of_its_first_process(tree: Tree) -> None:
    notes = GpuState()
    identify(tree.child, 5, tree.shims, notes)
    leader = proc.read_stat(tree.process.pid)
    assert leader is not None
    assert notes.leaders == {tree.process.pid: leader.start_ticks}
    notes.processes.clear()
    assert identify(tree.child, 5, {}, notes).owner is Owner.ORPHAN


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("/usr/bin/python3 train.py --token hf_x", "/usr/bin/python3 train.py"),
        ("VLLM::Worker_TP1", "VLLM::Worker_TP1"),
        ("a b c d", "a b c"),
        ("python -m x", "python"),
        ("", ""),
    ],
)
def test_title_has_no_options(line: str, name: str) -> None:
    assert title(line) == name


def test_anything_else_is_foreign() -> None:
    found = identify(os.getpid(), 5, {}, GpuState())
    assert (found.owner, found.engine) == (Owner.FOREIGN, None)
    assert found.start_ticks


def test_id_that_is_used_again_is_no_orphan() -> None:
    """Same number, another process: it began at another time."""
    notes = GpuState(processes={(os.getpid(), 1): "chat"})
    assert identify(os.getpid(), 5, {}, notes).owner is Owner.FOREIGN
    forget_ended(notes, {os.getpid()})
    assert notes.processes == {}


def test_process_of_another_namespace_is_foreign_and_nameless() -> None:
    found = identify(2**22 + 1, None, {}, GpuState())
    assert (found.owner, found.name, found.bytes) == (Owner.FOREIGN, "", None)


def test_memory_of_an_engine_that_has_ended_is_an_orphans_until_it_is_back() -> None:
    tree, notes = Tree(), GpuState()
    identify(tree.child, 5, tree.shims, notes)
    tree.end()
    found = identify(tree.child, 5, {}, notes)
    assert (found.owner, found.engine) == (Owner.ORPHAN, "chat")
    assert found.name == "a process of chat that has ended"
    forget_ended(notes, {tree.child})
    assert notes.processes
    forget_ended(notes, ())
    assert (notes.processes, notes.sessions, notes.leaders) == ({}, {}, {})
