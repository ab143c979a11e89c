import json

import pytest

from vllmd.control.answers import error, refused
from vllmd.control.peer import Peer


def test_error_is_a_sentence() -> None:
    answer = error(404, "no such thing")
    assert (answer.status_code, json.loads(bytes(answer.body))) == (404, {"error": "no such thing"})


def test_refusal_says_what_to_do_and_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    answer = refused(Peer(1, 12345, frozenset({12345})), "reap", "processes", engine="chat")
    assert answer.status_code == 403
    assert "may not reap processes" in json.loads(bytes(answer.body))["error"]
    assert "request.refused" in capsys.readouterr().out
