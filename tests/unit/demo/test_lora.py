from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from vllmd.demo.adapter import write_adapter
from vllmd.demo.args import parse_args
from vllmd.demo.lora import RUNTIME_UPDATING, LoadedAdapters, LoadError

ARGS = ["serve", "m", "--served-model-name", "tiny", "--enable-lora", "--max-lora-rank", "16"]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setenv(RUNTIME_UPDATING, "1")
    return TestClient(Starlette(routes=LoadedAdapters(parse_args(ARGS)).routes()))


def load(client: TestClient, path: Path, name: str = "a", **more: bool) -> tuple[int, str]:
    body = {"lora_name": name, "lora_path": str(path), **more}
    answer = client.post("/v1/load_lora_adapter", json=body)
    return answer.status_code, answer.text


def test_adapters_are_loaded_replaced_and_unloaded(client: TestClient, tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a")
    assert load(client, folder)[0] == 200
    assert load(client, folder)[0] == 400
    assert load(client, folder, load_inplace=True)[0] == 200
    for code in (200, 404):
        answer = client.post("/v1/unload_lora_adapter", json={"lora_name": "a"})
        assert answer.status_code == code


def test_adapters_are_refused_in_vllms_words(client: TestClient, tmp_path: Path) -> None:
    assert load(client, tmp_path / "none") == (
        404,
        '{"error":{"message":"Loading lora a failed: No adapter found for '
        f'{tmp_path}/none","type":"NotFoundError","param":null,"code":404}}}}',
    )
    code, text = load(client, write_adapter(tmp_path / "big", rank=32))
    assert (code, "LoRA rank 32 is greater than max_lora_rank 16." in text) == (500, True)
    code, text = load(client, write_adapter(tmp_path / "a"), "tiny")
    assert (code, "conflicts with a served base model" in text) == (400, True)
    (tmp_path / "a" / "adapter_config.json").write_text("{}")
    assert "Missing required configuration fields" in load(client, tmp_path / "a")[1]


def test_endpoints_are_there_only_if_vllm_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RUNTIME_UPDATING, raising=False)
    assert LoadedAdapters(parse_args(ARGS)).routes() == []


def test_an_adapter_of_the_command_line_that_cannot_be_loaded_ends_the_start(
    tmp_path: Path,
) -> None:
    with pytest.raises(LoadError, match="No adapter found"):
        LoadedAdapters(parse_args([*ARGS, "--lora-modules", f"a={tmp_path}/none"]))
