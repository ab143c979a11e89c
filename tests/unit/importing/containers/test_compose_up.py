"""`docker compose up` in a script."""

import shlex

import pytest

from tests.helpers.launchers import GivenFiles
from vllmd.importing.containers.compose_up import is_up, specs_of_up
from vllmd.importing.surroundings import Notes, Surroundings

BASE = """services:
  chat: {image: vllm/vllm-openai, command: --model $M, depends_on: [db]}
  db: {image: postgres}
  embed: {image: vllm/vllm-openai, command: --model e, profiles: [all]}
"""
FILES = {
    "/w/compose.yaml": BASE,
    "/w/.env": "M=a\n",
    "/w/b.env": "M=b\n",
    "/w/compose.override.yaml": "services: {chat: {working_dir: /over}}\n",
    "/w/gpu.yaml": "services: {chat: {working_dir: /gpu}}\n",
}


def started(line: str) -> object:
    specs = specs_of_up(shlex.split(line), Surroundings(GivenFiles(FILES), "/w"), Notes())
    return None if specs is None else [(e.name, e.command[1], e.folder) for e in specs]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("docker compose up -d", [("chat", "a", "/over")]),
        ("docker-compose -f compose.yaml up", [("chat", "a", None)]),
        ("docker compose -f compose.yaml -f gpu.yaml up", [("chat", "a", "/gpu")]),
        ("docker compose -fcompose.yaml -f=gpu.yaml up", [("chat", "a", "/gpu")]),
        ("docker compose up -dt 9", [("chat", "a", "/over")]),
        ("docker compose --env-file b.env up", [("chat", "b", "/over")]),
        ("docker compose up --wait chat", [("chat", "a", "/over")]),
        ("docker compose up embed", [("embed", "e", None)]),
        ("docker compose --profile=all up", [("chat", "a", "/over"), ("embed", "e", None)]),
        ("docker compose -f none.yaml up", None),
        ("docker compose up --scale chat=2", None),
        ("docker compose run chat", None),
    ],
)
def test_services_that_are_started(line: str, expected: object) -> None:
    assert is_up(shlex.split(line))
    assert started(line) == expected


def test_other_commands_are_none() -> None:
    for line in ("docker compose down", "docker up", "docker compose pull"):
        assert not is_up(line.split())
