import json
from typing import Any

import pytest

from tests.helpers.schema import SCHEMA, broken
from tests.helpers.status_scenes import SCENES, Scene, about
from vllmd.status.network import HIDDEN, for_network

SECRET = "hf_S3CRET"


@pytest.mark.parametrize("scene", SCENES)
def test_for_network_leaves_out_all_that_the_schema_marks_local(scene: str) -> None:
    document = SCENES[scene]().service().document(series=True)
    assert broken(for_network(document), local=False) == []


def test_for_network_has_no_prompt_and_no_path_of_this_host() -> None:
    for scene in SCENES.values():
        shown = json.dumps(for_network(scene().service().document(series=True)))
        for private in ("my secret prompt", "/nonexistent", "/run/vllmd", "a line of the log"):
            assert private not in shown


def test_for_network_does_not_quote_a_configuration_or_an_exception() -> None:
    failing = {"part": "a", "failures": 1, "problem": SECRET, "failed_at": 0.0, "retry_at": None}
    daemon = about(
        problem=SECRET,
        web_config_problem=SECRET,
        traces_problem=SECRET,
        disk_problem=SECRET,
        failing=[failing],
    )
    (engine,) = SCENES["held"]().engines
    object.__setattr__(engine, "problem", SECRET)
    document = Scene([engine], daemon=daemon).service().document()
    shown = for_network(document)
    assert SECRET in json.dumps(document)
    assert SECRET not in json.dumps(shown)
    assert shown["daemon"]["problem"] == shown["engines"][0]["problem"] == HIDDEN
    assert broken(shown, local=False) == []


def _local(schema: dict[str, Any]) -> list[str]:
    fields = schema.get("properties", {})
    found = [name for name, each in fields.items() if each.get("local")]
    inner = [*fields.values(), *([schema["items"]] if "items" in schema else [])]
    return found + [name for each in inner for name in _local(each)]


def test_schema_marks_what_may_hold_output_or_paths() -> None:
    assert {"evidence", "printing", "log", "folder", "config", "run_dir"} <= set(_local(SCHEMA))
