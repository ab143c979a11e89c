import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.make import spec
from vllmd.shim import protocol


def test_spec_survives_its_journey(tmp_path: Path) -> None:
    sent = spec(tmp_path, ["/bin/true"], rotation={**protocol.ROTATION, "keep": 3}, secrets=["x"])
    assert protocol.parse_spec(protocol.encode(sent)) == sent


def test_parse_spec_of_an_older_daemon_is_rotated_as_usual(tmp_path: Path) -> None:
    older = spec(tmp_path, ["/bin/true"])
    assert protocol.parse_spec(protocol.encode(older))["rotation"] == protocol.ROTATION


def test_parse_rotation_takes_what_it_understands() -> None:
    assert protocol.parse_rotation({"keep": 3, "period": 7, "new": 1}) == {
        **protocol.ROTATION,
        "keep": 3,
    }
    assert protocol.parse_rotation("daily") == protocol.ROTATION
    wild = {"max_bytes": 0, "keep": True, "budget_bytes": 2**80, "period": "fortnightly"}
    assert protocol.parse_rotation(wild) == protocol.ROTATION


def test_parse_spec_ignores_a_field_of_a_newer_daemon(tmp_path: Path) -> None:
    sent = {**spec(tmp_path, ["/bin/true"]), "new": 1}
    assert protocol.parse_spec(protocol.encode(sent))["engine"] == "chat"


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": 2},
        {"argv": []},
        {"argv": "x"},
        {"argv": ["x", 1]},
        {"argv": ["x\0y"]},
        {"env": None},
        {"env": {"A": 1}},
        {"env": {"A": "\0"}},
        {"stop_grace_s": "5"},
        {"stop_grace_s": True},
        {"stop_grace_s": -1},
        {"stop_grace_s": 10**400},
        {"tail_bytes": 0},
        {"secrets": "x"},
        {"secrets": [1]},
    ],
)
def test_parse_spec_wrong_field_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"protocol|argv|env|stop_grace_s|tail_bytes|secrets"):
        protocol.parse_spec(json.dumps({**spec(tmp_path, ["x"]), **change}).encode())


@pytest.mark.parametrize(
    "line",
    [b"", b"[]", b"{", b"\xff", b'"x"', b"NaN", b'{"a":-Infinity}', b"[" * 60_000, b"9" * 5000],
    ids=range(9),
)
def test_parse_message_garbage_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        protocol.parse_message(line)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, None),
        ({"keep": 3}, None),
        (protocol.ROTATION, None),
        ({"new": 1}, None),
        ({"keep": "3"}, "keep is to be 0 or more"),
        ({"period": "hourly-ish"}, "period is to be one of "),
        ("daily", "give an object with "),
    ],
)
def test_rotation_problem_says_what_a_field_is_to_be(given: object, problem: str | None) -> None:
    said = protocol.rotation_problem(given)
    assert (said is None) if problem is None else (said or "").startswith(problem)
