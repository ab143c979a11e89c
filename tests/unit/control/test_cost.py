from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.control import FakeCosts, control_socket
from vllmd.control.client import ControlClient
from vllmd.errors import VllmdError


def test_costs_are_asked_for_a_time_and_compared(tmp_path: Path) -> None:
    costs = FakeCosts({"engines": []})
    with control_socket(tmp_path / "c.sock", costs=costs) as path:
        assert ControlClient(path).cost(1.5, 2.5, ["gpt-4o", "x"]) == {"engines": []}
    assert costs.asked == [(1.5, 2.5, ["gpt-4o", "x"])]


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    class Unknown(FakeCosts):
        async def report(self, since: float, until: float, compare: Sequence[str]) -> Any:
            raise VllmdError("the price of 'x' is not known")

    with control_socket(tmp_path / "c.sock", costs=Unknown({})) as path:
        client = ControlClient(path)
        with pytest.raises(VllmdError, match="price of 'x' is not known"):
            client.cost(1, 2, ["x"])
        with pytest.raises(VllmdError, match="wrong parameter: since and until are"):
            client._ask("GET", "/v1/cost?since=1")
        with pytest.raises(VllmdError, match="wrong parameter: until is '1e18': seconds since"):
            client._ask("GET", "/v1/cost?since=1&until=1e18")
        with pytest.raises(VllmdError, match="wrong parameter: compare has 33 names"):
            client.cost(1, 2, ["x"] * 33)
