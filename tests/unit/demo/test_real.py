from pathlib import Path

import pytest

from vllmd.config.load import parse
from vllmd.demo import real
from vllmd.errors import InstallError
from vllmd.installing.layout import InstallRecord
from vllmd.installing.plan import VERSION


@pytest.mark.parametrize("gpu", [True, False])
def test_config_text_is_a_good_configuration(monkeypatch: pytest.MonkeyPatch, gpu: bool) -> None:
    monkeypatch.setattr(real, "has_gpu", lambda: gpu)
    text = real.config_text(Path("/f"), Path("/e/bin/vllm"), Path("/m"), port=8001)
    config, warnings = parse(text)
    engine = config.engines["tiny"]
    assert warnings == []
    assert (engine.port, engine.executable) == (8001, ("/e/bin/vllm",))
    assert engine.lora is not None
    assert dict(engine.lora.modules) == {"domain": "/m/lora"}
    assert ("VLLM_CPU_KVCACHE_SPACE" in engine.env) is not gpu


def test_prepare_makes_the_model_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []

    def make(_: Path, folder: Path) -> None:
        made.append(folder)
        (folder / "lora").mkdir(parents=True)
        (folder / "lora" / "adapter_model.safetensors").touch()

    monkeypatch.setenv("VLLMD_CACHE", str(tmp_path))
    found = InstallRecord(
        VERSION, VERSION, "", None, "3.11", str(tmp_path / VERSION / "bin/vllm"), 1.0
    )
    monkeypatch.setattr(real, "install", lambda *_: found)
    monkeypatch.setattr(real, "_make_model", make)
    program, model = real.prepare()
    assert real.prepare() == (program, model)
    assert made == [model] == [tmp_path / "tiny-model"]
    assert program.is_relative_to(tmp_path)


def test_make_model_that_fails_says_why(tmp_path: Path) -> None:
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\necho no torch >&2; exit 1\n")
    python.chmod(0o755)
    with pytest.raises(InstallError, match="no torch"):
        real._make_model(tmp_path, tmp_path / "model")


def test_cache_dir_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLMD_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert real.cache_dir() == Path("/x/vllmd")
