import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.make import spec
from tests.helpers.shims import end_processes
from tests.helpers.site import wait_for
from vllmd.shim import proc
from vllmd.shim import tree as tree_module
from vllmd.shim.tree import EngineTree, become_subreaper

Spawn = Callable[..., EngineTree]


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    """Spawn below this process; it is the subreaper, and has no other children here."""
    end_processes()
    become_subreaper()
    null = os.open(os.devnull, os.O_WRONLY)
    trees: list[EngineTree] = []

    def start(*argv: str) -> EngineTree:
        trees.append(EngineTree(spec(tmp_path, list(argv)), null))
        return trees[-1]

    yield start
    for tree in trees:
        tree.stop(0)
        until_empty(tree)
    os.close(null)


def until_empty(tree: EngineTree) -> None:
    for _ in range(400):
        if tree.sweep() == 0.0:
            return
        time.sleep(0.02)
    pytest.fail("the tree does not become empty")


def test_tree_is_not_empty_because_it_cannot_be_read(
    spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API server is gone, its core lives, and the host has no descriptor left."""
    tree = spawn(
        "/bin/sh", "-c", "sleep 60 & until grep -q sleep /proc/$!/comm; do :; done; exit 3"
    )
    wait_for("its end", lambda: (stat := proc.read_stat(tree.pid)) and stat.is_zombie)

    def no_descriptor(path: str, *_: object) -> None:
        raise OSError(errno.ENFILE, os.strerror(errno.ENFILE), path)

    with monkeypatch.context() as patch:
        patch.setattr(proc, "open", no_descriptor, raising=False)
        with pytest.raises(OSError, match="open files"):
            tree.sweep()
    until_empty(tree)
    assert len(tree.killed) == 1


def test_tree_exit_code_is_kept(spawn: Spawn) -> None:
    tree = spawn("/bin/sh", "-c", "exit 3")
    until_empty(tree)
    assert (tree.exit_code, tree.signal, tree.killed) == (3, None, [])


def test_tree_the_end_of_another_child_is_not_the_engines(spawn: Spawn) -> None:
    tree = spawn("/bin/sleep", "60")
    orphan = subprocess.Popen(["/bin/sh", "-c", "exit 7"])
    wait_for("its end", lambda: (stat := proc.read_stat(orphan.pid)) and stat.is_zombie)
    tree.reap()
    assert (tree.exited, tree.exit_code) == (False, None)


def test_tree_has_a_session_of_its_own(spawn: Spawn) -> None:
    tree = spawn("/bin/sleep", "60")
    stat = proc.read_stat(tree.pid)
    assert stat is not None
    assert stat.session == tree.pid
    assert stat.start_ticks == tree.start_ticks
    assert tree.sweep() is None


def test_tree_stop_asks_the_main_process_only(spawn: Spawn) -> None:
    script = "trap 'wait; exit 5' TERM; (trap 'exit 0' TERM; sleep 0.3; exit 0) & wait"
    tree = spawn("/bin/sh", "-c", script)
    wait_for("its child", lambda: "sleep 0.3" in below(tree))
    tree.stop(5)
    until_empty(tree)
    assert tree.exit_code == 5
    assert tree.stop_requested


def test_tree_main_process_is_asked_once(spawn: Spawn, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = spawn("/bin/sleep", "60")
    sent: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(os, "kill", lambda pid, number: sent.append(number))
        tree.stop(60)
        tree.stop(30)
    assert sent == [signal.SIGTERM, signal.SIGCONT], "a second SIGTERM would end vLLM's drain"


def test_tree_main_process_that_has_ended_is_not_asked(
    spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = spawn("/bin/true")
    until_empty(tree)
    sent: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(os, "kill", lambda pid, number: sent.append(number))
        tree.stop(60)
    assert sent == [], "its number may be another's by now"


def test_tree_that_ignores_term_is_killed_after_its_grace(spawn: Spawn) -> None:
    tree = spawn("/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
    wait_for("its loop", lambda: "sleep 0.1" in below(tree))
    tree.stop(0.2)
    until_empty(tree)
    assert tree.signal == signal.SIGKILL


def test_tree_that_may_end_by_itself_is_looked_at_again_when_its_grace_is_over(
    spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = spawn("/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
    wait_for("its loop", lambda: "sleep 0.1" in below(tree))
    with monkeypatch.context() as patch:
        now = time.monotonic()
        patch.setattr(time, "monotonic", lambda: now)
        tree.stop(60)
        assert tree.sweep() == pytest.approx(60)


def test_tree_that_is_to_end_now_is_killed_and_soon_looked_at_again(
    spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = spawn("/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
    wait_for("its loop", lambda: "sleep 0.1" in below(tree))
    with monkeypatch.context() as patch:
        now = time.monotonic()
        patch.setattr(time, "monotonic", lambda: now)
        tree.stop(0)
        again_s = tree.sweep()
    assert again_s is not None
    assert 0 < again_s <= 0.1  # 0.0 would say that nothing is left
    until_empty(tree)
    assert tree.signal == signal.SIGKILL


def test_tree_that_is_stopped_still_takes_its_term(spawn: Spawn) -> None:
    """One that handles SIGTERM, as vLLM does: the kernel ends others though they are stopped."""
    tree = spawn("/bin/sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.05; done")
    wait_for("its loop", lambda: "sleep 0.05" in below(tree))
    os.kill(tree.pid, signal.SIGSTOP)
    wait_for("it to stand still", lambda: proc.command_line(tree.pid) and state(tree) == "T")
    tree.stop(60)
    until_empty(tree)
    assert (tree.exit_code, tree.signal) == (5, None)


def below(tree: EngineTree) -> list[str]:
    return sorted(proc.command_line(stat.pid) for stat in proc.descendants(tree.pid))


def state(tree: EngineTree) -> str | None:
    stat = proc.read_stat(tree.pid)
    return stat.state if stat else None


@pytest.mark.parametrize("graces", [(0.1, 60), (60, 0.1), (0.1, 60, 60)])
def test_tree_a_second_stop_can_only_bring_the_end_nearer(
    spawn: Spawn, graces: tuple[float, ...]
) -> None:
    tree = spawn("/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
    wait_for("its loop", lambda: "sleep 0.1" in below(tree))
    for grace_s in graces:
        tree.stop(grace_s)
    until_empty(tree)
    assert tree.signal == signal.SIGKILL


def test_tree_orphan_of_a_killed_main_process_is_killed_and_named(spawn: Spawn) -> None:
    tree = spawn("/bin/sh", "-c", "sleep 61 & sleep 62 & wait")
    wait_for("its children", lambda: below(tree) == ["sleep 61", "sleep 62"])
    os.kill(tree.pid, signal.SIGKILL)
    until_empty(tree)
    assert tree.signal == signal.SIGKILL
    assert [name.split(" (")[0] for name in sorted(tree.killed)] == ["sleep 61", "sleep 62"]


TRACKER = """
import sys, time  # multiprocessing.resource_tracker
time.sleep(0.5)
open(sys.argv[1], "w").write("removed what was left")
"""


def test_tree_resource_tracker_may_end_by_itself(spawn: Spawn, tmp_path: Path) -> None:
    tracker = f"{sys.executable} -c '{TRACKER}' {tmp_path}/done"
    tree = spawn("/bin/sh", "-c", f"{tracker} & sleep 0.2; exit 0")
    until_empty(tree)
    assert tree.killed == []
    assert (tmp_path / "done").read_text() == "removed what was left"


def test_tree_resource_tracker_that_does_not_end_is_killed_too(
    spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree_module, "TRACKER_GRACE_S", 0.3)
    script = "import time  # multiprocessing.resource_tracker\ntime.sleep(60)"
    tree = spawn("/bin/sh", "-c", f"{sys.executable} -c '{script}' & sleep 0.3; exit 0")
    until_empty(tree)
    (killed,) = tree.killed
    assert "time # multi" in killed  # the rest is cut where the path is long


def test_tree_program_that_is_not_there_raises(spawn: Spawn) -> None:
    with pytest.raises(FileNotFoundError):
        spawn("/no/such/program")
