import pytest

from tests.helpers.make import gpu_figures, status
from tests.helpers.schema import broken
from tests.helpers.status_scenes import (
    NOW,
    SCENES,
    adapters,
    device,
    eight_gpus,
    loading,
    many_adapters,
    page_load,
    ready,
)
from vllmd.engine.state_machine import State
from vllmd.monitoring.settings import RuleSettings
from vllmd.pulling.share import Share
from vllmd.status.document import (
    EngineParts,
    adapter_counts,
    engine_to_json,
    filesystem_to_json,
    gpu_to_json,
    reader_to_json,
)
from vllmd.status.filesystems import Filesystem
from vllmd.status.window import LoadNow
from vllmd.util.units import GIB


@pytest.mark.parametrize("scene", SCENES)
def test_document_of_each_scene_is_as_the_schema_says(scene: str) -> None:
    assert broken(SCENES[scene]().service().document(series=True)) == []


def test_schema_finds_a_field_that_is_missing_new_or_of_another_type() -> None:
    document = loading().service().document()
    del document["engines"][0]["reason"]
    document["more"] = 1
    document["at"] = "now"
    assert {text.split(":")[0] for text in broken(document)} == {
        "document.engines[0].reason is missing",
        "document.more is not in the schema",
        "document.at",
    }


def test_engine_keeps_what_status_said_before() -> None:
    status = ready("chat")
    shown = engine_to_json(EngineParts(status), gpu_figures(), NOW)
    assert status.to_json().items() <= shown.items()


def test_engine_has_its_memory_and_the_smallest_margin_of_all_gpus() -> None:
    devices = [
        device(0, "chat", used=30 * GIB),
        device(1, "chat", used=40 * GIB, margins={"chat": -2.5}),
        device(2, "embed"),
    ]
    shown = engine_to_json(EngineParts(ready("chat")), gpu_figures(*devices), NOW)
    assert shown["gpu_memory_bytes"] == 70 * GIB
    assert shown["restart_margin_bytes"] == -2
    assert shown["gpus"] == ["0", "1"]
    none = engine_to_json(EngineParts(ready("other")), gpu_figures(*devices), NOW)
    assert none["gpu_memory_bytes"] is none["restart_margin_bytes"] is None
    assert none["gpus"] == []


def test_engine_that_has_no_page_has_no_load() -> None:
    load = LoadNow(1.0, 2.0, 3.0, 4.0, 0.5)
    serves = engine_to_json(EngineParts(ready("chat"), load, page_up=True), gpu_figures(), NOW)
    ended = ready("chat", state=State.BACKOFF)
    failed = engine_to_json(EngineParts(ended, load), gpu_figures(), NOW)
    assert (serves["tokens_per_s"], serves["kv_cache_usage"]) == (1.0, 0.5)
    assert failed["tokens_per_s"] is failed["ttft_p95_s"] is None
    drains = ready("chat", state=State.DRAINING)
    left = engine_to_json(EngineParts(drains, load, page_up=None), gpu_figures(), NOW)
    assert left["tokens_per_s"] is left["kv_cache_usage"] is None


@pytest.mark.parametrize(
    ("page_up", "page_fresh", "shown"),
    [(True, False, 7), (False, True, 7), (False, False, None), (None, False, None)],
)
def test_requests_are_told_as_long_as_the_page_says_what_is_true_now(
    page_up: bool | None, page_fresh: bool, shown: int | None
) -> None:
    parts = EngineParts(ready("chat"), page_up=page_up, page_fresh=page_fresh)
    engine = engine_to_json(parts, gpu_figures(), NOW)
    assert engine["requests_running"] == shown
    assert (engine["requests_waiting"] is None) == (shown is None)


def test_progress_is_the_share_of_the_load_that_is_over() -> None:
    engine = loading().service().document()["engines"][0]
    assert engine["progress"] == 0.42
    unknown = engine_to_json(EngineParts(ready("chat")), gpu_figures(), NOW)
    assert unknown["progress"] is None


def test_load_of_an_engine_comes_from_its_pages() -> None:
    engine = many_adapters().service().document()["engines"][0]
    page = page_load()
    assert page.ttft is not None
    assert engine["tokens_per_s"] == pytest.approx(1810.0)
    assert engine["ttft_p95_s"] == pytest.approx(page.ttft.quantile(0.95))
    assert engine["kv_cache_usage"] == pytest.approx(0.43)
    assert engine["vllm_version"] == "0.33.0"


def test_adapters_are_counted_and_those_that_are_missing_named() -> None:
    unwanted = {"name": "old", "source": None, "condition": "unlisted"}
    listed = adapters("chat", 3, 1)
    listed["adapters"].append(unwanted)
    counts = {"wanted": 3, "loaded": 2, "missing": ["customer-00"]}
    assert adapter_counts([listed]) == {"chat": counts}


def test_owners_of_a_gpu_add_up_to_its_memory() -> None:
    for shown in eight_gpus().service().document()["gpus"]:
        if not shown["lost"]:
            assert sum(each["bytes"] for each in shown["owners"]) == shown["memory_total_bytes"]
            assert all(each["bytes"] > 0 for each in shown["owners"])


def test_gpu_that_is_lost_says_why_in_words() -> None:
    for code, words in (("not_read", "it was not read lately"), ("a_b", "a b"), (None, None)):
        assert gpu_to_json(device(0, lost=code), 0.02)["lost"] == words


def test_gpu_that_shares_the_hosts_memory_has_a_floor() -> None:
    unified = device(0, "chat")
    object.__setattr__(unified.device, "unified", True)
    total = unified.values["memory_total_bytes"]
    assert gpu_to_json(unified, 0.02)["memory_floor_bytes"] == round(0.02 * total)
    assert gpu_to_json(device(0, "chat"), 0.02)["memory_floor_bytes"] is None


def test_reader_says_why_there_are_no_readings() -> None:
    assert reader_to_json(gpu_figures())["problem"] is None
    shown = SCENES["no-gpu"]().service().document()["gpu_reader"]
    assert (shown["source"], shown["reason"]) == ("none", "disabled")


def test_filesystem_is_low_by_the_threshold_of_the_alert() -> None:
    low, enough = (
        filesystem_to_json(Filesystem("logs", "/l", 1000, free), RuleSettings())["low"]
        for free in (49, 50)
    )
    assert (low, enough) == (True, False)


def test_download_is_told_in_bytes_while_there_is_one() -> None:
    engine = status(state=State.LOADING, phase="weights")
    parts = EngineParts(engine, download=Share(4, 16))
    assert engine_to_json(parts, gpu_figures(), 0.0)["download"] == {
        "done_bytes": 4,
        "total_bytes": 16,
    }
    assert engine_to_json(EngineParts(engine), gpu_figures(), 0.0)["download"] is None
