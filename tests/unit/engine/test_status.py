import json

from tests.helpers.make import status
from vllmd.engine.exits import Exit
from vllmd.engine.restart.policy import Hold
from vllmd.engine.state_machine import State
from vllmd.engine.status import summary


def test_to_json_is_json_and_says_how_it_ended() -> None:
    last = Exit("0", requested=False, at=5.0, run_id="r", tail=("secret prompt",))
    given = status(state=State.BACKOFF, exits={("0", False): 2}, last_exit=last)
    shown = json.loads(json.dumps(given.to_json()))
    assert shown["state"] == "backoff"
    assert shown["up"] is False
    assert shown["exits"] == [{"code": "0", "requested": False, "count": 2}]
    assert shown["last_exit"]["text"] == "exited with code 0 unexpectedly"


def test_to_json_leaves_the_engines_output_out() -> None:
    last = Exit("0", requested=False, at=5.0, run_id="r", tail=("secret prompt",))
    assert "secret prompt" not in json.dumps(status(last_exit=last).to_json())


def test_up_is_ready_only() -> None:
    assert [s for s in State if status(state=s).up] == [State.READY]


def test_summary_says_what_the_engines_do() -> None:
    assert summary([]) == "no engine is configured"
    assert summary([status(), status()]) == "chat: ready, chat: ready"


def test_summary_says_how_far_a_start_is_and_why_an_engine_is_held() -> None:
    loading = status(state=State.LOADING, phase="weights", start_left_s=41.0)
    held = status(state=State.HELD, hold=Hold("model_not_found", "no such model", 1.0, None, "h"))
    busy = status(requests_running=3)
    assert summary([loading]) == "chat: loading (weights, 41s left)"
    assert summary([held, busy]) == "chat: held (model_not_found), chat: ready"
