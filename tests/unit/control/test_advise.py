from pathlib import Path

import pytest

from tests.helpers.control import FakeAdvisor, control_socket
from vllmd.control.client import ControlClient
from vllmd.errors import VllmdError


def test_advice_is_asked_for_a_time_and_a_limit(tmp_path: Path) -> None:
    advisor = FakeAdvisor({"engines": []})
    with control_socket(tmp_path / "c.sock", advisor=advisor) as path:
        assert ControlClient(path).advise(1.5, 2.5, 0.5) == {"engines": []}
    assert advisor.asked == [(1.5, 2.5, 0.5)]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("since=1&until=2", "since, until and first_token_s are needed"),
        ("since=1&until=2&first_token_s=0", "first_token_s is '0': a number above 0"),
        ("since=1&until=2&first_token_s=nan", "first_token_s is 'nan': a number above 0"),
        ("since=x&until=2&first_token_s=1", "since is 'x'"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, query: str, said: str) -> None:
    with control_socket(tmp_path / "c.sock") as path, pytest.raises(VllmdError, match=said):
        ControlClient(path)._ask("GET", f"/v1/advise?{query}")
