"""Numbers that are proposed fit, by the same sum that vLLM was held against."""

import math
from typing import Any

import pytest

from tests.helpers.doctor import H200_CUDA, case, m8b, tensors
from vllmd.doctor.checks import CHECKS
from vllmd.doctor.proposal import Subject, as_tables, fits, propose
from vllmd.doctor.seen import GpuFacts
from vllmd.util.units import GIB

WEIGHTS = sum(2 * math.prod(t.shape) for t in tensors().values())
ARCHITECTURE = m8b().architecture


def subject(*gpus: int, free: tuple[int, ...] | None = None, **more: Any) -> Subject:
    values = {"weights_bytes": WEIGHTS, "architecture": ARCHITECTURE, **more}
    return Subject(cuda_bytes=gpus, free_bytes=free or gpus, **values)


def settings(made: Subject) -> dict[str, Any]:
    return {each.key: each.value for each in propose(made)}


@pytest.mark.parametrize("gib", [24, 40, 80, 139])
def test_proposal_passes_the_doctors_checks(gib: int) -> None:
    cuda = gib * GIB
    found = settings(subject(cuda))
    text = "".join(
        f"{key} = {str(value).lower()}\n" for key, value in found.items() if "-" not in key
    )
    made = case(text, gpus=(GpuFacts(cuda, 0, cuda),))
    for name in ("will-it-fit", "gpu-share", "context-length", "concurrency", "prefix-caching"):
        assert list(CHECKS[name](made)) == [], name


@pytest.mark.parametrize("gib", [6, 8, 12, 16, 24, 80, 192])
@pytest.mark.parametrize("held", [0.0, 0.1, 0.25, 0.7, 2.0])
def test_share_that_is_proposed_is_one_that_vllm_starts_with(gib: int, held: float) -> None:
    cuda, free = gib * GIB, int((gib - held) * GIB)
    found = settings(subject(cuda, free=(free,)))
    made = case(
        f"gpu_memory_utilization = {found['gpu_memory_utilization']}\n",
        gpus=(GpuFacts(cuda, 0, free),),
    )
    assert list(CHECKS["gpu-share"](made)) == []


def test_h200_gets_all_that_is_useful() -> None:
    assert settings(subject(H200_CUDA)) == {
        "gpu_memory_utilization": 0.9,
        "max_model_len": 32768,
        "max_num_seqs": 97,
        "enable_prefix_caching": True,
    }


def test_memory_of_others_is_left_alone() -> None:
    made = list(propose(subject(80 * GIB, free=(60 * GIB,))))
    assert made[0].value == 0.73
    assert made[0].reason.startswith("Others hold 25% of a GPU")


def test_gpu_that_shares_the_hosts_memory_leaves_some_to_it() -> None:
    whole = (120 * GIB,)
    subject = Subject(8 * GIB, None, whole, (112 * GIB,), unified=True)
    share = next(each for each in propose(subject) if each.key == "gpu_memory_utilization")
    assert share.value == 0.85
    assert "the host's memory" in share.reason


def test_model_too_large_for_one_gpu_is_spread() -> None:
    two = settings(subject(16 * GIB, 16 * GIB))
    assert two["tensor-parallel-size"] == 2
    assert two["max_model_len"] >= 8192
    assert not fits(subject(12 * GIB))
    assert fits(subject(16 * GIB, 16 * GIB))


def test_each_number_has_a_reason() -> None:
    for made in (subject(80 * GIB), subject(16 * GIB, 16 * GIB), subject(memory_bytes=32 * GIB)):
        assert all(each.reason.endswith(".") for each in propose(made))
    tables = as_tables(propose(subject(16 * GIB, 16 * GIB)))
    assert [each.key for each in tables["flags"]] == ["tensor-parallel-size"]


def test_model_that_is_not_here_gets_what_holds_for_all() -> None:
    unknown = subject(80 * GIB, weights_bytes=0, architecture=None)
    assert settings(unknown) == {"gpu_memory_utilization": 0.9, "enable_prefix_caching": True}
    assert fits(unknown)


def test_cpu_gets_little_and_memory_decides() -> None:
    found = settings(subject(memory_bytes=24 * GIB))
    assert found["VLLM_CPU_KVCACHE_SPACE"] == "2"
    assert (found["max_model_len"], found["max_num_seqs"]) == (4096, 8)
    assert "gpu_memory_utilization" not in found
    assert not fits(subject(memory_bytes=8 * GIB))
    assert fits(subject(memory_bytes=None))
