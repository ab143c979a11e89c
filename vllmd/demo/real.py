"""A real vLLM for a try-out and for tests: installed, with a tiny model, and a configuration.

Run by `make run ENGINE=vllm` and by the engine tier of the tests:
``python -m vllmd.demo.real FOLDER``.
"""

import os
import subprocess
import sys
from pathlib import Path

import click

from vllmd.errors import InstallError, VllmdError
from vllmd.installing.install import EngineSource, install
from vllmd.installing.layout import InstalledEngines
from vllmd.installing.nvidia_driver import has_gpu
from vllmd.installing.plan import VERSION, InstallPlan
from vllmd.installing.progress import progress_bar

CACHE = "VLLMD_CACHE"

CONFIG = """# Made by vllmd.demo.real: a real vLLM with a tiny model of random weights.
[daemon]
listen = "127.0.0.1:{exporter_port}"
run_dir = "{folder}/run"
state_dir = "{folder}/state"
log_dir = "{folder}/log"

[engines.tiny]
executable = "{program}"
model = "{model}/model"
served_model_name = "tiny"
port = {port}
max_model_len = 512
max_num_seqs = 4
unready_s = 0

[engines.tiny.lora]
max_loras = 2
max_lora_rank = 8
modules = {{ domain = "{model}/lora" }}

[engines.tiny.flags]
enforce-eager = true

[engines.tiny.env]
HF_HUB_OFFLINE = "1"
VLLM_NO_USAGE_STATS = "1"
{platform}
"""


def cache_dir() -> Path:
    """Return where engines and tiny models are kept between runs."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vllmd"
    return Path(os.environ.get(CACHE) or default)


def prepare() -> tuple[Path, Path]:
    """Install vLLM and make the tiny model, showing progress; nothing is done twice.

    Returns: the `vllm` program and the folder with `model` and `lora`.
    Raises: InstallError.
    """
    engines = InstalledEngines(cache_dir() / "engine")
    model = cache_dir() / "tiny-model"
    with progress_bar("vLLM") as report:
        engine = install(engines, InstallPlan(VERSION, cpu=not has_gpu()), EngineSource(), report)
        program = Path(engine.program)
        if not (model / "lora" / "adapter_model.safetensors").exists():
            report("tiny model", 1.0)
            _make_model(program.parents[1], model)
    return program, model


def _make_model(engine: Path, folder: Path) -> None:
    script = Path(__file__).with_name("tiny_model.py")
    command = [str(engine / "bin" / "python"), str(script), str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise InstallError(f"the tiny model could not be made:\n{result.stderr[-2000:]}")


def config_text(
    folder: Path, program: Path, model: Path, *, port: int = 8000, exporter_port: int = 9840
) -> str:
    """Return a configuration that serves the tiny model with a real vLLM."""
    platform = "" if has_gpu() else 'VLLM_CPU_KVCACHE_SPACE = "1"'
    return CONFIG.format(
        folder=folder,
        program=program,
        model=model,
        platform=platform,
        port=port,
        exporter_port=exporter_port,
    )


def main() -> None:
    """Prepare everything below a folder and write `vllmd.toml` there."""
    folder = Path(sys.argv[1]).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        program, model = prepare()
    except VllmdError as error:
        click.echo(f"vllmd: {error}", err=True)
        sys.exit(error.exit_code)
    (folder / "vllmd.toml").write_text(config_text(folder, program, model))


if __name__ == "__main__":
    main()
