import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.helpers.clock import FakeClock
from tests.helpers.schema import broken
from tests.helpers.status_scenes import NOW, Scene, about, all_well, ready
from vllmd.status.recorder import SeriesRecorder
from vllmd.status.service import StatusService
from vllmd.util.parts import PartRunner
from vllmd.util.units import GIB, MIB


def test_answer_is_made_once_for_all_who_ask_within_a_second() -> None:
    scene = all_well()
    service = scene.service()
    first = service.answer()
    assert service.answer() is first
    assert service.answer(series=True) is not first
    scene.clock.now += 1.5
    assert service.answer() is not first


@attrs.define
class CountingMask:
    """Counts how often a document was made for somebody."""

    made: int = 0

    def __call__(self, value: Any) -> Any:
        self.made += isinstance(value, dict)
        return value


def test_local_answer_is_made_once_for_all_who_ask_within_a_second() -> None:
    scene, mask = all_well(), CountingMask()
    service = scene.service(mask)
    shown = json.loads(service.local_answer())
    assert shown["daemon"]["run_dir"] == "/run/vllmd"  # nothing is left out, as on the port
    scene.engines = [attrs.evolve(each, uptime_s=9e9) for each in scene.engines]
    scene.daemon = about(late_s=0.9)
    service.local_answer()
    assert mask.made == 1
    assert "series" in json.loads(service.local_answer(series=True))
    assert mask.made == 2
    scene.clock.now += 1.5
    service.local_answer()
    assert mask.made == 3


def test_series_are_masked_by_name_and_their_figures_are_not_looked_at() -> None:
    seen: list[Any] = []

    def mask(value: Any) -> Any:
        seen.append(value)
        return value.replace("chat", "***") if isinstance(value, str) else value

    shown = json.loads(all_well().service(mask).local_answer(series=True))
    assert sorted(shown["series"]["engines"]) == ["***", "embed"]
    assert shown["series"]["engines"]["***"]["running"]
    assert not any("series" in value for value in seen if isinstance(value, dict))


def boom(*_: Any, **__: Any) -> Any:
    raise RuntimeError("a mistake")


@pytest.mark.parametrize(
    ("room", "ask", "key"),
    [
        ("gpus", "figures", "gpus"),
        ("adapters", "to_json", None),
        ("filesystems", "known", "filesystems"),
    ],
)
def test_room_that_throws_is_named_and_the_rest_is_told(
    room: str, ask: str, key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, parts = all_well(), PartRunner(FakeClock())
    sources = scene.service()._sources
    monkeypatch.setattr(type(getattr(sources, room)), ask, boom)
    document = StatusService(sources, scene.clock, isolated=parts.isolated).document(series=True)
    assert [engine["name"] for engine in document["engines"]] == ["chat", "embed"]
    assert key is None or document[key] == []
    (told,) = document["conditions"]
    assert told["alert"] == "VllmdPartFailed"
    assert told["text"] == f"what vllmd knows of {room} cannot be told: a mistake of its own"
    assert parts.failures()[f"status.{room}"] >= 1
    assert broken(document) == []


def test_conditions_and_series_that_throw_are_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    scene, parts = all_well(), PartRunner(FakeClock())
    service = StatusService(scene.service()._sources, scene.clock, isolated=parts.isolated)
    monkeypatch.setattr("vllmd.status.service.conditions", boom)
    monkeypatch.setattr(SeriesRecorder, "load", boom)
    monkeypatch.setattr(SeriesRecorder, "to_json", boom)
    document = service.document(series=True)
    assert [c["text"].split(" cannot")[0] for c in document["conditions"]] == [
        "what vllmd knows of series",
        "what vllmd knows of conditions",
    ]
    assert document["engines"][0]["tokens_per_s"] is None
    assert broken(document) == []


def test_local_answer_is_never_older_than_a_change() -> None:
    scene = Scene([ready("chat")])
    service = scene.service()
    service.local_answer()
    scene.engines = [ready("chat", restarts=1)]
    assert json.loads(service.local_answer())["engines"][0]["restarts"] == 1
    scene.daemon = about(problem="line 1 is broken")
    assert json.loads(service.local_answer())["daemon"]["problem"] == "line 1 is broken"
    scene.grafana = "https://g"
    assert json.loads(service.local_answer())["links"] == {"grafana": None}
    service.forget()
    assert json.loads(service.local_answer())["links"] == {"grafana": "https://g"}


def test_answer_has_another_tag_only_when_more_than_the_time_changed() -> None:
    scene = Scene([ready("chat")], folders={"logs": Path("/var/log/vllmd")}, avail_bytes=5 * GIB)
    service = scene.service()
    first = service.answer()
    scene.clock.now += 2
    scene.avail_bytes += 4096
    scene.daemon = about(late_s=0.009)
    second = service.answer()
    assert first.body != second.body
    assert first.etag == second.etag
    scene.avail_bytes += 16 * MIB
    scene.clock.now += 2
    assert (third := service.answer()).etag != first.etag
    scene.engines = [ready("chat", restarts=1)]
    scene.clock.now += 2
    assert service.answer().etag not in (first.etag, third.etag)


def test_answer_is_json_whatever_a_name_holds() -> None:
    service = Scene([ready("chat", model="a\udcff\u2028</script>\x00")]).service()
    shown = json.loads(service.answer().body)
    assert shown["engines"][0]["model"].startswith("a")


def test_document_has_the_series_only_if_they_are_wanted() -> None:
    service = all_well().service()
    assert "series" not in service.document()
    series = service.document(series=True)["series"]
    assert series["engines"]["chat"]["at"][-1] == NOW
    assert series["engines"]["chat"]["running"][-1] == 7.0


def test_document_has_the_folders_that_vllmd_writes_to(tmp_path: Path) -> None:
    document = Scene(folders={"state": tmp_path}, grafana="https://g").service().document()
    assert document["filesystems"][0]["folder"] == str(tmp_path)
    assert document["links"] == {"grafana": "https://g"}
