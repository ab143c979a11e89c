"""The description of the control socket is of what it answers."""

import json
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from tests.helpers.control import control_app
from tests.helpers.status_scenes import SCENES
from tools.reference.control_api.operations import OPERATIONS, PROBLEMS
from tools.reference.control_api.schema import of
from tools.reference.control_api.written import openapi
from vllmd.control import lora, server

DOCUMENT = json.loads(openapi())


def answered(monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, str]]:
    """Return the method and path of all routes, with each action where one of a list is meant."""
    found: list[Any] = []
    made = server.routes

    def noted(*given: Any) -> list[Any]:
        found.extend(made(*given))
        return found

    monkeypatch.setattr(server, "routes", noted)
    control_app()
    actions = {"/v1/engines": server.ACTIONS, "/v1/lora": lora.ACTIONS}
    paths = set()
    for route in found:
        for method in route.methods - {"HEAD"}:
            head, mark, _ = route.path.partition("/{engine}/{action:str}")
            each = [f"{head}/{{engine}}/{a}" for a in actions[head]] if mark else [route.path]
            paths |= {(method, path) for path in each}
    return paths


def test_every_route_is_described_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    described = {
        (method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods
    }
    assert described == answered(monkeypatch)


def test_every_answer_is_a_schema_and_every_refusal_has_a_reason() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator(schema)
    assert {code for each in OPERATIONS for code in each.problems} == set(PROBLEMS)
    assert len({each.name for each in OPERATIONS}) == len(OPERATIONS)


@pytest.mark.parametrize("scene", SCENES)
def test_engine_is_answered_as_it_is_described(scene: str) -> None:
    schema = DOCUMENT["components"]["schemas"]["engine"]
    check = Draft202012Validator(schema)
    for status in SCENES[scene]().engines:
        shown = json.loads(json.dumps(status.to_json()))
        assert list(check.iter_errors({"engine": shown, "warning": None})) == []
        assert set(shown) == set(schema["properties"]["engine"]["properties"])
        del shown["state"]
        assert not check.is_valid({"engine": shown, "warning": None})


def test_type_that_nobody_knows_is_told() -> None:
    with pytest.raises(TypeError, match="no schema for <class 'complex'>"):
        of(complex)
