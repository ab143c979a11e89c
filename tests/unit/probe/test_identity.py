import json

from tests.helpers.make import engine
from vllmd.probe.identity import AnswersIdentity, carried, from_json, identity_of


def of(text: str = "", model: str = "m") -> AnswersIdentity:
    return identity_of(engine(text, model), "0.32.0", ["H200", "H200"], "abc")


def test_same_settings_are_the_same() -> None:
    assert of() == of()
    assert from_json(json.loads(json.dumps(of().to_json()))) == of()


def test_another_model_or_quantization_is_another_model() -> None:
    assert of(model="other").model != of().model
    assert of('quantization = "fp8"').model != of().model
    assert of('flags = { tokenizer = "other" }').model != of().model


def test_flags_that_add_numbers_up_otherwise_are_other_numerics() -> None:
    for flag, value in {
        "tensor-parallel-size": "2",
        "dtype": '"half"',
        "kv-cache-dtype": '"fp8"',
    }.items():
        changed = of(f"flags = {{ {flag} = {value} }}")
        assert changed.model == of().model
        assert changed.changed(of()) == [flag]
    assert of("[engines.chat.lora]").changed(of()) == ["lora"]


def test_flags_of_the_server_change_nothing() -> None:
    assert of("gpu_memory_utilization = 0.5\nflags = { disable-log-stats = true }") == of()


def test_secrets_in_variables_are_not_kept() -> None:
    found = of('env = { VLLM_ATTENTION_BACKEND = "FLASH_ATTN", MY_TOKEN = "hidden" }')
    assert "hidden" not in json.dumps(found.to_json())
    assert found.numerics != of().numerics


def test_other_version_gpu_and_files_are_named() -> None:
    before = identity_of(engine(), "0.31.0", ["H100"], "xyz")
    assert of().changed(before) == ["gpus", "vllm", "files"]


def test_what_is_not_known_now_is_as_it_was() -> None:
    now = identity_of(engine(), None, [], None)
    assert carried(now, of()) == of()
    upgraded = identity_of(engine(), "0.33.0", [], None)
    assert carried(upgraded, of()).changed(of()) == ["vllm"]


def test_another_gpu_of_the_kind_changes_nothing() -> None:
    assert of('env = { CUDA_VISIBLE_DEVICES = "1" }') == of('env = { CUDA_VISIBLE_DEVICES = "0" }')
    kept = of().to_json()
    kept["numerics"]["CUDA_VISIBLE_DEVICES"] = "abc"
    assert from_json(kept) == of(), "as an earlier vllmd kept it"
