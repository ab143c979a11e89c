"""A real CUDA vLLM for the tests here: models of random weights, faults inside it, and its load.

`VLLMD_GPU_ENGINE` names a `vllm` program that is there already, such as one that was carried to a
host without a network; else one is installed. `VLLMD_GPU_INDEX` is the GPU that is used (0).
"""

import contextlib
import functools
import json
import os
import re
import secrets
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import openai

from tests.helpers.background import Background
from tests.helpers.ports import free_port
from tests.helpers.site import DAEMON, Site, site, wait_for
from vllmd.demo import tiny_model
from vllmd.demo.real import prepare
from vllmd.shim import proc

INDEX = int(os.environ.get("VLLMD_GPU_INDEX", "0"))
LOAD_S = 420.0
"""A limit for a test that hangs; 8B with graphs and a cold cache of torch.compile takes 122 s."""

CONTEXT = 131_072
LARGE = {
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 151_936,
}
"""Qwen3-8B's sizes; its config.json on the hub."""
SMALL = {**LARGE, "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28}
"""Qwen3-0.6B's, but for its heads (16)."""

FAULTS_SOURCE = '''
"""Loaded by vLLM in each of its processes: while there is a file `spin` here, a step spins.

It holds the ranks that do; the others go on with their own part of the step.
"""

import contextlib
import os
import threading
import time

SPIN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "spin")


def spin():
    import torch

    while True:  # the next one is queued while one spins, and waited for when the queue is full
        torch.cuda._sleep(2**30)  # clock cycles: half a second


def watch():
    while not os.path.exists(SPIN):
        time.sleep(0.2)
    from vllm.v1.worker.gpu_worker import Worker

    step = Worker.execute_model

    def execute_model(self, *arguments, **keys):
        with contextlib.suppress(FileNotFoundError), open(SPIN) as ranks:
            if str(self.rank) in ranks.read().split():
                spin()
        return step(self, *arguments, **keys)

    Worker.execute_model = execute_model


def register():
    threading.Thread(target=watch, daemon=True).start()
'''
ENTRY_POINTS = "[vllm.general_plugins]\nvllmd_faults = vllmd_faults:register\n"
"""Source: vLLM's documentation of its plugin system."""


def program() -> str:
    """Return the `vllm` program."""
    return os.environ.get("VLLMD_GPU_ENGINE") or str(prepare()[0])


def python() -> str:
    """Return a Python that has torch, transformers and safetensors."""
    given = sys.executable if os.environ.get("VLLMD_GPU_ENGINE") else None
    return os.environ.get("VLLMD_GPU_PYTHON") or given or str(Path(program()).with_name("python"))


def version() -> tuple[int, ...]:
    """Return the version of vLLM that is run here."""
    environment = {**os.environ, "VLLM_LOGGING_LEVEL": "ERROR"}
    done = subprocess.run(
        [program(), "--version"], env=environment, capture_output=True, text=True, check=False
    )
    found = re.findall(r"^(\d+)\.(\d+)", done.stdout, re.MULTILINE)
    assert found, done.stdout + done.stderr
    return tuple(map(int, found[-1]))


def write_models(folder: Path) -> None:
    """Write `large`, `small` (config.json and tokenizer, no weights) and `lora` for the large."""
    script = (
        f"import sys; sys.path.insert(0, {str(Path(tiny_model.__file__).parent)!r})\n"
        "import tiny_model as m; from pathlib import Path\n"
        f"folder = Path({str(folder)!r}); m.main(folder)\n"
        f"m.LAYERS, m.HIDDEN = {LARGE['num_hidden_layers']}, {LARGE['hidden_size']}\n"
        f"m.HEADS, m.KV_HEADS = {LARGE['num_attention_heads']}, {LARGE['num_key_value_heads']}\n"
        f"m.HEAD_DIM = {LARGE['head_dim']}; m.write_adapter(folder / 'lora')\n"
    )
    subprocess.run([python(), "-c", script], check=True)
    for name, sizes in (("large", LARGE), ("small", SMALL)):
        write_config(folder, name, sizes)


def write_config(folder: Path, name: str, sizes: dict[str, Any]) -> Path:
    """Write a model's config.json and tokenizer, with other sizes than the tiny one's."""
    made = folder / name
    made.mkdir()
    for path in (folder / "model").iterdir():
        if path.suffix != ".safetensors":
            (made / path.name).write_bytes(path.read_bytes())
    config = json.loads((made / "config.json").read_text())
    config |= {**sizes, "max_position_embeddings": CONTEXT, "dtype": "bfloat16"}
    config["layer_types"] = ["full_attention"] * sizes["num_hidden_layers"]
    (made / "config.json").write_text(json.dumps(config))
    return made


def write_faults(folder: Path) -> None:
    """Write a package that vLLM loads where `folder` is on the path: see `FAULTS_SOURCE`."""
    about = folder / "vllmd_faults-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "vllmd_faults.py").write_text(FAULTS_SOURCE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: vllmd-faults\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRY_POINTS)


ENGINE = """
[engines.{name}]
model = "{models}/{model}"
served_model_name = "{name}"
executable = "{program}"
port = {port}
gpu_memory_utilization = {share}
max_model_len = {length}
unready_s = 0
{keys}

[engines.{name}.env]
CUDA_VISIBLE_DEVICES = "{gpus}"
NCCL_NVLS_ENABLE = "0"
TORCH_SYMM_MEM_DISABLE_MULTICAST = "1"
VLLM_ALLREDUCE_USE_SYMM_MEM = "0"
PYTHONPATH = "{faults}"
HF_HUB_OFFLINE = "1"
VLLM_NO_USAGE_STATS = "1"

[engines.{name}.flags]
{flags}
"""
"""NVLink's multicast stays off: on a host that others share it can stop all of its GPUs."""


class GpuSite:
    """A daemon with engines of a real vLLM, each of which can be asked, loaded and hurt."""

    def __init__(self, folder: Path) -> None:
        """Write models and faults below `folder`."""
        self.folder = folder
        self.site: Site
        self._config: list[str] = []
        self._ports: dict[str, int] = {}
        write_models(folder / "models")
        write_faults(folder / "faults")

    def add(
        self,
        name: str,
        model: str,
        *,
        share: float,
        length: int,
        gpus: Sequence[int] = (INDEX,),
        executable: str = "",
        keys: str = "",
        flags: str = "",
        more: str = "",
        load_format: str = "dummy",
    ) -> None:
        """Add an engine; `keys` are of its table, `flags` of vLLM, `more` further tables.

        Without a `load_format` its weights are those on the disk.
        """
        self._ports[name] = free_port()
        text = ENGINE.format(
            name=name,
            model=model,
            models=self.folder / "models",
            faults=self.folder / "faults",
            program=executable or program(),
            gpus=",".join(map(str, gpus)),
            port=self._ports[name],
            share=share,
            length=length,
            keys=keys,
            flags=(f'load-format = "{load_format}"\n' if load_format else "") + flags,
        )
        self._config.append(text + more)

    def write_config(self, name: str, sizes: dict[str, Any]) -> Path:
        """Write a further model without weights; returns its folder."""
        return write_config(self.folder / "models", name, sizes)

    @contextlib.contextmanager
    def running(self) -> Iterator["GpuSite"]:
        """Run the daemon; at the end nothing of it is left."""
        exporter = free_port()
        text = DAEMON.format(folder=self.folder, exporter=exporter) + "".join(self._config)
        first = next(iter(self._ports.values()))
        with site(self.folder, text, exporter_port=exporter, api_port=first) as made:
            self.site = made
            yield self

    def client(self, name: str) -> openai.OpenAI:
        """Return a client of an engine."""
        url = f"http://127.0.0.1:{self._ports[name]}/v1"
        return openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=240)

    def ask(self, name: str, prompt: int = 20, tokens: int = 8, model: str = "") -> int:
        """Ask for an answer to a prompt of so many tokens; returns the tokens of the answer."""
        answer = self.client(name).completions.create(
            model=model or name,
            prompt=secrets.token_hex(prompt)[:prompt],  # no prefix is cached
            max_tokens=tokens,
            extra_body={"ignore_eos": True},
        )
        assert answer.usage is not None
        return answer.usage.completion_tokens

    def process(self, name: str, title: str) -> int:
        """Return the pid of the engine's process whose title begins so.

        Where setproctitle does not work, it is the one that multiprocessing began.
        """
        shim = self.site.engine(name)["shim_pid"]
        titles = {proc.command_line(stat.pid): stat.pid for stat in proc.descendants(shim)}
        found = [pid for each, pid in titles.items() if each.startswith(title)] or [
            pid for each, pid in titles.items() if "spawn_main(" in each
        ]
        assert len(found) == 1, f"{len(found)} processes of {name} begin with {title!r}: {titles}"
        return found[0]

    @contextlib.contextmanager
    def spinning(self, *ranks: int) -> Iterator[None]:
        """Let a kernel spin from the next step on; a run that begins later is well."""
        flag = self.folder / "faults" / "spin"
        flag.with_suffix(".new").write_text(" ".join(map(str, ranks or (0,))))
        flag.with_suffix(".new").rename(flag)
        try:
            yield
        finally:
            flag.unlink()

    @contextlib.contextmanager
    def stopped(self, name: str, title: str = "VLLM::EngineCore") -> Iterator[None]:
        """Stop a process of an engine."""
        pid = self.process(name, title)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def wait_ready(self, name: str) -> None:
        """Wait until an engine serves; one that failed is not waited for."""

        def ready() -> bool:
            state = self.site.engine(name)["state"]
            assert state not in ("backoff", "held"), self.site.vllmd("why", name).stdout
            return bool(state == "ready")

        wait_for(f"{name} ready", ready, LOAD_S)

    def gpu(self, index: int = INDEX) -> dict[str, Any]:
        """Return what the daemon tells of a GPU."""
        found: dict[str, Any] = self.site.control.gpus()["gpus"][index]
        return found

    def stalls(self, name: str) -> int:
        """Return how often the daemon has called the engine stalled."""
        lines = self.site.log().splitlines()
        return sum(f"engine={name} " in line and "state=stalled" in line for line in lines)


class PromptLoad(Background):
    """Clients that ask one engine, each one request after the other, until the block ends."""

    def __init__(
        self,
        made: GpuSite,
        name: str,
        *,
        clients: int,
        prompt: int,
        tokens: int,
        pause_s: float = 0.0,
    ) -> None:
        """Ask with prompts of `prompt` tokens for answers of `tokens`, `pause_s` after the last."""
        self.served = 0
        self.failed: list[str] = []
        self._ask = functools.partial(made.ask, name, prompt, tokens)
        self._pause_s = pause_s
        self._lock = threading.Lock()
        super().__init__([self._step] * clients)

    def _step(self) -> None:
        try:
            self._ask()
        except (openai.OpenAIError, httpx.HTTPError) as error:
            with self._lock:
                self.failed.append(str(error)[:200])
            time.sleep(0.5)  # an engine that is away is not asked in a busy loop
        else:
            with self._lock:
                self.served += 1
            time.sleep(self._pause_s)


class GpuSampler(Background):
    """Power and use of a GPU, twice a second."""

    def __init__(self, made: GpuSite, index: int = INDEX) -> None:
        """Sample what the daemon shows."""
        self.samples: list[dict[str, float]] = []
        self._made = made
        self._index = index
        super().__init__([self._sample])

    def _sample(self) -> None:
        self.samples.append(self._made.gpu(self._index)["values"])
        time.sleep(0.5)

    def text(self) -> str:
        """Return the medians of the second half, when what is looked at has begun."""
        half = self.samples[len(self.samples) // 2 :]

        def median(key: str) -> float:
            return statistics.median([each[key] for each in half if key in each] or [-1])

        return (
            f"{median('power_watts'):.0f} W, busy {median('busy_ratio'):.2f}, "
            f"memory bus {median('memory_bus_busy_ratio'):.2f}"
        )
