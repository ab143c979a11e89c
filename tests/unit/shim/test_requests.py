import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vllmd.shim import protocol
from vllmd.shim.protocol import MAX_GRACE_S, ROTATION
from vllmd.shim.requests import KNOWN_OPS, MAX_TAIL_LINES, Requests


class Shim:
    """What was done to a shim."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.requests = Requests(
            status=lambda: {"run_id": "1"},
            tail=lambda lines: [f"{lines} lines"],
            stop=self.done.append,
            rotate=lambda: self.done.append("rotate"),
            set_rotation=self.done.append,
            stop_grace_s=30,
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        return self.requests.answer(request)


def test_answer_good_requests_are_done() -> None:
    shim = Shim()
    assert shim.ask(op="status") == {"run_id": "1"}
    assert shim.ask(op="tail") == {"lines": ["20 lines"]}
    assert shim.ask(op="tail", lines=0) == {"lines": ["0 lines"]}
    assert shim.ask(op="tail", lines=MAX_TAIL_LINES)["lines"]
    assert shim.ask(op="rotate") == {"ok": True}
    assert shim.ask(op="stop") == {"ok": True}
    assert shim.ask(op="stop", grace_s=0) == {"ok": True}
    assert shim.ask(op="stop", grace_s=MAX_GRACE_S, new_field=[]) == {"ok": True}
    assert shim.ask(op="rotation", rotation={"keep": 3, "new": 1}) == {"ok": True}
    assert shim.done == ["rotate", 30, 0, MAX_GRACE_S, {**ROTATION, "keep": 3}]
    assert all(isinstance(each, float) for each in shim.done[1:4])


WRONG: dict[str, list[Any]] = {
    "lines": ["x", None, 1e400, float("nan"), -1, 1.5, True, 10**400, [], {}, MAX_TAIL_LINES + 1],
    "grace_s": ["5", None, float("nan"), float("inf"), -0.1, -(10**400), 1e300, True, [[]]],
    "rotation": [
        None,
        [],
        "daily",
        {"keep": -1},
        {"keep": True},
        {"max_bytes": 0},
        {"max_bytes": 1e9},
        {"budget_bytes": 2**80},
        {"period": "fortnightly"},
        {"period": ["daily"]},
    ],
}


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in WRONG.items() for value in values],
    ids=lambda wrong: repr(wrong)[:40],
)
def test_answer_wrong_value_is_refused_with_a_sentence_and_nothing_is_done(
    name: str, value: object
) -> None:
    shim = Shim()
    op = {"lines": "tail", "grace_s": "stop", "rotation": "rotation"}[name]
    answer = shim.ask(op=op, **{name: value})
    assert name in answer["error"]
    assert len(answer["error"]) < 250
    assert shim.done == []


@pytest.mark.parametrize(
    ("op", "shown"),
    [
        ("dance", "'dance'"),
        (None, "None"),
        (["stop"], "a list"),
        (1e999, "no finite number"),
        (10**99, "a number of many digits"),
        ("\ud800", r"'\ud800'"),
        ("x" * 10**6, "'xx"),
    ],
    ids=range(7),
)
def test_answer_unknown_op_is_named_and_those_that_are_known(op: object, shown: str) -> None:
    error = Shim().ask(op=op)["error"]
    assert error.startswith(f"unknown op {shown}")
    assert error.endswith(f"; known: {KNOWN_OPS}")
    assert len(error) < 250


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
requests = st.dictionaries(
    st.sampled_from(["op", "lines", "grace_s", "rotation", "x"]), anything
) | st.builds(
    lambda op, more: {**more, "op": op},
    st.sampled_from(KNOWN_OPS.split(", ")),
    st.dictionaries(st.sampled_from(["lines", "grace_s", "rotation"]), anything),
)


@pytest.mark.long
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(requests)
def test_answer_whatever_is_asked_there_is_one_line_and_no_wild_stop(request: Any) -> None:
    shim = Shim()
    line = protocol.encode(shim.requests.answer(request))
    assert line.count(b"\n") == 1
    answer = json.loads(line)
    assert "error" not in answer or (isinstance(answer["error"], str) and not shim.done)
    for done in shim.done:
        if isinstance(done, float):
            assert request["op"] == "stop"
            assert 0 <= done <= MAX_GRACE_S
        if isinstance(done, dict):
            assert protocol.rotation_problem(done) is None
