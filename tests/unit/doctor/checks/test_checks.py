"""Each check finds a made-up bad case, and is silent on a good one."""

import re
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.helpers.doctor import H200, case, grouped, m8b
from tests.helpers.doctor_cases import of_engine, of_host
from tests.helpers.doctor_cases.make import (
    A100,
    CPU,
    CUDA,
    FP8,
    KEPT,
    NOWHERE,
    REAL,
    SLEEPS,
    TWO_GPUS,
    Make,
    chat_model,
    lora_case,
    other,
)
from vllmd.doctor.case import Disk, Leftover
from vllmd.doctor.checks import CHECKS, examine
from vllmd.doctor.finding import FindingSeverity
from vllmd.doctor.group import GroupFacts
from vllmd.doctor.seen import GpuFacts
from vllmd.util.units import GIB, MIB

ROOT = Path(__file__).parents[4]

BAD = [*of_engine.BAD, *of_host.BAD]
GOOD: dict[str, Make] = {
    "compute-capability": lambda _: case('flags = { dtype = "bfloat16" }', gpus=(A100,)),
    "model-missing": lambda _: case(),
    "model-files": lambda _: case(),
    "will-it-fit": lambda _: case("gpu_memory_utilization = 0.5\nmax_model_len = 4096"),
    "parallel-heads": lambda _: case("flags = { tensor-parallel-size = 2 }", gpus=(H200, H200)),
    "visible-devices": lambda _: case(
        gpus=(H200, H200), env={"CUDA_VISIBLE_DEVICES": "1,0", "NVIDIA_VISIBLE_DEVICES": "3,5"}
    ),
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


@pytest.mark.parametrize("unread", [{"unread_gpus": True}, {"gpu_nodes": 2}])
def test_gpu_that_may_be_one_that_was_not_read_is_not_said_to_be_missing(
    unread: dict[str, Any],
) -> None:
    made = case(env={"CUDA_VISIBLE_DEVICES": "1"}, **unread)
    assert list(CHECKS["visible-devices"](made)) == []


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
