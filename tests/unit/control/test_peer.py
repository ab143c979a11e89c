import errno
import os
import socket
import struct
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


class ManyGroups:
    """A socket whose peer is in more groups than there is room for."""

    def getsockopt(self, _level: int, option: int, _size: int) -> bytes:
        if option == socket.SO_PEERCRED:
            return struct.pack("3i", 7, 54321, 100)
        raise OSError(errno.ERANGE, os.strerror(errno.ERANGE))


@pytest.mark.parametrize(("known", "groups"), [(True, [100, 4711]), (False, [100])])
def test_peer_of_a_user_of_very_many_groups_has_those_of_its_user(
    monkeypatch: pytest.MonkeyPatch, known: bool, groups: list[int]
) -> None:
    """A directory server gives people hundreds: they could not even ask for the status."""

    def user(uid: int) -> SimpleNamespace:
        if not known:
            raise KeyError(uid)
        return SimpleNamespace(pw_name="ada")

    monkeypatch.setattr("pwd.getpwuid", user)
    monkeypatch.setattr("os.getgrouplist", lambda name, gid: [gid, 4711])
    found = peer_of(ManyGroups())  # type: ignore[arg-type]
    assert (found.pid, found.uid, sorted(found.groups)) == (7, 54321, groups)


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
