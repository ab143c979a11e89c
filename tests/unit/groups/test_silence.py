import pytest
import structlog

from tests.helpers.clock import FakeClock
from tests.helpers.grouped import CUT_OFF, HOSTS, Grouped, Network
from vllmd.config.fleet import FleetHost
from vllmd.groups.peers import PeerWatch
from vllmd.groups.rules import LOST_S
from vllmd.groups.silence import Silences


async def test_look_tells_once_of_a_silence_and_once_of_its_end(
    network: Network, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = FakeClock()
    peer = PeerWatch(FleetHost(HOSTS[0]), "big", 0, clock.monotonic)
    silences = Silences(structlog.get_logger())

    def told() -> str:
        silences.look([peer], clock.monotonic())
        return capsys.readouterr().out

    peer.page = Grouped().head.page()
    peer.heard()
    assert told() == ""
    await peer.ask(CUT_OFF, "")
    clock.now += LOST_S - 1
    assert told() == ""
    clock.now += 1
    said = told()
    assert "group.host_silent" in said
    assert "No route to host" in said
    assert "unreachable" in said
    clock.now += 600
    assert told() == ""
    peer.heard()
    said = told()
    assert "group.host_heard" in said
    assert f"after_s={LOST_S + 600}" in said
    assert told() == ""
