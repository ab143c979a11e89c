import json
from pathlib import Path

from tests.helpers.status_scenes import NOW, Scene, all_well, ready


def test_answer_is_made_once_for_all_who_ask_within_a_second() -> None:
    scene = all_well()
    service = scene.service()
    first = service.answer()
    assert service.answer() is first
    assert service.answer(series=True) is not first
    scene.clock.now += 1.5
    assert service.answer() is not first


def test_answer_has_another_tag_only_when_more_than_the_time_changed() -> None:
    scene = Scene([ready("chat")])
    service = scene.service()
    first = service.answer()
    scene.clock.now += 2
    second = service.answer()
    assert first.body != second.body
    assert first.etag == second.etag
    scene.engines = [ready("chat", restarts=1)]
    scene.clock.now += 2
    assert service.answer().etag != first.etag


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
