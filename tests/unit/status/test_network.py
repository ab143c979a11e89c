import json
from typing import Any

import attrs
import pytest

from tests.helpers.schema import SCHEMA, broken
from tests.helpers.status_scenes import NOW, SCENES, Scene, about, failure, ready
from vllmd.engine.causes import BY_NAME
from vllmd.engine.causes.base import Diagnosis, Kind
from vllmd.engine.doubts import Doubt
from vllmd.engine.exits import GROUP_LOST, Exit, explain
from vllmd.engine.group_interface import GroupStatus
from vllmd.engine.restart.policy import Hold
from vllmd.engine.state_machine import State
from vllmd.engine.weights.state import WeightsState, WeightsStatus
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


def test_for_network_has_the_general_advice_where_the_told_one_names_a_path() -> None:
    line, cause = "OSError: [Errno 28] No space left on device: '/home/alice/x.bin'", "disk_full"
    end = explain(Exit("1", requested=False, at=NOW, run_id="r"), (f"ERROR {line}",))
    assert end.diagnosis is not None
    assert end.diagnosis.cause == cause
    assert "/home/alice" in end.diagnosis.advice
    engine = ready("chat", state=State.BACKOFF, last_exit=end, first_failure=end)
    shown = for_network(Scene([engine]).service().document())
    assert "/home/alice" not in json.dumps(shown)
    assert shown["engines"][0]["last_exit"]["diagnosis"]["advice"] == BY_NAME[cause].advice
    assert broken(shown, local=False) == []


def test_for_network_keeps_advice_with_a_figure() -> None:
    why = Diagnosis("kv_cache_too_small", Kind.CONFIGURATION, "No room.", "Set max_model_len = 9.")
    engine = ready("chat", last_exit=failure(9, diagnosis=why))
    shown = for_network(Scene([engine]).service().document())["engines"][0]
    assert shown["last_exit"]["diagnosis"]["advice"] == "Set max_model_len = 9."


def test_for_network_tells_how_weights_stand_and_not_what_is_wrong_with_them() -> None:
    weights = WeightsStatus(
        *(WeightsState.INCOMPLETE, NOW, "/var/log/x.log", 2, 1, 7, 8, "r"), problem="no /home/alice"
    )
    document = Scene([ready("chat", weights=weights)]).service().document()
    assert broken(document) == []
    shown = for_network(document)
    assert broken(shown, local=False) == []
    assert shown["engines"][0]["weights"] == {
        **{"state": "incomplete", "since": NOW, "ranks": 2, "ranks_ready": 1, "kept": False},
        "problem": HIDDEN,
    }


def test_for_network_tells_a_doubt_that_names_a_path_by_its_check() -> None:
    found = Doubt("model", "error", "There is no folder /home/alice/x.", "Correct model.")
    plain = Doubt("ports", "warning", "The port is taken.", "Take another.")
    engine = ready("chat", state=State.LOADING)
    scene = Scene([engine], doubts={"chat": [found, plain]})
    document = for_network(scene.service().document())
    assert "/home/alice" not in json.dumps(document)
    shown = document["engines"][0]
    assert "/home/alice" not in json.dumps(shown)
    assert shown["reason"] == "will probably fail: the check model found something"
    assert [doubt["found"] for doubt in shown["doubts"]] == [
        "the check model found something",
        "The port is taken.",
    ]


def test_for_network_does_not_quote_a_configuration_or_an_exception() -> None:
    failing = {"part": "a", "failures": 1, "problem": SECRET, "failed_at": 0.0, "retry_at": None}
    daemon = about(
        problem=SECRET,
        web_config_problem=SECRET,
        traces_problem=SECRET,
        disk_problem=SECRET,
        history_problem=SECRET,
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


def _whole(schema: dict[str, Any]) -> Any:
    """Return a value that has each field that a schema knows."""
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    types = schema.get("type", "string")
    kind = types if isinstance(types, str) else types[0]
    if kind == "object":
        fields = {name: _whole(each) for name, each in schema.get("properties", {}).items()}
        more = schema.get("additionalProperties")
        return {"more": _whole(more), **fields} if isinstance(more, dict) else fields
    if kind == "array":
        return [_whole(schema["items"])]
    return {"string": "text", "integer": 1, "number": 1.0, "boolean": True}[kind]


def test_for_network_strips_every_field_that_the_schema_marks_local() -> None:
    document = _whole(SCHEMA)
    assert broken(document) == []
    local = [each for each in broken(document, local=False) if "this host only" in each]
    assert len(local) == len(_local(SCHEMA))
    assert broken(for_network(document), local=False) == []


def test_schema_marks_what_may_hold_output_or_paths() -> None:
    assert {"evidence", "printing", "log", "folder", "config", "run_dir"} <= set(_local(SCHEMA))


def test_for_network_names_no_other_host_of_a_group() -> None:
    """`hosts` is for this host only; so is every sentence that has one of them in it."""
    other = "gpu02.example.org"
    lost = f"was ended with its group: the part of {other} ended by SIGKILL unexpectedly"
    why = Diagnosis("engine_oom", Kind.UNKNOWN, f"On {other}: No memory.", f"On {other}: Look.")
    end = Exit(
        GROUP_LOST, requested=False, at=NOW, run_id="r", error=f"lost {other}", diagnosis=why
    )
    group = GroupStatus(
        *("head", 0, "data", {"gpu01": "ready", other: "unreadable"}),
        red=f"{other} cannot be reached (No route to host), and its processes are connected",
        silent={other: "its certificate is not trusted"},
        failed_host=other,
        failure=lost,
        differences=(f"{other} has vLLM 0.31.0",),
    )
    hold = Hold("unknown", f"On {other}: it failed.", NOW, None, "hash")
    for engine in (
        ready("chat", group=group, last_exit=end, first_failure=end),
        ready("chat", group=attrs.evolve(group, red=None)),
        ready("chat", group=attrs.evolve(group, red=None, doubt=f"rank 1 on {other} is slow")),
        ready(
            "chat", group=group, state=State.BACKOFF, last_exit=attrs.evolve(end, diagnosis=None)
        ),
        ready("chat", group=group, state=State.HELD, hold=hold, last_exit=end),
    ):
        document = Scene([engine]).service().document()
        assert other in json.dumps(document)
        assert broken(document) == []
        shown = for_network(document)
        assert broken(shown, local=False) == []
        assert other not in json.dumps(shown)
        assert shown["engines"][0]["reason"]
    shown = for_network(Scene([ready("chat", group=group, last_exit=end)]).service().document())
    assert shown["engines"][0]["last_exit"]["text"] == "was ended with its group"
