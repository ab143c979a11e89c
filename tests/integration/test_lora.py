"""Adapters as desired state, with the stand-in: by file, by folder, by command, and behind us."""

import contextlib
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.helpers.site import Site, wait_for
from tests.integration.conftest import serving
from vllmd.demo.adapter import write_adapter
from vllmd.errors import DaemonUnreachableError

LORA = """
[engines.chat.lora]
check_s = 0.3
directory = "{folder}/watched"
modules = {{ sql = "{folder}/lora/sql" }}
"""


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "watched").mkdir()
    with serving(tmp_path, lora=LORA.format(folder=tmp_path)) as site:
        yield site


def adapters(site: Site) -> dict[str, dict[str, Any]]:
    with contextlib.suppress(DaemonUnreachableError):  # away for a moment in a reload
        return {adapter["name"]: adapter for adapter in site.control.adapters()[0]["adapters"]}
    return {}


def models(site: Site) -> set[str]:
    return {model.id for model in site.client().models.list()}


def curl(site: Site, action: str, **body: Any) -> None:
    httpx.post(f"{site.api}/v1/{action}", json=body, trust_env=False).raise_for_status()


def test_both_states_come_back_after_the_engine_was_killed(made: Site) -> None:
    more = write_adapter(made.folder / "more")
    for name in ("more", "short"):
        added = made.vllmd("lora", "add", name, str(more))
        assert added.returncode == 0, added.stderr
        assert f"{name}: loaded after" in added.stdout
    assert made.chat("more")
    assert made.vllmd("lora", "remove", "short").returncode == 0
    with pytest.raises(openai.NotFoundError):
        made.chat("short")
    before = made.engine("chat")
    os.kill(made.process("chat", "VLLM::EngineCore").pid, signal.SIGKILL)
    made.wait_new_run("chat", before, 30)
    assert models(made) == {"tiny", "sql", "more"}
    assert made.chat("more")


def test_a_new_daemon_finds_them_loaded_and_loads_none_again(made: Site) -> None:
    assert (
        made.vllmd("lora", "add", "more", str(write_adapter(made.folder / "more"))).returncode == 0
    )
    loads = made.log().count("lora.loaded")
    made.kill_daemon()
    made.start()
    made.wait_state("chat", "ready")
    wait_for("the list", lambda: adapters(made)["more"]["condition"] == "loaded")
    assert made.engine("chat")["adopted"]
    assert made.log().count("lora.loaded") == loads


def test_an_adapter_that_cannot_load_is_reported_and_the_engine_serves(made: Site) -> None:
    before = made.engine("chat")
    refused = made.vllmd("lora", "add", "big", str(write_adapter(made.folder / "big", rank=64)))
    assert refused.returncode == 1
    assert "its rank 64 is above max_lora_rank 16: set lora.max_lora_rank = 64" in refused.stderr
    assert made.engine("chat")["run_id"] == before["run_id"]
    assert made.samples("vllmd_lora_adapter_loaded") == {("sql", "chat"): 1}
    shutil.rmtree(made.folder / "lora" / "sql")
    made.control.act("chat", "restart")
    made.wait_new_run("chat", before, 30)
    assert models(made) == {"tiny"}
    assert "there is no folder" in adapters(made)["sql"]["reason"]
    assert made.samples("vllmd_lora_adapter_loaded") == {("sql", "chat"): 0}
    assert made.samples("vllmd_lora_load_errors_total")["sql", "chat"] >= 1
    told = made.vllmd("events", "--json").stdout.splitlines()
    assert "lora.failed" in {json.loads(event)["name"] for event in told}
    assert "ready (0 of 1 adapters)" in made.vllmd("status").stdout
    write_adapter(made.folder / "lora" / "sql")
    wait_for("the adapter", lambda: made.samples("vllmd_lora_adapter_loaded")["sql", "chat"] == 1)


def test_the_folder_is_followed(made: Site) -> None:
    watched = made.folder / "watched"
    write_adapter(watched / "support")
    wait_for("support", lambda: "support" in models(made))
    shutil.move(watched / "support", made.folder / "away")
    wait_for("its end", lambda: "support" not in models(made))
    wait_for("the list", lambda: adapters(made).keys() == {"sql"})


def test_what_is_changed_behind_us_is_mended(made: Site) -> None:
    curl(made, "unload_lora_adapter", lora_name="sql")
    curl(made, "load_lora_adapter", lora_name="theirs", lora_path=str(made.folder / "lora" / "sql"))
    wait_for("order", lambda: models(made) == {"tiny", "sql"})
    log = made.log()
    assert "unloaded by another client" in log
    assert "loaded by another client" in log


def test_reload_of_the_file_changes_adapters_without_a_restart(made: Site) -> None:
    write_adapter(made.folder / "new")
    before = made.engine("chat")
    text = made.config.read_text()
    now = f'modules = {{ new = "{made.folder}/new" }}'
    made.config.write_text(text.replace(f'modules = {{ sql = "{made.folder}/lora/sql" }}', now))
    reloaded = made.vllmd("reload")
    assert reloaded.returncode == 0, reloaded.stderr
    assert "lora.modules" in reloaded.stdout
    wait_for("the change", lambda: models(made) == {"tiny", "new"})
    after = made.wait_state("chat", "ready")
    assert (after["run_id"], after["command_changed"]) == (before["run_id"], False)


def test_stale_files_are_said_to_be_and_read_again_on_request(made: Site) -> None:
    write_adapter(made.folder / "lora" / "sql", rank=16)
    wait_for("stale", lambda: adapters(made)["sql"]["stale"])
    assert "vllmd lora reload sql" in made.vllmd("lora", "list").stderr
    assert "sql: loaded after" in made.vllmd("lora", "reload", "sql").stdout
    assert not adapters(made)["sql"]["stale"]
    assert made.samples("vllmd_lora_adapter_stale") == {("sql", "chat"): 0}
