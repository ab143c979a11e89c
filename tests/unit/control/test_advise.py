from pathlib import Path

import pytest

from tests.helpers.control import FakeAdvisor, control_socket
from vllmd.control.client import ControlClient
from vllmd.control.peer import Peer
from vllmd.errors import VllmdError


def test_advice_is_asked_for_a_time_and_a_limit(tmp_path: Path) -> None:
    advisor = FakeAdvisor({"engines": []})
    with control_socket(tmp_path / "c.sock", advisor=advisor) as path:
        assert ControlClient(path).advise(1.5, 2.5, 0.5) == {"engines": []}
    assert advisor.asked == [(1.5, 2.5, 0.5)]


def test_lines_of_the_file_are_for_those_who_may_act(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"engines": [{"engine": "chat", "advice": [{"key": ["x"], "diff": "+password"}]}]}
    with control_socket(tmp_path / "c.sock", advisor=FakeAdvisor(given)) as path:
        assert ControlClient(path).advise(1, 2, 1) == given
        monkeypatch.setattr(Peer, "may_act", lambda _: False)
        (found,) = ControlClient(path).advise(1, 2, 1)["engines"]
    assert found == {"engine": "chat", "advice": [{"key": ["x"], "diff": None}]}


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
