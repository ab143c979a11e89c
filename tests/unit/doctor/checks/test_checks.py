"""Each check finds a made-up bad case, and is silent on a good one."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.helpers.doctor import H200, case, grouped, m8b
from tests.helpers.make import DATA
from vllmd.demo.adapter import write_adapter
from vllmd.doctor.case import Case, Disk, GpuFacts, Leftover, Model
from vllmd.doctor.checks import CHECKS, examine
from vllmd.doctor.finding import FindingSeverity
from vllmd.doctor.group import GroupFacts
from vllmd.installing.flags import FlagTable, read
from vllmd.installing.layout import InstallRecord
from vllmd.util.units import GIB, MIB

ROOT = Path(__file__).parents[4]

ERROR, WARNING, INFO = FindingSeverity.ERROR, FindingSeverity.WARNING, FindingSeverity.INFO
SMALL_GPU = (GpuFacts(24 * GIB, 0, 24 * GIB),)
NOWHERE = Model()
T4 = GpuFacts(16 * GIB, 0, 16 * GIB, (7, 5))
A100 = GpuFacts(80 * GIB, 0, 80 * GIB, (8, 0))
CUDA = InstallRecord("0.32.0", "0.32.0", "2.13.0", "13.0", "3.12", "/e/bin/vllm", 1.0)
CPU = attrs.evolve(CUDA, name="0.32.0+cpu", cuda=None)
REAL = read(json.loads((DATA / "flags" / "vllm-0.32-cpu.json").read_text()))
LORA = '[engines.chat.lora]\nmodules = {{ sql = "{path}" }}\n'
Make = Callable[[Path], Case]


def chat_model(folder: Path, **tokenizer: str) -> Model:
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    return m8b(folder)


def adapter(folder: Path, rank: int) -> str:
    write_adapter(folder / "sql", rank=rank)
    return LORA.format(path=folder / "sql")


def lora_case(folder: Path, rank: int) -> Case:
    made = case(adapter(folder, rank))
    return attrs.evolve(made, model=attrs.evolve(made.model, tensors={}))


def other(
    engine: str = "",
    *,
    found: bool = True,
    hub: str | None = None,
    unreadable: str | None = None,
    installed: InstallRecord | None = None,
    flag_table: FlagTable | None = None,
    **more: Any,
) -> Case:
    """Return an engine of whose program, model and hub this is known."""
    return attrs.evolve(
        case(engine, **more),
        found=found,
        hub=hub,
        unreadable=unreadable,
        installed=installed,
        flag_table=flag_table,
    )


KEPT = "preload = true"
SLEEPS = "sleep = { level = 1 }"
TWO_GPUS = "gpu_memory_utilization = 0.988\nflags = { tensor-parallel-size = 2 }"
OLD = attrs.evolve(CUDA, version="0.30.2")
AWQ, FP8 = ({"quant_method": method} for method in ("awq", "fp8"))
BAD: list[tuple[str, FindingSeverity, str, Make]] = [
    ("preload", ERROR, "vLLM 0.30.2 has no 'vllm preload'", lambda _: other(KEPT, installed=OLD)),
    ("preload", ERROR, "computes on the CPU", lambda _: other(KEPT, installed=CPU)),
    (
        "preload",
        ERROR,
        "quantized by 'awq'",
        lambda _: case(KEPT, model=m8b(quantization_config=AWQ)),
    ),
    (
        "preload",
        ERROR,
        "quantization = 'fp8' quantizes the weights at the load",
        lambda _: case(f'{KEPT}\nquantization = "fp8"'),
    ),
    ("sleep", ERROR, "computes on the CPU", lambda _: other(SLEEPS, installed=CPU)),
    (
        "sleep",
        WARNING,
        "with sleep.expose_dev_mode",
        lambda _: case('host = "0.0.0.0"\nsleep = { expose_dev_mode = true }'),
    ),
    ("model-missing", ERROR, "no folder '/srv/models/m8b'", lambda _: case(model=NOWHERE)),
    (
        "model-missing",
        ERROR,
        "HF_HUB_OFFLINE is set",
        lambda _: case(model=NOWHERE, name="org/m", env={"HF_HUB_OFFLINE": "1"}),
    ),
    (
        "model-missing",
        INFO,
        "not in the hub's cache yet",
        lambda _: case(model=NOWHERE, name="org/m"),
    ),
    (
        "model-files",
        ERROR,
        "model-2.safetensors is missing",
        lambda _: case(model=attrs.evolve(m8b(), problems=("model-2.safetensors is missing",))),
    ),
    (
        "will-it-fit",
        ERROR,
        "weights of 15.3 GiB do not fit",
        lambda _: case("gpu_memory_utilization = 0.5", gpus=SMALL_GPU),
    ),
    (
        "will-it-fit",
        ERROR,
        "what keeps the weights 700.0 MiB beside them",
        lambda _: case(f"{KEPT}\ngpu_memory_utilization = 0.995"),
    ),
    (
        "will-it-fit",
        ERROR,
        "what keeps the weights 1.6 GiB beside them",
        lambda _: case(f"{KEPT}\n{TWO_GPUS}", gpus=(H200, H200)),
    ),
    (
        "will-it-fit",
        ERROR,
        "one request of 40,960 tokens takes 5.6 GiB",
        lambda _: case("gpu_memory_utilization = 0.14"),
    ),
    (
        "parallel-heads",
        ERROR,
        "tensor-parallel-size = 3, and the model has",
        lambda _: case("flags = { tensor-parallel-size = 3 }", gpus=(H200, H200, H200)),
    ),
    (
        "gpu-count",
        ERROR,
        "2 GPUs are asked for (tensor, pipeline and data parallel), and 1 can be seen",
        lambda _: case("flags = { tensor-parallel-size = 2 }"),
    ),
    (
        "gpu-count",
        ERROR,
        "(CUDA_VISIBLE_DEVICES = 1)",
        lambda _: case(
            "flags = { tensor-parallel-size = 2 }",
            gpus=(H200, H200),
            env={"CUDA_VISIBLE_DEVICES": "1"},
        ),
    ),
    (
        "gpu-share",
        WARNING,
        "8.0 GiB of the GPU are free, 7.3 GiB once CUDA's context has its 700.0 MiB, and "
        "gpu_memory_utilization 0.92 asks for 7.4 GiB",
        lambda _: case("", gpus=(GpuFacts(8 * GIB, 0, 8 * GIB),)),
    ),
    (
        "unified-memory",
        WARNING,
        "gpu_memory_utilization 0.92 leaves 9.6 GiB of the host's 120.0 GiB",
        lambda _: case("", gpus=(GpuFacts(120 * GIB, 0, 115 * GIB, unified=True),)),
    ),
    (
        "gpu-share",
        ERROR,
        "69.6 GiB of the GPU are free, and gpu_memory_utilization 0.7 asks for 97.9 GiB",
        lambda _: case(
            "gpu_memory_utilization = 0.7",
            gpus=(attrs.evolve(H200, free=int(69.63 * GIB)),),
        ),
    ),
    ("context-length", ERROR, "max_model_len = 50,000", lambda _: case("max_model_len = 50000")),
    (
        "context-length",
        INFO,
        "the model's own 131,072 tokens",
        lambda _: case(model=m8b(max_position_embeddings=131072)),
    ),
    (
        "concurrency",
        WARNING,
        "max_num_seqs = 1000",
        lambda _: case("gpu_memory_utilization = 0.2\nmax_model_len = 4096\nmax_num_seqs = 1000"),
    ),
    ("lora-adapters", ERROR, "its rank 64 is above max_lora_rank 16", lambda p: lora_case(p, 64)),
    ("quantization", WARNING, 'quantization = "awq"', lambda _: case('quantization = "awq"')),
    (
        "quantization",
        ERROR,
        "the weights are gptq",
        lambda _: case(
            'quantization = "fp8"', model=m8b(quantization_config={"quant_method": "gptq"})
        ),
    ),
    ("prefix-caching", WARNING, "false", lambda _: case("enable_prefix_caching = false")),
    ("chat-template", WARNING, "no chat_template", lambda p: case(model=chat_model(p))),
    (
        "log-stats",
        WARNING,
        "disable-log-stats",
        lambda _: case("flags = { disable-log-stats = true }"),
    ),
    ("api-exposed", WARNING, "without VLLM_API_KEY", lambda _: case('host = "0.0.0.0"')),
    (
        "api-exposed",
        INFO,
        "for the balancer of the fleet",
        lambda _: case('host = "0.0.0.0"\n[fleet]\nhosts = ["gpu01"]'),
    ),
    (
        "api-exposed",
        ERROR,
        "VLLM_SERVER_DEV_MODE",
        lambda _: case('host = "0.0.0.0"', env={"VLLM_SERVER_DEV_MODE": "1", "VLLM_API_KEY": "k"}),
    ),
    (
        "port-taken",
        ERROR,
        "port 8000 answers, and it is not the engine",
        lambda _: case(in_use={("127.0.0.1", 8000): ""}),
    ),
    (
        "port-taken",
        ERROR,
        "port 8000 is in use by nginx (pid 7)",
        lambda _: case(in_use={("127.0.0.1", 8000): "nginx (pid 7)"}),
    ),
    (
        "shared-memory",
        ERROR,
        "/dev/shm has 64.0 MiB, which 2 workers cannot do with",
        lambda _: case(
            "flags = { tensor-parallel-size = 2 }",
            gpus=(H200, H200),
            shared_memory_bytes=64 * MIB,
        ),
    ),
    (
        "shared-memory",
        ERROR,
        "which the build for the CPU cannot do with",
        lambda _: other(installed=CPU, shared_memory_bytes=64 * MIB),
    ),
    (
        "host-cpus",
        WARNING,
        "a control group allows 1.5 processors, and 3 processes",
        lambda _: case(cpus=1.5, cpus_limited=True),
    ),
    (
        "host-cpus",
        WARNING,
        "the host has 3 processors, and 4 processes",
        lambda _: case("flags = { tensor-parallel-size = 2 }", gpus=(H200, H200), cpus=3),
    ),
    ("open-files", WARNING, "at most 1,024 files", lambda _: case(open_files=1024)),
    ("right-tool", INFO, "no NVIDIA GPU", lambda _: case(gpus=())),
    (
        "right-tool",
        INFO,
        "million parameters",
        lambda _: case(model=attrs.evolve(m8b(), tensors=dict(list(m8b().tensors.items())[2:10]))),
    ),
    ("engine-missing", ERROR, "no program '/opt/vllm/bin/vllm'", lambda _: other(found=False)),
    (
        "flags",
        ERROR,
        "has no flag --enforce-eagr",
        lambda _: other("flags = { enforce-eagr = true }", flag_table=REAL),
    ),
    (
        "flags",
        WARNING,
        "is deprecated",
        lambda _: other("flags = { disable-cascade-attn = true }", flag_table=REAL),
    ),
    *(
        (
            "flag-files",
            ERROR,
            "there is no '/no/such'",
            lambda _, text=text: case(f"flags = {text}"),
        )
        for text in (
            '{ chat-template = "/no/such" }',
            '{ chat_template = "/no/such" }',
            """{ speculative-config = '{"model": "/no/such"}' }""",
            '{ speculative-config = { method = "eagle3", model = "/no/such" } }',
        )
    ),
    ("hub", ERROR, "no token was given", lambda _: other(hub="no token was given")),
    (
        "model-readable",
        ERROR,
        "may not enter it",
        lambda _: other(unreadable="/srv: user vllmd may not enter it"),
    ),
    (
        "driver",
        ERROR,
        "driver 570.1, and vLLM 0.32.0 is built for CUDA 13.0",
        lambda _: other(installed=CUDA, driver="570.1"),
    ),
    (
        "driver",
        ERROR,
        "no NVIDIA driver is loaded",
        lambda _: other(installed=CUDA, gpus=()),
    ),
    ("driver", WARNING, "there are GPUs", lambda _: other(installed=CPU)),
    (
        "devices",
        ERROR,
        "/dev/nvidia-uvm (missing)",
        lambda _: case(driver="580.1", closed_devices=("/dev/nvidia-uvm (missing)",)),
    ),
    ("persistence-mode", INFO, "is off", lambda _: case(persistent=False)),
    (
        "gpu-rows",
        INFO,
        "not read any more: power_watts of GPU 1, xid_events of all GPUs",
        lambda _: case(disabled_rows=("power_watts of GPU 1", "xid_events of all GPUs")),
    ),
    (
        "locked-memory",
        WARNING,
        "at most 8.0 MiB may be locked",
        lambda _: case(
            "flags = { tensor-parallel-size = 2 }",
            gpus=(H200, H200),
            locked_memory_bytes=8 * MIB,
        ),
    ),
    (
        "host-memory",
        ERROR,
        "a control group allows 1.0 GiB",
        lambda _: case(memory_bytes=GIB, memory_limited=True),
    ),
    (
        "host-memory",
        ERROR,
        "15.3 GiB of weights, 4.0 GiB of KV cache",
        lambda _: other(installed=CPU, env={"VLLM_CPU_KVCACHE_SPACE": "4"}, memory_bytes=16 * GIB),
    ),
    (
        "disk-space",
        ERROR,
        "100.0 MiB are free for vllmd's logs (/var/log/vllmd)",
        lambda _: case(disks=(Disk("vllmd's logs", "/var/log/vllmd", 100 * MIB),)),
    ),
    (
        "disk-space",
        ERROR,
        "2.0 MiB, and 0 files (inodes), are free for vllmd's state (/s)",
        lambda _: case(disks=(Disk("vllmd's state", "/s", 2 * MIB, 8 * MIB, False, 0),)),
    ),
    (
        "disk-space",
        WARNING,
        "512.0 KiB are free for vllmd's state (/s)",
        lambda _: case(disks=(Disk("vllmd's state", "/s", MIB // 2, 8 * MIB, True),)),
    ),
    (
        "disk-space",
        WARNING,
        "5.0 GiB are free for downloaded models",
        lambda _: case(
            model=NOWHERE, name="org/m", disks=(Disk("downloaded models", "/c", 5 * GIB),)
        ),
    ),
    (
        "group-names",
        ERROR,
        "gpu01 is an address of the loopback interface",
        lambda _: grouped(GroupFacts(0, loopback=("gpu01", "gpu01.local"))),
    ),
    (
        "group-names",
        WARNING,
        "this host's own name, gpu01.local, is",
        lambda _: grouped(GroupFacts(0, loopback=("gpu01.local",))),
    ),
    (
        "group-port",
        ERROR,
        "port 29501, at which members join, is in use by nc (pid 7)",
        lambda _: grouped(GroupFacts(0, taken_by="nc (pid 7)")),
    ),
    (
        "group-reach",
        WARNING,
        "gpu02 gives no page of chat: No route to host",
        lambda _: grouped(GroupFacts(0, silent={"gpu02": "No route to host"})),
    ),
    (
        "group-reach",
        WARNING,
        "nothing comes back from port 29501",
        lambda _: grouped(GroupFacts(1, closed="nothing comes back from port 29501 of gpu01")),
    ),
    (
        "group-alike",
        ERROR,
        "gpu02 has vLLM 0.33.0",
        lambda _: grouped(GroupFacts(0, differences=("gpu02 has vLLM 0.33.0, this host 0.32.0",))),
    ),
    ("clock", WARNING, "not synchronized", lambda _: case(synchronized=False)),
    ("proxies", WARNING, "http_proxy is set", lambda _: case(env={"http_proxy": "http://p:3128"})),
    (
        "stop-timeout",
        WARNING,
        "a stop takes up to 5m 25s (drain_s, stop_grace_s), and TimeoutStopSec is 2m",
        lambda _: case("drain_s = 300", stop_s=120.0),
    ),
    (
        "api-servers",
        WARNING,
        "there are 2 API servers",
        lambda _: case('flags = { api-server-count = 2 }\nlora = { modules = { a = "o/a" } }'),
    ),
    (
        "secrets",
        WARNING,
        "every user of this host may read",
        lambda _: case(readable_secrets=("/k",)),
    ),
    ("secrets", WARNING, "may write to /run/x", lambda _: case(writable_folders=("/run/x",))),
    (
        "leftovers",
        INFO,
        "40.0 GiB of interrupted downloads",
        lambda _: case(leftovers=(Leftover("interrupted downloads", "/c", 40 * GIB),)),
    ),
    (
        "compute-capability",
        ERROR,
        'dtype = "bfloat16", and the GPU has compute capability 7.5',
        lambda _: case('flags = { dtype = "bfloat16" }', gpus=(T4,)),
    ),
    ("right-tool", INFO, "max_num_seqs = 1", lambda _: case("max_num_seqs = 1")),
]
GOOD: dict[str, Make] = {
    "compute-capability": lambda _: case('flags = { dtype = "bfloat16" }', gpus=(A100,)),
    "model-missing": lambda _: case(),
    "model-files": lambda _: case(),
    "will-it-fit": lambda _: case("gpu_memory_utilization = 0.5\nmax_model_len = 4096"),
    "parallel-heads": lambda _: case("flags = { tensor-parallel-size = 2 }", gpus=(H200, H200)),
    "gpu-count": lambda _: case("flags = { tensor-parallel-size = 2 }", gpus=(H200, H200)),
    "gpu-share": lambda _: case(
        "gpu_memory_utilization = 0.7",
        gpus=(attrs.evolve(H200, free=0),),
        running=frozenset({"chat"}),
    ),
    "sleep": lambda _: other(SLEEPS, installed=CUDA),
    "preload": lambda _: other(
        f'{KEPT}\nquantization = "fp8"', installed=CUDA, model=m8b(quantization_config=FP8)
    ),
    "unified-memory": lambda _: case(
        "gpu_memory_utilization = 0.85",
        gpus=(GpuFacts(120 * GIB, 0, 115 * GIB, unified=True),),
    ),
    "context-length": lambda _: case(
        "max_model_len = 50000", env={"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1"}
    ),
    "concurrency": lambda _: case("max_num_seqs = 256\nmax_model_len = 4096"),
    "lora-adapters": lambda p: lora_case(p, 8),
    "quantization": lambda _: case(
        'quantization = "awq_marlin"', model=m8b(quantization_config={"quant_method": "awq"})
    ),
    "prefix-caching": lambda _: case("enable_prefix_caching = true"),
    "chat-template": lambda p: case(model=chat_model(p, chat_template="{{ x }}")),
    "log-stats": lambda _: case(),
    "api-exposed": lambda _: case('host = "0.0.0.0"', env={"VLLM_API_KEY": "k"}),
    "port-taken": lambda _: case(in_use={("127.0.0.1", 8001): ""}),
    "group-names": lambda _: grouped(GroupFacts(0, loopback=("gpu07",)), interface="eth0"),
    "group-port": lambda _: grouped(),
    "group-reach": lambda _: grouped(),
    "group-alike": lambda _: grouped(),
    "shared-memory": lambda _: case(shared_memory_bytes=64 * MIB),
    "host-cpus": lambda _: other(installed=CPU, cpus=2),
    "open-files": lambda _: case(),
    "right-tool": lambda _: case(),
    "engine-missing": lambda _: other(found=True),
    "flags": lambda _: other("flags = { enforce-eager = true }", flag_table=REAL),
    "flag-files": lambda p: case(
        f"""flags = {{ chat-template = "{{{{ messages[0] }}}}", tokenizer = "org/base", \
        ssl-certfile = "{p}", speculative-config = {{ method = "ngram" }} }}"""
    ),
    "hub": lambda _: case(model=NOWHERE, name="org/m"),
    "model-readable": lambda _: case(),
    "driver": lambda _: other(installed=CUDA, driver="580.65.06"),
    "devices": lambda _: other(
        installed=CPU, driver="580.1", closed_devices=("/dev/nvidia-uvm (missing)",)
    ),
    "persistence-mode": lambda _: case(persistent=True),
    "gpu-rows": lambda _: case(),
    "locked-memory": lambda _: case(locked_memory_bytes=8 * MIB),
    "host-memory": lambda _: case(memory_bytes=8 * GIB),
    "disk-space": lambda _: case(
        disks=(
            Disk("vllmd's logs", "/l", 3 * GIB),
            Disk("vllmd's state", "/small", MIB, 8 * MIB, True, 1000),
            Disk("downloaded models", "/c", MIB),
        )
    ),
    "clock": lambda _: case(synchronized=None),
    "proxies": lambda _: case(env={"http_proxy": "http://p:3128", "no_proxy": "intern, 127.0.0.1"}),
    "stop-timeout": lambda _: case("drain_s = 300", stop_s=400.0),
    "api-servers": lambda _: case(
        'flags = { api-server-count = 2 }\nlora = { dynamic = false, modules = { a = "o/a" } }'
    ),
    "secrets": lambda _: case(),
    "leftovers": lambda _: case(leftovers=(Leftover("compiled kernels", "/c", GIB),)),
}


@pytest.mark.parametrize(
    ("name", "severity", "words", "make"), BAD, ids=[f"{each[0]}-{each[2][:40]}" for each in BAD]
)
def test_bad_case_is_found(
    name: str, severity: FindingSeverity, words: str, make: Make, tmp_path: Path
) -> None:
    found = list(CHECKS[name](make(tmp_path)))
    assert [each.severity for each in found if words in each.found] == [severity], found
    for each in found:
        assert each.check == name
        assert each.reason.endswith(".")
        assert each.fix


@pytest.mark.parametrize("name", CHECKS)
def test_good_case_is_silent(name: str, tmp_path: Path) -> None:
    assert list(CHECKS[name](GOOD[name](tmp_path))) == []


def test_every_check_has_a_bad_and_a_good_case() -> None:
    assert {name for name, *_ in BAD} == set(CHECKS) == set(GOOD)


def test_every_check_has_the_name_of_its_function() -> None:
    assert list(CHECKS) == [check.__name__.replace("_", "-") for check in CHECKS.values()]


def test_a_good_engine_has_nothing_at_all(tmp_path: Path) -> None:
    made = case(
        "max_model_len = 8192\nmax_num_seqs = 256", model=chat_model(tmp_path, chat_template="x")
    )
    assert list(examine(made)) == []


def test_advice_of_the_fit_fits(tmp_path: Path) -> None:
    """What it says to set is found to be well."""
    (found,) = CHECKS["will-it-fit"](case("gpu_memory_utilization = 0.14"))
    words = found.fix.replace(",", " ").replace(";", " ").split()
    length = int(words[words.index("max_model_len") + 2])
    share = float(words[words.index("gpu_memory_utilization") + 2].rstrip("."))
    for engine in (
        f"gpu_memory_utilization = 0.14\nmax_model_len = {length}",
        f"gpu_memory_utilization = {share}",
    ):
        assert list(CHECKS["will-it-fit"](case(engine))) == []
    assert list(
        CHECKS["will-it-fit"](
            case(f"gpu_memory_utilization = 0.14\nmax_model_len = {length + 512}")
        )
    )


def test_share_that_is_named_leaves_room_for_what_keeps_the_weights() -> None:
    fits = case(f"{KEPT}\ngpu_memory_utilization = 0.988")
    assert list(CHECKS["will-it-fit"](fits)) == [], "on one GPU; on two it takes more"
    assert list(CHECKS["will-it-fit"](case(TWO_GPUS, gpus=(H200, H200)))) == [], "without preload"
    (found,) = CHECKS["will-it-fit"](case(f"{KEPT}\n{TWO_GPUS}", gpus=(H200, H200)))
    share = re.search(r"gpu_memory_utilization = ([\d.]+);", found.fix)
    assert share is not None
    changed = TWO_GPUS.replace("0.988", share[1])
    assert list(CHECKS["will-it-fit"](case(f"{KEPT}\n{changed}", gpus=(H200, H200)))) == []


def test_number_of_checks_is_as_the_readme_says() -> None:
    text = (ROOT / "README.md").read_text()
    assert f"does it fit, and {len(CHECKS) - 1} more checks" in text
