import os
import socket
from types import SimpleNamespace

import pytest

from vllmd.control.peer import Peer, peer_of


def test_peer_of_is_vouched_for_by_the_kernel() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        peer = peer_of(ours)
    assert (peer.pid, peer.uid) == (os.getpid(), os.getuid())
    assert os.getgid() in peer.groups
    assert set(os.getgroups()) <= peer.groups


@pytest.mark.parametrize(
    ("uid", "groups", "allowed"),
    [(0, {0}, True), (1000, {1000}, False), (1000, {1000, 77}, True), (999, {999}, True)],
)
def test_may_act_is_for_root_the_daemons_user_and_the_group(
    monkeypatch: pytest.MonkeyPatch, uid: int, groups: set[int], allowed: bool
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 999)
    monkeypatch.setattr("grp.getgrnam", lambda _: SimpleNamespace(gr_gid=77))
    assert Peer(1, uid, frozenset(groups)).may_act() is allowed


def test_may_act_without_the_group_on_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> None:
        raise KeyError

    monkeypatch.setattr("grp.getgrnam", missing)
    assert not Peer(1, 54321, frozenset({1})).may_act()


def test_describe_user_without_a_name() -> None:
    assert Peer(1, 54321, frozenset()).describe() == "uid 54321"
    assert Peer(1, 0, frozenset()).describe() == "root"
