"""How long a stop may take."""

import socket

import attrs

from vllmd.config.fleet import FleetHost
from vllmd.config.group import GroupConfig
from vllmd.config.model import EngineConfig
from vllmd.config.stop_time import longest_stop_s

FAST = EngineConfig("a", "m", unready_s=0, drain_s=1, stop_grace_s=2)
SLOW = EngineConfig("b", "m", unready_s=5, drain_s=300, stop_grace_s=15)


def test_slowest_engine_counts() -> None:
    assert longest_stop_s([]) == 10
    assert longest_stop_s([FAST]) == 13
    assert longest_stop_s([FAST, SLOW]) == 330


def test_weights_end_after_their_engine() -> None:
    kept = EngineConfig("a", "m", unready_s=0, drain_s=1, stop_grace_s=2, preload=True)
    assert longest_stop_s([kept]) == 13 + 10 + 15 + 10


def test_a_member_waits_for_its_head_and_ends_itself_then() -> None:
    own = socket.gethostname()
    hosts = {"head": [own, "198.51.100.1"], "member": ["198.51.100.1", own]}
    found = {}
    for role, names in hosts.items():
        group = GroupConfig(hosts=tuple(map(FleetHost, names)), mode="tensor")
        found[role] = longest_stop_s([attrs.evolve(SLOW, group=group)])
    assert found == {"head": 330, "member": 5 + 300 + 15 + 30 + 15 + 10}
