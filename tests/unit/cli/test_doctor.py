"""`vllmd doctor`: words, JSON, exit codes, and a host that one does not have yet."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.helpers.doctor import M8B, tensors
from tests.helpers.ports import free_port
from vllmd.cli.doctor import command
from vllmd.doctor.checks import CHECKS
from vllmd.errors import UnknownEngineError


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model of eight billion zeros: only the head of its file is really there."""
    folder = tmp_path / "m8b"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(dict(M8B)))
    (folder / "tokenizer_config.json").write_text('{"chat_template": "x"}')
    entries: dict[str, Any] = {}
    end = 0
    for name, tensor in tensors().items():
        size = 2
        for each in tensor.shape:
            size *= each
        entries[name] = {
            "dtype": tensor.dtype,
            "shape": tensor.shape,
            "data_offsets": [end, end + size],
        }
        end += size
    head = json.dumps(entries).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        file.truncate(8 + len(head) + end)
    return folder


def run(folder: Path, text: str, *arguments: str) -> Result:
    path = folder / "vllmd.toml"
    path.write_text(text)
    where = ["--config", str(path), "--socket", str(folder / "none.sock")]
    return CliRunner().invoke(command, [*where, *arguments], catch_exceptions=False)


def engine(model: Path, more: str = "") -> str:
    """Of a port of its own: the usual one may be another test's just now."""
    own = f'executable = "/bin/true"\nport = {free_port()}'
    return f'[engines.chat]\nmodel = "{model}"\n{own}\n{more}\n'


def test_engine_that_fits_is_told_how_much_room_there_is(model: Path, tmp_path: Path) -> None:
    text = engine(model, "gpu_memory_utilization = 0.5\nmax_model_len = 4096\nmax_num_seqs = 16")
    result = run(tmp_path, text, "--gpu-memory", "139.8GiB")
    assert result.exit_code == 0
    assert "weights 15.3 GiB" in result.output
    assert (
        "requests of 4,096 at once; the longest that would fit: 40,960 (predicted)" in result.output
    )
    shown = json.loads(run(tmp_path, text, "--gpu-memory", "139.8GiB", "--json").output)
    sizes = shown["capacity"]["chat"]
    assert sizes["kv_tokens"] == pytest.approx(390_032, rel=0.05)
    assert sizes["requests_at_full_length"] == pytest.approx(95.22, rel=0.05)
    assert shown["checks"] == list(CHECKS)


def test_engine_that_does_not_fit_exits_1_with_the_fix(model: Path, tmp_path: Path) -> None:
    result = run(tmp_path, engine(model), "--gpu-memory", "16GiB")
    assert result.exit_code == 1
    assert "error will-it-fit: weights of 15.3 GiB do not fit" in result.output
    assert "→ take a quantized model" in result.output
    shown = json.loads(run(tmp_path, engine(model), "--gpu-memory", "16GiB", "--json").output)
    found = {each["check"]: each for each in shown["findings"]}
    assert found["will-it-fit"]["page"] == "docs/doctor.md#will-it-fit"
    assert found["will-it-fit"]["engine"] == "chat"


def test_sizes_without_weights_are_an_estimate_and_said_to_be(model: Path, tmp_path: Path) -> None:
    (model / "model.safetensors").unlink()
    (model / "config.json").write_text(json.dumps({**M8B, "model_type": "qwen3"}))
    text = engine(model, "max_model_len = 4096")
    result = run(tmp_path, text, "--gpu-memory", "139.8GiB")
    assert "(predicted; weights by an estimate from config.json)" in result.output
    result = run(tmp_path, text, "--gpu-memory", "16GiB")
    assert "weights of 15.3 GiB (an estimate from config.json) do not fit" in result.output
    (model / "config.json").write_text(json.dumps({**M8B, "model_type": "brand_new"}))
    result = run(tmp_path, text, "--gpu-memory", "16GiB")
    assert "this architecture (model_type: brand_new) are not guessed" in result.output


def test_what_cannot_be_said_is_said(tmp_path: Path) -> None:
    result = run(tmp_path, engine(tmp_path / "gone"))
    assert result.exit_code == 1
    assert "cannot be said: the model is not on this host" in result.output
    assert "no folder" in result.output
    stand_in = '[engines.chat]\nmodel = "m"\nexecutable = "stand-in"\n'
    stand_in += f"port = {free_port()}\n"
    result = run(tmp_path, stand_in)
    assert (result.exit_code, "it is the stand-in" in result.output) == (0, True)


def test_unknown_engine_and_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownEngineError, match=r"'code'.*there is: chat"):
        run(tmp_path, engine(tmp_path), "code")
    result = run(tmp_path, engine(tmp_path), "--gpu-memory", "big")
    assert (result.exit_code, "no size such as" in result.output) == (2, True)


def test_warnings_about_the_configuration_are_repeated(model: Path, tmp_path: Path) -> None:
    text = engine(model, "drain_s = 3600")
    result = run(tmp_path, text)
    warned = "vllmd.toml:5: warning: "
    assert warned in result.stderr
    (problem, *_) = json.loads(run(tmp_path, text, "--json").stdout)["problems"]
    assert (problem["severity"], problem["line"]) == ("warning", 5)
