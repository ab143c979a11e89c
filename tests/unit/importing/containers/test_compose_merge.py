"""One description of a service over another."""

from typing import Any

import pytest

from vllmd.importing.containers.compose_merge import merged, seen_from
from vllmd.importing.yaml_values import documents, text_of


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else text_of(value)


@pytest.mark.parametrize(
    ("one", "other", "made"),
    [
        ("environment: [A=1, B=2]", "environment: {B: 3}", {"environment": {"A": "1", "B": "3"}}),
        ("environment: {A: 1}", "environment: [A, B=3]", {"environment": {"A": None, "B": "3"}}),
        ("env_file: a.env", "env_file: [b.env]", {"env_file": ["a.env", "b.env"]}),
        ("ports: [a]", "ports: [b]", {"ports": ["a", "b"]}),
        ("ports: [a]", "ports: !override [b]", {"ports": ["b"]}),
        ("ports: [a]\nimage: x", "ports: !reset null", {"image": "x"}),
        ("command: [a]", "command: [b]", {"command": ["b"]}),
        (
            "healthcheck: {test: [a], interval: 1}",
            "healthcheck: {test: [b]}",
            {"healthcheck": {"test": ["b"], "interval": "1"}},
        ),
        ("deploy: {x: {y: 1}}", "deploy: {x: {z: 2}}", {"deploy": {"x": {"y": "1", "z": "2"}}}),
    ],
)
def test_tables_are_merged_as_compose_does(one: str, other: str, made: dict[str, Any]) -> None:
    assert plain(merged(documents(one, "x")[0], documents(other, "y")[0])) == made


def test_paths_of_another_folder_are_seen_from_there() -> None:
    text = """
a:
  env_file: [x.env, {path: y.env}]
  volumes: ["./m:/m", "/abs:/b", "named:/c", {type: bind, source: ./d, target: /d}]
"""
    found = plain(seen_from(documents(text, "x")[0], "/srv/base"))["a"]
    assert found["env_file"] == ["/srv/base/x.env", {"path": "/srv/base/y.env"}]
    assert found["volumes"][:3] == ["/srv/base/m:/m", "/abs:/b", "named:/c"]
    assert found["volumes"][3]["source"] == "/srv/base/d"
