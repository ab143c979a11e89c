"""The prediction, held against what vLLM 0.25 printed on an H200, and rules of its own."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.doctor import H200, H200_CUDA, M8B, case, m8b
from vllmd.doctor.architecture import Architecture, read
from vllmd.doctor.capacity import Demand, longest, predict, tokens_in
from vllmd.util.units import GIB


def model() -> Architecture:
    found = read(M8B)
    assert found is not None
    return found


def demand(share: float, **more: int) -> Demand:
    return Demand(share, case().demand.weights_bytes, 1, 2, None, 16, **more)


def test_weights_are_what_vllm_printed() -> None:
    assert case().demand.weights_bytes / GIB == pytest.approx(15.27, rel=0.01)


def test_kv_cache_is_what_vllm_printed_on_an_h200() -> None:
    wanted = demand(0.5)
    found = predict(H200_CUDA, wanted, model())
    assert found.kv_bytes / GIB == pytest.approx(53.56, rel=0.05)
    assert tokens_in(found.kv_bytes, wanted, model(), 4096) == pytest.approx(390_032, rel=0.05)
    assert tokens_in(int(53.56 * GIB), wanted, model(), 4096) == pytest.approx(390_032, rel=1e-3)


@pytest.mark.parametrize("estimated", [False, True])
@pytest.mark.parametrize(
    ("engine", "tokens"),
    [
        ("gpu_memory_utilization = 0.45", 339_136),
        ("gpu_memory_utilization = 0.45\n[engines.chat.lora]\nmax_loras = 2", 334_544),
        ("gpu_memory_utilization = 0.3\nflags = { tensor-parallel-size = 2 }", 482_576),
        # 1.84 GiB for the cache: the longest that vLLM named is 13,376
        ("gpu_memory_utilization = 0.13", 13_376),
    ],
)
def test_tokens_are_what_vllm_printed_with_and_without_files(
    engine: str, tokens: int, estimated: bool
) -> None:
    """vLLM 0.25.1 on H200s, max_num_seqs = 256."""
    whole = m8b(model_type="qwen3")
    model = attrs.evolve(whole, tensors={}, whole=False) if estimated else whole
    made = case(f"max_num_seqs = 256\n{engine}", model=model, gpus=(H200, H200))
    assert made.model.is_estimate is estimated
    assert made.capacity is not None
    assert model.architecture is not None
    found = tokens_in(made.capacity.kv_bytes, made.demand, model.architecture, 8192)
    assert found == pytest.approx(tokens, rel=0.05)


def test_small_share_is_what_vllm_refused() -> None:
    """0.56 GiB was needed for 4,096 tokens, 0.44 GiB were there, at most 3,200 tokens."""
    wanted = demand(0.12)
    found = predict(H200_CUDA, wanted, model())
    assert found.kv_bytes / GIB == pytest.approx(0.44, rel=0.05)
    assert model().kv_bytes(4096, element_bytes=2, gpus=1) / GIB == pytest.approx(0.56, abs=0.005)
    assert longest(found.kv_bytes, wanted, model(), 40960) == pytest.approx(3200, rel=0.05)


def test_weights_that_do_not_fit_leave_nothing() -> None:
    found = predict(12 * GIB, demand(0.9), model())
    assert not found.fits
    assert tokens_in(found.kv_bytes, demand(0.9), model(), 4096) == 0
    assert longest(found.kv_bytes, demand(0.9), model(), 4096) == 0


@given(st.integers(0, 100 * GIB), st.integers(1, 200_000))
def test_longest_is_the_longest(kv_bytes: int, limit: int) -> None:
    wanted, made = demand(0.5), model()
    found = longest(kv_bytes, wanted, made, limit)
    assert 0 <= found <= limit
    assert made.kv_bytes(found, element_bytes=2, gpus=1) <= kv_bytes
    if found + 16 <= limit:
        assert made.kv_bytes(found + 16, element_bytes=2, gpus=1) > kv_bytes
